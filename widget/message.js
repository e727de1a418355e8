// A message as the reader sees it. It is drawn again whenever the message changes.

import { copyToClipboard, el, iconButton } from "./dom.js";
import { renderMarkdown } from "./markdown.js";

/**
 * @import { Rating } from "./api.js"
 * @import { Chat } from "./chat.js"
 * @import { Message } from "./conversation.js"
 * @import { Word } from "./words.js"
 */

const COMMENT_MAX_CHARS = 4000;

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
    this.body = el("div", { className: "text" });
    this.foot = el("div", { className: "foot" });
    const heading = el("h3", { className: "hidden" }, author);
    this.element = el("li", { className: `message ${message.role}` }, heading, this.body, this.foot);
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
  }

  #drawReply() {
    const { message, chat } = this;
    const text = this.#rendered(message.text);
    if (message.correction) {
      const title = el("p", { className: "title" }, chat.words.correction);
      const correction = renderMarkdown(message.correction.text);
      const original = el("details", {}, el("summary", {}, chat.words.original), el("div", {}, text));
      this.body.replaceChildren(el("div", { className: "correction" }, title, correction), original);
    } else {
      this.body.replaceChildren(text);
    }
    const isWaiting = message.status === "pending" && !message.text;
    if (isWaiting) this.body.append(el("span", { className: "waiting" }));
    this.#drawFoot();
  }

  /** @param {string} markdown */
  #rendered(markdown) {
    const text = renderMarkdown(markdown);
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
    this.chat.announce((await copyToClipboard(text)) ? "copied" : "notCopied");
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
    const parts = [];
    if (message.notice) parts.push(this.#note(message.notice));
    if (message.isAboutPassage && isOver && message.text) parts.push(this.#note("aboutPassage"));
    if (message.status === "stopped") parts.push(this.#note("stopped"));
    if (message.status === "failed") parts.push(...this.#failure());
    else if (isOver && message.id) parts.push(this.#actions(), ...optional(this.#commentForm));
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

  /** @param {Word} word */
  #note(word) {
    return el("p", { className: "note" }, this.chat.words[word]);
  }

  #failure() {
    const { message, chat } = this;
    const { failure } = message;
    const sentence = failure ? failure.detail || chat.words.lost : chat.words.failed;
    const paragraph = el("p", { className: "failure", dir: "auto" }, sentence);
    if (failure?.code === "context_too_long") return [paragraph, this.#note("tooLong")];
    const isLast = chat.conversation.messages.at(-1) === message;
    const canRetry = isLast && (!failure || failure.retryable);
    return canRetry ? [paragraph, this.#retryButton(failure?.retryAt ?? 0)] : [paragraph];
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
      chat.conversation.retry(message);
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
    const copy = () => this.#copy(message.correction?.text ?? message.text);
    const thumb = (/** @type {"up" | "down"} */ rating) => {
      const isPressed = message.feedback?.rating === rating;
      const onclick = () => this.#rate(isPressed ? null : rating);
      return iconButton(rating, words[rating], onclick, { "aria-pressed": isPressed });
    };
    const buttons = [iconButton("copy", words.copy, copy), thumb("up"), thumb("down")];
    return el("div", { className: "actions" }, ...buttons);
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
      if (rating) this.chat.announce("thanks");
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
