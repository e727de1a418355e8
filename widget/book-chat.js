// <book-chat>: the reader's chat, as a panel on a book's pages or as a page of its own.

import { Api, Lost } from "./api.js";
import { Conversation } from "./conversation.js";
import { el, iconButton } from "./dom.js";
import { MessageView } from "./message.js";
import { offerToAsk, selectedText } from "./selection.js";
import { Store } from "./storage.js";
import { sheet } from "./style.js";
import { wordsIn } from "./words.js";

const NARROW = matchMedia("(max-width: 30rem)");
const NEAR_END_PX = 80;

class BookChat extends HTMLElement {
  #views = new Map();
  #dirty = new Set();
  #passage = "";

  /** `settings` are the script's data- attributes, `server` what the server knows of itself. */
  start(settings, server, origin) {
    this.settings = settings;
    this.server = server;
    this.isPage = settings.mode === "page";
    this.words = wordsIn(settings.lang || document.documentElement.lang || navigator.language);
    this.say = this.say.bind(this);
    this.conversation = new Conversation(new Api(origin), new Store(origin));
    this.tab = new Store(origin, "sessionStorage");
    this.#draw();
    this.#listen();
    // On a phone the panel would hide the page that the reader has just turned to.
    const wasOpen = this.tab.get("open") && !NARROW.matches;
    if (this.isPage || wasOpen) this.#open({ focus: this.isPage });
  }

  // What it looks like ---------------------------------------------------------------------------
  #draw() {
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet()];
    // What is typed here is no shortcut of the page's.
    for (const kind of ["keydown", "keypress", "keyup"]) root.addEventListener(kind, (event) => event.stopPropagation());
    const { words, settings } = this;
    this.lang = words.code;
    this.dir = words.dir;
    this.className = this.isPage ? "page" : settings.position === "left" ? "left" : "right";
    if (settings.theme) this.style.setProperty("color-scheme", settings.theme);
    if (settings.accent && CSS.supports("color", settings.accent)) this.style.setProperty("--accent", settings.accent);
    this.name = settings.title || words.title;
    this.opener = iconButton("chat", this.name, () => this.toggle(), { className: "opener", "aria-expanded": "false" });
    this.panel = el(this.isPage ? "section" : "dialog", { className: "panel", "aria-label": this.name }, ...this.#parts());
    if (this.isPage) return void root.append(this.panel);
    root.append(this.opener, this.panel, offerToAsk(words, (text) => this.askAbout(text)));
  }

  #parts() {
    const { words } = this;
    this.list = el("ol", { className: "messages" });
    this.older = el("button", { type: "button", className: "older", hidden: true }, words.older);
    this.suggestions = el("div", { className: "suggestions" });
    this.greeting = el("div", { className: "greeting" }, el("p", { dir: "auto" }, this.settings.greeting || words.greeting), this.suggestions);
    // Not live: a screen reader would read every token. `status` tells when to listen.
    const log = { className: "scroller", role: "log", tabIndex: 0, "aria-live": "off", "aria-label": this.name };
    this.scroller = el("div", log, this.older, this.greeting, this.list);
    this.status = el("p", { className: "status", role: "status" });
    return [this.#header(), this.#demonstration(), this.scroller, this.#confirmation(), this.status, this.#composer()];
  }

  #header() {
    const { words } = this;
    const buttons = [
      iconButton("renew", words.renew, () => this.#renew()),
      iconButton("remove", words.remove, () => this.#confirm(true)),
      this.isPage ? null : iconButton("close", words.close, () => this.close()),
    ];
    return el("header", {}, el(this.isPage ? "h1" : "h2", { dir: "auto" }, this.name), ...buttons);
  }

  #demonstration() {
    // A page of our own says so itself, to whoever runs it too.
    return this.server.demonstration && !this.isPage ? el("p", { className: "demonstration" }, this.words.demonstration) : null;
  }

  #confirmation() {
    const { words } = this;
    const yes = el("button", { type: "button", className: "danger", onclick: () => this.#remove() }, words.removeYes);
    const no = el("button", { type: "button", onclick: () => this.#confirm(false) }, words.cancel);
    this.confirmation = el("div", { className: "confirmation", role: "group", hidden: true, "aria-label": words.removeQuestion });
    this.confirmation.append(el("p", {}, words.removeQuestion), yes, no);
    return this.confirmation;
  }

  #composer() {
    const { words, server } = this;
    this.chip = el("div", { className: "chip", hidden: true });
    this.input = el("textarea", { rows: 1, dir: "auto", placeholder: words.placeholder, "aria-label": words.placeholder });
    this.input.maxLength = server.messageChars;
    this.sender = iconButton("send", words.send, null, { type: "submit" });
    this.stopper = iconButton("stop", words.stop, () => this.conversation.stop(), { hidden: true });
    const line = el("div", { className: "line" }, this.input, this.sender, this.stopper);
    return el("form", { className: "composer", onsubmit: (event) => this.#submit(event) }, this.chip, line);
  }

  #drawSuggestions() {
    const asked = (this.settings.suggestions ?? "").split("|").map((text) => text.trim()).filter(Boolean);
    this.suggestions.replaceChildren(
      ...asked.map((text) => el("button", { type: "button", dir: "auto", onclick: () => this.#ask(text) }, text)),
    );
  }

  // What it hears --------------------------------------------------------------------------------
  #listen() {
    const { conversation } = this;
    conversation.addEventListener("change", () => this.#drawMessages());
    conversation.addEventListener("message", ({ detail }) => this.#redraw(detail));
    conversation.addEventListener("ended", ({ detail }) => this.#ended(detail));
    this.older.onclick = () => this.#older();
    this.input.addEventListener("keydown", (event) => this.#key(event));
    this.input.addEventListener("input", () => (this.#fit(), this.#warnWhenFull()));
    this.panel.addEventListener("cancel", (event) => (event.preventDefault(), this.close()));
    this.panel.addEventListener("keydown", (event) => event.key === "Escape" && !event.isComposing && this.#escape());
    if (this.isPage) return;
    const shortcut = shortcutOf(this.settings.shortcut ?? "Alt+Shift+A");
    const hear = (event) => shortcut(event) && (event.preventDefault(), this.#summon());
    for (const place of [document, this.shadowRoot]) place.addEventListener("keydown", hear);
    NARROW.addEventListener("change", () => this.#relay());
    // Shown again from memory, as it was left: another page may have gone on meanwhile, and not every
    // browser then delivers what the storage told.
    addEventListener("pageshow", ({ persisted }) => persisted && this.#opened && this.#read());
  }

  #escape() {
    if (this.confirmation.hidden) this.close();
    else this.#confirm(false);
  }

  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.panel.querySelector("form.composer").requestSubmit();
  }

  /** As high as its text, up to the limit that the style sets. */
  #fit() {
    this.input.style.setProperty("height", "auto");
    this.input.style.setProperty("height", `${this.input.scrollHeight + 2}px`);
  }

  /** What is pasted beyond the limit is cut by the browser without a word. */
  #warnWhenFull() {
    const most = this.server.messageChars;
    if (this.input.value.length >= most) this.#sayNumber("questionFull", most);
  }

  /** The shortcut: with a passage selected it is about that; otherwise open or close. */
  #summon() {
    const text = selectedText();
    if (text) this.askAbout(text);
    else this.toggle();
  }

  // Open and closed ------------------------------------------------------------------------------
  toggle() {
    if (this.panel.open) this.close();
    else this.#open({ focus: true });
  }

  async #open({ focus }) {
    if (!this.isPage && !this.panel.open) this.#lay();
    this.opener.setAttribute("aria-expanded", "true");
    this.tab.set("open", true);
    if (focus) this.focusInput();
    if (this.#opened) return;
    this.#opened = true;
    this.#drawMessages();
    await this.#read();
  }
  #opened = false;

  async #read() {
    try {
      await this.conversation.open();
    } catch (error) {
      this.#opened = false; // again, the next time
      this.say(error instanceof Lost ? "unreadable" : error.message);
    }
  }

  /** On a phone the panel is all there is; elsewhere the page can be read beside it. */
  #lay() {
    if (this.panel.open) this.panel.close();
    if (NARROW.matches) this.panel.showModal();
    else this.panel.open = true; // unlike `show()` it takes no focus away from the page
    this.#follow(true);
  }

  /** The window has become a narrow or a wide one. */
  #relay() {
    if (!this.panel.open) return;
    const hadFocus = this.shadowRoot.activeElement !== null;
    this.#lay();
    if (hadFocus) this.focusInput();
  }

  close() {
    if (this.isPage) return;
    this.panel.close();
    this.opener.setAttribute("aria-expanded", "false");
    this.tab.set("open", null);
    this.opener.focus();
  }

  focusInput() {
    this.input.focus();
  }

  // Asking ---------------------------------------------------------------------------------------
  /** Open with a passage, for the reader to ask about it. */
  askAbout(text) {
    const most = this.server.passageChars;
    const letters = Array.from(text);
    const isCut = letters.length > most;
    this.#setPassage(isCut ? letters.slice(0, most).join("") : text);
    if (isCut) this.#sayNumber("passageCut", most);
    this.#open({ focus: true });
  }

  #setPassage(text) {
    this.#passage = text;
    this.chip.hidden = !text;
    if (!text) return this.chip.replaceChildren();
    const remover = iconButton("close", this.words.removePassage, () => (this.#setPassage(""), this.focusInput()));
    const quote = el("blockquote", { dir: "auto", "aria-label": this.words.passage }, text);
    this.chip.replaceChildren(quote, remover);
  }

  #submit(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    if (!text || this.conversation.isAnswering) return;
    this.input.value = "";
    this.#fit();
    this.#ask(text);
  }

  #ask(text) {
    this.status.textContent = "";
    this.conversation.ask(text, this.#passage, pageAddress());
    this.#setPassage("");
    this.focusInput();
    this.#follow(true);
  }

  #ended(reply) {
    const word = { complete: "finished", stopped: "stopped" }[reply.status];
    this.say(word ?? (reply.problem?.detail || (reply.problem ? "lost" : "failed")), { isQuiet: true });
  }

  async #older() {
    const { scroller } = this;
    const fromEnd = scroller.scrollHeight - scroller.scrollTop;
    try {
      await this.conversation.older();
      scroller.scrollTop = scroller.scrollHeight - fromEnd; // what was being read stays where it was
      if (this.older.hidden) scroller.focus();
    } catch (error) {
      this.say(error instanceof Lost ? "unreadable" : error.message);
    }
  }

  #renew() {
    this.conversation.renew();
    this.#setPassage("");
    this.status.textContent = "";
    this.focusInput();
  }

  #confirm(isOpen) {
    this.confirmation.hidden = !isOpen;
    if (isOpen) this.confirmation.querySelector("button:last-child").focus(); // not the one that deletes
    else this.focusInput();
  }

  async #remove() {
    this.#confirm(false);
    try {
      await this.conversation.remove();
      this.say("removed");
    } catch (error) {
      this.say(error instanceof Lost ? "lost" : error.message);
    }
  }

  // Showing what is said -------------------------------------------------------------------------
  #drawMessages() {
    const { conversation } = this;
    const views = new Map();
    for (const message of conversation.messages) {
      views.set(message, this.#views.get(message) ?? new MessageView(message, this));
    }
    const isFollowed = this.#isAtEnd();
    this.#views = views;
    this.list.replaceChildren(...[...views.values()].map((view) => view.element));
    this.older.hidden = !conversation.hasOlder;
    this.greeting.hidden = !conversation.isEmpty;
    if (conversation.isEmpty) this.#drawSuggestions();
    this.#drawSender();
    this.#follow(isFollowed);
  }

  /** However many words come at once, a reply is drawn once for each frame. */
  #redraw(message) {
    if (message.text && message.status === "pending" && !message.isAnnounced) {
      message.isAnnounced = true;
      this.say("started", { isQuiet: true });
    }
    if (this.#dirty.size === 0) requestAnimationFrame(() => this.#drawDirty());
    this.#dirty.add(message);
  }

  #drawDirty() {
    const isFollowed = this.#isAtEnd();
    const dirty = this.#dirty;
    this.#dirty = new Set(); // first: whatever happens, there is a next time
    for (const message of dirty) this.#views.get(message)?.draw();
    this.#drawSender();
    this.#follow(isFollowed);
  }

  #drawSender() {
    const { isAnswering } = this.conversation;
    const hadFocus = this.shadowRoot.activeElement === this.stopper;
    this.sender.hidden = isAnswering;
    this.stopper.hidden = !isAnswering;
    if (hadFocus && !isAnswering) this.focusInput();
  }

  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  /** Keep the end in sight, unless the reader has scrolled away from it. */
  #follow(isWanted) {
    if (isWanted) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  #sayNumber(word, number) {
    this.say(this.words[word].replace("{n}", number.toLocaleString(this.words.code)));
  }

  /** A word of ours, or a sentence; a quiet one is for screen readers alone. */
  say(word, { isQuiet = false } = {}) {
    this.status.textContent = this.words[word] ?? word;
    this.status.classList.toggle("hidden", isQuiet);
  }
}

/** Whether a key press is the shortcut, such as `Alt+Shift+A`; none when it is empty or `off`. */
function shortcutOf(text) {
  const parts = text.toLowerCase().split("+").map((part) => part.trim());
  const key = parts.pop();
  const wanted = (name) => parts.includes(name);
  return (event) =>
    key.length === 1 &&
    event.code.toLowerCase() === (key >= "0" && key <= "9" ? `digit${key}` : `key${key}`) &&
    event.altKey === wanted("alt") &&
    event.shiftKey === wanted("shift") &&
    (event.ctrlKey || event.metaKey) === (wanted("ctrl") || wanted("meta"));
}

/** Where the reader is, as far as the API takes it. */
function pageAddress() {
  return /^https?:/.test(location.href) && location.href.length <= 2048 ? location.href : null;
}

/** Called by the loader, once for a page. */
export function mount(settings, server, origin) {
  if (document.querySelector("book-chat")) return;
  if (!customElements.get("book-chat")) customElements.define("book-chat", BookChat);
  const chat = document.createElement("book-chat");
  (document.querySelector(settings.target ?? "none") ?? document.body).append(chat);
  chat.start(settings, server, origin);
}
