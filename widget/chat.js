// The reader's chat, as a panel on a book's pages or as a page of its own.

import { Api, ConnectionLost } from "./api.js";
import { Citations } from "./citations.js";
import { Conversation } from "./conversation.js";
import { el, iconButton } from "./dom.js";
import { isComposing, shortcutMatcher } from "./keys.js";
import { createLayout } from "./layout.js";
import { MessageView } from "./message.js";
import { listen, listenAgain } from "./page-events.js";
import { createAskButton, selectedText } from "./selection.js";
import { Store } from "./storage.js";
import { createStyleSheet } from "./style.js";
import { isBlank } from "./text.js";
import { wordsFor } from "./words.js";

/**
 * @import { Message } from "./conversation.js"
 * @import { ServerInfo, Settings } from "./layout.js"
 * @import { Word } from "./words.js"
 */

const NARROW = matchMedia("(max-width: 30rem)");
const NEAR_END_PX = 80;
const PAGE_URL_MAX_CHARS = 2048;
const BRIEF_MS = 6000;

export class Chat {
  /** @type {Map<Message, MessageView>} */
  #views = new Map();
  /** @type {Set<Message>} changed since they were last drawn */
  #dirty = new Set();
  #passage = "";
  /**
   * The question that is edited, and what was in its place.
   *
   * @type {{question: Message, draft: string, passage: string} | null}
   */
  #edit = null;
  #isLoaded = false;
  /** @type {HTMLElement | null} until the end of the task in which it loses the focus */
  #focused = null;
  /** @type {{scrollTop: number, focused: HTMLElement | null} | null} what the browser forgets on removal */
  #beforeRemoval = null;
  #scrollTop = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #statusTimer;

  /**
   * @param {HTMLElement} host the <book-chat> element
   * @param {Settings} settings
   * @param {ServerInfo} server
   * @param {string} base the server's
   */
  constructor(host, settings, server, base) {
    this.host = host;
    this.settings = settings;
    this.server = server;
    this.isPage = settings.mode === "page";
    this.words = wordsFor(settings.lang || document.documentElement.lang || navigator.language);
    this.conversation = new Conversation(new Api(base), new Store(base));
    this.tab = new Store(base, "sessionStorage");
    this.layout = createLayout(this.words, settings, server);
    this.input = this.layout.composer.input;
    this.root = host.attachShadow({ mode: "open" });
    this.#attach();
    this.citations = new Citations(this);
    this.#listen();
    // On a phone the panel would cover the page that the reader has just turned to.
    const wasOpen = this.tab.get("open") && !NARROW.matches;
    if (this.isPage || wasOpen) this.open({ focus: this.isPage });
    if (!this.isPage) this.citations.arrive();
  }

  #attach() {
    const { host, settings, words, layout } = this;
    host.lang = words.code;
    host.dir = words.dir;
    host.className = this.isPage ? "page" : settings.position === "left" ? "left" : "right";
    if (settings.theme) host.style.setProperty("color-scheme", settings.theme);
    const { accent } = settings;
    if (accent && CSS.supports("color", accent)) host.style.setProperty("--accent", accent);
    this.#adoptStyle();
    this.root.append(layout.panel);
    if (this.isPage) return;
    layout.panel.before(layout.opener);
    layout.panel.after(createAskButton(words, (text) => this.askAbout(text)));
  }

  #adoptStyle() {
    this.root.adoptedStyleSheets = [createStyleSheet()];
  }

  // Leaving the page and coming back ------------------------------------------------------------
  /** The host element was taken out of the page. */
  onRemoval() {
    this.#beforeRemoval ??= { scrollTop: this.#scrollTop, focused: this.#focused };
  }

  /** The host element is in the page again. */
  onReturn() {
    if (!this.#beforeRemoval) return;
    const { scrollTop, focused } = this.#beforeRemoval;
    this.#beforeRemoval = null;
    this.#restoreListeners();
    this.#adoptStyle(); // another document, where it may have been meanwhile, drops it
    if (!this.isPage && this.isOpen) this.#showPanel(); // it may have been modal
    this.layout.log.scroller.scrollTop = scrollTop;
    const isFree = !document.activeElement || document.activeElement === document.body;
    if (isFree || this.root.activeElement) focused?.focus({ preventScroll: true });
  }

  /** `document.open()` removes every listener in the document, even in shadow trees. */
  #restoreListeners() {
    if (this.layout.panel.onkeydown) return;
    listenAgain();
    this.#listenToPanel();
    this.#views.clear();
    this.#drawMessages();
    this.#setPassage(this.#passage);
  }

  // Events --------------------------------------------------------------------------------------
  #listen() {
    this.#listenToConversation();
    this.#listenToPanel();
    this.#listenToRoot();
    if (this.isPage) listen(window, "beforeprint", () => this.#preparePrint());
    else this.#listenToPage();
  }

  #listenToConversation() {
    const { conversation } = this;
    conversation.addEventListener("change", () => this.#drawMessages());
    conversation.addEventListener("message", (event) => {
      this.#scheduleDraw(/** @type {CustomEvent<Message>} */ (event).detail);
    });
    conversation.addEventListener("ended", (event) => {
      this.#announceEnd(/** @type {CustomEvent<Message>} */ (event).detail);
    });
  }

  #listenToPanel() {
    const { panel, opener, header, log, confirmation, composer } = this.layout;
    opener.onclick = () => this.toggle();
    header.startOver.onclick = () => this.#startOver();
    header.remove.onclick = () => this.#showConfirmation(true);
    header.close.onclick = () => this.close();
    log.older.onclick = () => this.#loadOlder();
    confirmation.yes.onclick = () => this.#remove();
    confirmation.no.onclick = () => this.#showConfirmation(false);
    composer.cancelEdit.onclick = () => this.#endEdit();
    composer.stop.onclick = () => this.conversation.stop();
    composer.form.onsubmit = (event) => this.#submit(event);
    this.input.onkeydown = (event) => this.#onInputKey(event);
    this.input.oninput = () => {
      this.#fitInput();
      this.#warnWhenFull();
    };
    panel.onkeydown = (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Escape") return;
      event.preventDefault(); // a modal dialog would close as well
      if (!isComposing(event)) this.#escape();
    };
    panel.oncancel = (/** @type {Event} */ event) => {
      event.preventDefault();
      this.close();
    };
  }

  #listenToRoot() {
    // What is typed here must not trigger the page's shortcuts.
    for (const type of ["keydown", "keypress", "keyup"]) {
      listen(this.root, type, (event) => event.stopPropagation());
    }
    // An element that is removed has lost its focus and scroll position by the time it learns of it.
    listen(this.root, "focusin", ({ target }) => {
      this.#focused = target;
    });
    listen(this.root, "focusout", ({ target }) => {
      queueMicrotask(() => {
        if (this.#focused === target) this.#focused = null;
      });
    });
    const { scroller } = this.layout.log;
    listen(scroller, "scroll", () => {
      if (this.host.isConnected) this.#scrollTop = scroller.scrollTop;
    });
  }

  #listenToPage() {
    const isShortcut = shortcutMatcher(this.settings.shortcut ?? "Alt+Shift+A");
    const onKey = (/** @type {Event} */ event) => {
      if (!isShortcut(/** @type {KeyboardEvent} */ (event))) return;
      event.preventDefault();
      this.#onShortcut();
    };
    listen(document, "keydown", onKey);
    listen(this.root, "keydown", onKey);
    NARROW.addEventListener("change", () => this.#onWidthChange());
    // The browser shows the page from its back/forward cache. Another page may have continued the
    // conversation, and not every browser then delivers the storage events.
    listen(window, "pageshow", ({ persisted }) => {
      if (persisted && this.#isLoaded) this.#load();
    });
  }

  #escape() {
    const { card } = this.citations;
    if (card.link) card.hide();
    else if (!this.layout.confirmation.element.hidden) this.#showConfirmation(false);
    else if (this.#edit) this.#endEdit();
    else this.close();
  }

  /** @param {KeyboardEvent} event */
  #onInputKey(event) {
    if (event.key !== "Enter" || event.shiftKey || isComposing(event)) return;
    event.preventDefault();
    this.layout.composer.form.requestSubmit();
  }

  /** As high as its text, up to the limit that the style sets. */
  #fitInput() {
    this.input.style.setProperty("height", "auto");
    this.input.style.setProperty("height", `${this.input.scrollHeight + 2}px`);
  }

  /** The browser silently cuts what is pasted beyond the limit. */
  #warnWhenFull() {
    const max = this.server.messageChars;
    if (this.input.value.length >= max) this.#announceNumber("questionFull", max);
  }

  /** With a passage selected, ask about it; otherwise open or close. */
  #onShortcut() {
    const text = selectedText();
    if (text) this.askAbout(text);
    else this.toggle();
  }

  // Opening and closing -------------------------------------------------------------------------
  get isOpen() {
    const { panel } = this.layout;
    return panel instanceof HTMLDialogElement ? panel.open : true;
  }

  toggle() {
    if (this.isOpen) this.close();
    else this.open({ focus: true });
  }

  /** @param {{focus: boolean}} options */
  async open({ focus }) {
    if (!this.isOpen) this.#showPanel();
    this.layout.opener.setAttribute("aria-expanded", "true");
    if (!this.isPage) this.tab.set("open", true);
    if (focus) this.focusInput();
    if (this.#isLoaded) return;
    this.#isLoaded = true;
    this.#drawMessages();
    await this.#load();
  }

  async #load() {
    try {
      await this.conversation.open();
    } catch (error) {
      this.#isLoaded = false; // try again when it is opened the next time
      this.announceError(error, "unreadable");
    }
  }

  /** Narrow windows show nothing but the panel; elsewhere the page stays usable beside it. */
  #showPanel() {
    const { panel } = this.layout;
    if (!(panel instanceof HTMLDialogElement)) return;
    if (panel.open) panel.close();
    if (NARROW.matches) panel.showModal();
    else panel.open = true; // unlike `show()`, does not take the focus away from the page
    this.#scrollToEnd();
  }

  #onWidthChange() {
    if (!this.isOpen) return;
    const hadFocus = this.root.activeElement !== null;
    this.#showPanel();
    if (hadFocus) this.focusInput();
  }

  close() {
    const { panel, opener } = this.layout;
    if (!(panel instanceof HTMLDialogElement)) return;
    const hadFocus = this.root.activeElement !== null;
    this.citations.card.hide();
    panel.close();
    opener.setAttribute("aria-expanded", "false");
    this.tab.set("open", null);
    if (hadFocus) opener.focus();
  }

  /** @param {boolean} isInTheWay of what the page shows */
  closeIf(isInTheWay) {
    if (isInTheWay && !this.isPage) this.close();
  }

  focusInput() {
    this.input.focus();
  }

  // Asking --------------------------------------------------------------------------------------
  /**
   * Open with a passage for the reader to ask about.
   *
   * @param {string} text
   */
  askAbout(text) {
    const max = this.server.passageChars;
    const characters = Array.from(text);
    const isTooLong = characters.length > max;
    this.#setPassage(isTooLong ? characters.slice(0, max).join("") : text);
    if (isTooLong) this.#announceNumber("passageCut", max);
    this.open({ focus: true });
  }

  /** @param {string} text */
  #setPassage(text) {
    const { chip } = this.layout.composer;
    this.#passage = text;
    chip.hidden = !text;
    if (!text) return chip.replaceChildren();
    const quote = el("blockquote", { dir: "auto", "aria-label": this.words.passage }, text);
    const remove = iconButton("close", this.words.removePassage, () => {
      this.#setPassage("");
      this.focusInput();
    });
    chip.replaceChildren(quote, remove);
  }

  /** @param {Event} event */
  #submit(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    if (isBlank(text) || this.conversation.isAnswering) return;
    if (this.#edit) return this.#askEdited(this.#edit.question, text);
    this.#setInput("");
    this.#ask(text);
  }

  /** @param {string} text */
  #setInput(text) {
    this.input.value = text;
    this.#fitInput();
  }

  /** @param {string} text */
  #ask(text) {
    this.layout.status.textContent = "";
    this.conversation.ask(text, this.#passage, pageUrl());
    this.#setPassage("");
    this.focusInput();
    this.#scrollToEnd();
  }

  /** @param {Message} reply that failed */
  retry(reply) {
    return this.#whileOnline(() => this.conversation.retry(reply));
  }

  /** @param {Message} reply to replace by another answer */
  askAgain(reply) {
    this.focusInput();
    this.layout.status.textContent = "";
    return this.#whileOnline(() => this.conversation.askAgain(reply));
  }

  /** Show again what a question that failed was to replace. */
  restore() {
    return this.#whileOnline(() => this.conversation.restore());
  }

  /**
   * @param {() => Promise<void>} work
   * @returns {Promise<boolean>} whether it was done; otherwise the reader is told why not
   */
  async #whileOnline(work) {
    try {
      await work();
      this.#scrollToEnd();
      return true;
    } catch (error) {
      this.announceError(error, "lost");
      return false;
    }
  }

  // Editing -------------------------------------------------------------------------------------
  /**
   * Put a question back where it was written.
   *
   * @param {Message} question
   */
  edit(question) {
    if (this.conversation.isAnswering) return;
    const { draft, passage } = this.#edit ?? { draft: this.input.value, passage: this.#passage };
    this.#edit = { question, draft, passage };
    this.#showEditing(true);
    this.#setInput(question.text);
    this.#setPassage(question.passage ?? "");
    this.focusInput();
  }

  #endEdit() {
    if (!this.#edit) return;
    const { draft, passage } = this.#edit;
    this.#edit = null;
    this.#showEditing(false);
    this.#setInput(draft);
    this.#setPassage(passage);
    this.focusInput();
  }

  /** @param {boolean} isShown */
  #showEditing(isShown) {
    const { editing } = this.layout.composer;
    editing.hidden = !isShown;
    if (isShown) this.input.setAttribute("aria-describedby", editing.id);
    else this.input.removeAttribute("aria-describedby");
  }

  /**
   * @param {Message} question
   * @param {string} text
   */
  async #askEdited(question, text) {
    this.layout.status.textContent = "";
    const work = () => this.conversation.replace(question, text, this.#passage, pageUrl());
    if (await this.#whileOnline(work)) this.#endEdit();
  }

  async #loadOlder() {
    const { scroller, older } = this.layout.log;
    const distanceFromEnd = scroller.scrollHeight - scroller.scrollTop;
    try {
      await this.conversation.loadOlder();
      scroller.scrollTop = scroller.scrollHeight - distanceFromEnd; // keep the reader's place
      if (older.hidden) scroller.focus();
    } catch (error) {
      this.announceError(error, "unreadable");
    }
  }

  /** Printing does not wait for anything. */
  #preparePrint() {
    try {
      this.conversation.loadAllOlderNow();
    } catch {
      // The server cannot be reached: what is shown is printed.
    }
  }

  #startOver() {
    this.conversation.startOver();
    this.#endEdit();
    this.#setPassage("");
    this.layout.status.textContent = "";
    this.focusInput();
  }

  /** @param {boolean} isShown */
  #showConfirmation(isShown) {
    const { element, no } = this.layout.confirmation;
    element.hidden = !isShown;
    if (isShown) no.focus();
    else this.focusInput();
  }

  async #remove() {
    this.#showConfirmation(false);
    try {
      await this.conversation.remove();
      this.#endEdit();
      this.announce("removed", { isBrief: true });
    } catch (error) {
      this.announceError(error, "lost");
    }
  }

  // Drawing -------------------------------------------------------------------------------------
  #drawMessages() {
    const { conversation } = this;
    const { list, older, greeting } = this.layout.log;
    const views = new Map();
    for (const message of conversation.messages) {
      views.set(message, this.#views.get(message) ?? new MessageView(message, this));
    }
    const wasAtEnd = this.#isAtEnd();
    this.#views = views;
    list.replaceChildren(...[...views.values()].map((view) => view.element));
    older.hidden = !conversation.hasOlder;
    greeting.hidden = !conversation.isEmpty;
    if (conversation.isEmpty) this.#drawSuggestions();
    this.#drawSendButton();
    if (wasAtEnd) this.#scrollToEnd();
  }

  #drawSuggestions() {
    const texts = (this.settings.suggestions ?? "").split("|").map((text) => text.trim());
    const buttons = texts
      .filter((text) => !isBlank(text))
      .map((text) => {
        const onclick = () => this.#ask(text);
        return el("button", { type: "button", dir: "auto", onclick }, text);
      });
    this.layout.log.suggestions.replaceChildren(...buttons);
  }

  /**
   * Draw a message in the next frame, however many tokens arrive until then.
   *
   * @param {Message} message
   */
  #scheduleDraw(message) {
    if (message.text && message.status === "pending" && !message.isAnnounced) {
      message.isAnnounced = true;
      this.announce("started", { isQuiet: true });
    }
    if (this.#dirty.size === 0) requestAnimationFrame(() => this.#drawDirty());
    this.#dirty.add(message);
  }

  #drawDirty() {
    const wasAtEnd = this.#isAtEnd();
    const dirty = this.#dirty;
    this.#dirty = new Set(); // before drawing: an error must not prevent the next draw
    for (const message of dirty) this.#views.get(message)?.draw();
    this.#drawSendButton();
    if (wasAtEnd) this.#scrollToEnd();
  }

  #drawSendButton() {
    const { send, stop } = this.layout.composer;
    const { isAnswering } = this.conversation;
    const hadFocus = this.root.activeElement === stop;
    this.layout.panel.classList.toggle("answering", isAnswering);
    send.hidden = isAnswering;
    stop.hidden = !isAnswering;
    if (hadFocus && !isAnswering) this.focusInput();
  }

  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.layout.log.scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  #scrollToEnd() {
    const { scroller } = this.layout.log;
    scroller.scrollTop = scroller.scrollHeight;
  }

  // Status line ---------------------------------------------------------------------------------
  /**
   * @param {string} message a key of words.js, or a sentence
   * @param {{isQuiet?: boolean, isBrief?: boolean}} [options] quiet: for screen readers only; brief: it
   *   disappears after a while
   */
  announce(message, { isQuiet = false, isBrief = false } = {}) {
    const { status } = this.layout;
    clearTimeout(this.#statusTimer);
    status.textContent = this.words[/** @type {Word} */ (message)] ?? message;
    status.classList.toggle("hidden", isQuiet);
    if (isBrief) this.#statusTimer = setTimeout(() => status.replaceChildren(), BRIEF_MS);
  }

  /**
   * @param {unknown} error
   * @param {Word} whenLost what to say when the server could not be reached
   */
  announceError(error, whenLost) {
    const isSentence = error instanceof Error && !(error instanceof ConnectionLost) && error.message;
    this.announce(isSentence ? error.message : whenLost);
  }

  /**
   * @param {Word} word
   * @param {number} number
   */
  #announceNumber(word, number) {
    this.announce(this.words[word].replace("{n}", number.toLocaleString(this.words.code)));
  }

  /** @param {Message} reply */
  #announceEnd({ status, failure }) {
    const isQuiet = true;
    if (status === "complete") return this.announce("finished", { isQuiet });
    if (status === "stopped") return this.announce("stopped", { isQuiet });
    this.announce(failure ? failure.detail || "lost" : "failed", { isQuiet });
  }
}

/** The address of the page, where the API accepts it. */
function pageUrl() {
  const { href } = location;
  return /^https?:/.test(href) && href.length <= PAGE_URL_MAX_CHARS ? href : null;
}
