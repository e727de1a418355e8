// A message as the reader sees it. It is drawn again whenever the message changes.

import { copyToClipboard, el, iconButton } from "./dom.js";
import { renderMarkdown } from "./markdown.js";
import { asText, linkNumbers, sourceList } from "./sources.js";

/**
 * @import { Rating } from "./api.js"
 * @import { Chat } from "./chat.js"
 * @import { Message } from "./conversation.js"
 * @import { Word } from "./words.js"
 */

const COMMENT_MAX_CHARS = 4000;
const SHORT_REPLY_CHARS = 280; // at most: it says no more than that the book is silent

export class MessageView {
  /** @type {HTMLFormElement | null} where readers say why they gave a rating */
  #commentForm = null;

  /**
   * @param {Message} message
   * @param {Chat} chat the chat that shows it
   */
  constructor(message, chat) {
    this.message = message;
    this.chat = chat;
    const { words } = chat;
    const author = message.role === "user" ? words.you : words.assistant;
    this.head = el("div", { className: "head" });
    this.body = el("div", { className: "text" });
    this.foot = el("div", { className: "foot" });
    const heading = el("h3", { className: "hidden" }, author);
    this.element = el("li", { className: `message ${message.role}` }, heading);
    this.element.append(this.head, this.body, this.foot);
    this.draw();
  }

  draw() {
    this.element.dataset.status = this.message.status;
    if (this.message.role === "user") this.#drawQuestion();
    else this.#drawReply();
  }

  #drawQuestion() {
    const { text, passage } = this.message;
    const quote = passage ? [el("blockquote", { dir: "auto" }, passage)] : [];
    this.body.replaceChildren(...quote, el("p", { dir: "auto" }, text));
    const edit = iconButton("edit", this.chat.words.edit, () => this.chat.edit(this.message));
    this.foot.replaceChildren(edit);
  }

  #drawReply() {
    const { message } = this;
    const mark = this.#groundingMark();
    this.head.replaceChildren(...optional(mark && this.#note(mark, "grounding")));
    this.#keepingNumbers(() => this.#drawText());
    const isWaiting = message.status === "pending" && !message.text;
    if (isWaiting) this.body.append(el("span", { className: "waiting" }));
    this.#drawFoot();
  }

  /** @returns {Word | null} what readers should know before they read the reply */
  #groundingMark() {
    const { grounding, text } = this.message;
    if (grounding === "excerpts") return "excerpts";
    return grounding === "silent" && text.length > SHORT_REPLY_CHARS ? "beyond" : null;
  }

  /**
   * Draw while a number may have the focus or show its card, and give both to the one drawn in its place.
   *
   * @param {() => void} draw
   */
  #keepingNumbers(draw) {
    const { card } = this.chat.citations;
    const focused = focusedIn(this.body);
    const numbers = [...this.#numbers()];
    draw();
    numbers.forEach((number, index) => {
      const successor = this.#numbers()[index];
      if (number === card.link) card.move(successor);
      if (number === focused) successor?.focus({ preventScroll: true });
    });
  }

  /** @returns {NodeListOf<HTMLAnchorElement>} */
  #numbers() {
    return this.body.querySelectorAll("a.number");
  }

  #drawText() {
    const { message, chat } = this;
    const text = this.#rendered(message.text);
    if (message.correction) {
      const title = el("p", { className: "title" }, chat.words.correction);
      const correction = this.#rendered(message.correction.text);
      const original = el("details", {}, el("summary", {}, chat.words.original), el("div", {}, text));
      this.body.replaceChildren(el("div", { className: "correction" }, title, correction), original);
    } else {
      this.body.replaceChildren(text);
    }
  }

  /** @param {string} markdown */
  #rendered(markdown) {
    const text = renderMarkdown(markdown);
    linkNumbers(text, this.message.sources ?? [], this.chat.words);
    for (const block of text.querySelectorAll("pre")) {
      wrap(block, "code").append(this.#codeCopyButton(block.textContent));
      this.#makeScrollable(block);
    }
    for (const table of text.querySelectorAll("table")) {
      const wrapper = wrap(table, "wide");
      wrapper.dir = table.dir;
      this.#makeScrollable(wrapper);
    }
    return text;
  }

  /**
   * What may be wider than the panel can be scrolled by keyboard, too.
   *
   * @param {HTMLElement} element
   */
  #makeScrollable(element) {
    Object.assign(element, { tabIndex: 0, role: "region", ariaLabel: this.chat.words.assistant });
  }

  /** @param {string} code */
  #codeCopyButton(code) {
    return iconButton("copy", this.chat.words.copyCode, () => this.#copy(code));
  }

  /** @param {string} text */
  async #copy(text) {
    if (await copyToClipboard(text)) this.chat.announce("copied", { isBrief: true });
    else this.chat.announce("notCopied");
  }

  // Below a reply -------------------------------------------------------------------------------
  #drawFoot() {
    const focused = focusedIn(this.foot);
    this.foot.replaceChildren(...this.#footParts());
    if (focused) (this.foot.contains(focused) ? focused : this.#replacementOf(focused)).focus();
  }

  #footParts() {
    const { message } = this;
    const isOver = message.status !== "pending";
    const parts = this.#places();
    if (message.notice) parts.push(this.#note(message.notice));
    if (message.isAboutPassage && isOver && message.text) parts.push(this.#note("aboutPassage"));
    if (message.status === "stopped") parts.push(this.#note("stopped"));
    if (message.status === "failed") parts.push(...this.#failure());
    else if (isOver && message.id) parts.push(this.#actions(), ...optional(this.#commentForm));
    return parts;
  }

  /** @returns {HTMLElement[]} the places in the book to look at */
  #places() {
    const { text, grounding, sources, nearest } = this.message;
    const { words } = this.chat;
    const parts = [];
    // A server whose model wrote nothing but its mark says the same.
    const isSilent = grounding === "silent" && !this.#groundingMark() && text !== words.silent;
    if (isSilent) parts.push(this.#note("silent", "grounding"));
    if (nearest?.length) parts.push(sourceList(nearest, words.nearest));
    if (sources?.length) parts.push(sourceList(sources, words.sources));
    return parts;
  }

  /**
   * The button that was drawn again in a button's place.
   *
   * @param {HTMLElement} button
   * @returns {HTMLElement}
   */
  #replacementOf(button) {
    return this.foot.querySelector(`[title="${button.title}"]`) ?? this.chat.input;
  }

  /**
   * @param {Word} word
   * @param {string} [className]
   */
  #note(word, className = "note") {
    return el("p", { className }, this.chat.words[word]);
  }

  #failure() {
    const { message, chat } = this;
    const { failure } = message;
    const sentence = failure ? failure.detail || chat.words.lost : chat.words.failed;
    const paragraph = el("p", { className: "failure", dir: "auto" }, sentence);
    if (failure?.code === "context_too_long") return [paragraph, this.#note("tooLong")];
    const isLast = chat.conversation.messages.at(-1) === message;
    const canRetry = isLast && (!failure || failure.retryable);
    /** @type {HTMLElement[]} */
    const parts = [paragraph];
    if (canRetry) parts.push(this.#retryButton(failure?.retryAt ?? 0));
    if (!message.id && message.outgoing?.question.replaces) parts.push(this.#restoreButton());
    return parts;
  }

  /** For a question that the server did not accept: what it was to replace is still there. */
  #restoreButton() {
    const { chat } = this;
    const onclick = () => {
      chat.focusInput();
      chat.restore();
    };
    return el("button", { type: "button", className: "retry", onclick }, chat.words.cancel);
  }

  /**
   * A button, or a countdown to it while the server would refuse the question again.
   *
   * @param {number} retryAt
   */
  #retryButton(retryAt) {
    const { message, chat } = this;
    const onclick = () => {
      chat.focusInput();
      chat.retry(message);
    };
    const button = el("button", { type: "button", className: "retry", onclick }, chat.words.retry);
    const countdown = el("p", { className: "note" });
    const tick = () => {
      const seconds = Math.ceil((retryAt - Date.now()) / 1000);
      countdown.textContent = chat.words.retryIn.replace("{n}", String(seconds));
      if (seconds > 0) setTimeout(tick, 250);
      else countdown.replaceWith(button);
    };
    if (!(retryAt > Date.now())) return button;
    tick();
    return countdown;
  }

  #actions() {
    const { message } = this;
    const { words } = this.chat;
    const copy = () => this.#copy(this.#textWithSources(message.correction?.text ?? message.text));
    const again = iconButton("again", words.again, () => this.chat.askAgain(message));
    const thumb = (/** @type {"up" | "down"} */ rating) => {
      const isPressed = message.feedback?.rating === rating;
      const onclick = () => this.#rate(isPressed ? null : rating);
      return iconButton(rating, words[rating], onclick, { "aria-pressed": isPressed });
    };
    const buttons = [iconButton("copy", words.copy, copy), thumb("up"), thumb("down"), again];
    return el("div", { className: "actions" }, ...buttons);
  }

  /** @param {string} text */
  #textWithSources(text) {
    const cited = (this.message.sources ?? []).filter(({ number }) => text.includes(`[${number}]`));
    return cited.length > 0 ? `${text}\n\n${asText(cited)}` : text;
  }

  /** @param {Rating} rating */
  async #rate(rating) {
    this.#commentForm = rating && this.#createCommentForm(rating); // drawn together with the thumbs
    if (!(await this.#sendRating(rating, ""))) this.#commentForm = null;
  }

  /** @param {Rating} rating */
  #createCommentForm(rating) {
    const { words } = this.chat;
    const comment = el("textarea", {
      rows: 2,
      maxLength: COMMENT_MAX_CHARS,
      dir: "auto",
      placeholder: words.comment,
      "aria-label": words.comment,
    });
    const form = el("form", { className: "comment" }, comment, el("button", {}, words.sendComment));
    form.onsubmit = async (event) => {
      event.preventDefault();
      this.#commentForm = null;
      if (await this.#sendRating(rating, comment.value.trim())) this.chat.focusInput();
      else this.#commentForm = form; // keep what was written
    };
    return form;
  }

  /**
   * @param {Rating} rating
   * @param {string} comment
   * @returns {Promise<boolean>} whether the server has it
   */
  async #sendRating(rating, comment) {
    try {
      await this.chat.conversation.rate(this.message, rating, comment);
      if (rating) this.chat.announce("thanks", { isBrief: true });
      return true;
    } catch (error) {
      this.chat.announceError(error, "lost");
      return false;
    }
  }
}

/**
 * @template T
 * @param {T | null} value
 * @returns {T[]}
 */
function optional(value) {
  return value === null ? [] : [value];
}

/**
 * The focused element inside another one.
 *
 * @param {HTMLElement} element
 * @returns {HTMLElement | null}
 */
function focusedIn(element) {
  const root = element.getRootNode();
  const focused = root instanceof ShadowRoot ? root.activeElement : null;
  return focused instanceof HTMLElement && element.contains(focused) ? focused : null;
}

/**
 * Put an element into a new <div>, which is returned.
 *
 * @param {HTMLElement} element
 * @param {string} className
 */
function wrap(element, className) {
  const wrapper = el("div", { className });
  element.replaceWith(wrapper);
  wrapper.append(element);
  return wrapper;
}
