// A message as the reader sees it, drawn anew whenever it changes.

import { copied, el, iconButton } from "./dom.js";
import { rendered } from "./markdown.js";

/** Draws messages; `chat` is the element they are in: {words, conversation, say}. */
export class MessageView {
  constructor(message, chat) {
    Object.assign(this, { message, chat });
    const { words } = chat;
    const isQuestion = message.role === "user";
    const name = el("h3", { className: "hidden" }, isQuestion ? words.you : words.assistant);
    this.body = el("div", { className: "text", dir: "auto" });
    this.foot = el("div", { className: "foot" });
    this.element = el("li", { className: `message ${message.role}` }, name, this.body, this.foot);
    this.draw();
  }

  draw() {
    this.element.dataset.status = this.message.status;
    if (this.message.role === "user") this.#drawQuestion();
    else this.#drawReply();
  }

  #drawQuestion() {
    const { text, passage } = this.message;
    this.body.replaceChildren(
      ...(passage ? [el("blockquote", { dir: "auto" }, passage)] : []),
      el("p", {}, text),
    );
  }

  #drawReply() {
    const { message, chat } = this;
    const text = rendered(message.text);
    for (const block of text.querySelectorAll("pre")) framed(block, "code").append(this.#codeCopier(block));
    for (const table of text.querySelectorAll("table")) this.#wide(framed(table, "wide"));
    for (const block of text.querySelectorAll("pre")) this.#wide(block);
    const { correction } = message;
    if (correction) {
      const original = el("details", {}, el("summary", {}, chat.words.original), el("div", {}, text));
      const title = el("p", { className: "title" }, chat.words.correction);
      this.body.replaceChildren(el("div", { className: "correction" }, title, rendered(correction.text)), original);
    } else {
      this.body.replaceChildren(text);
    }
    if (message.status === "pending" && !message.text) this.body.append(el("span", { className: "waiting" }));
    this.#drawFoot();
  }

  /** What may be wider than its place is scrolled, also by keyboard. */
  #wide(element) {
    Object.assign(element, { tabIndex: 0, role: "region", ariaLabel: this.chat.words.assistant });
  }

  #codeCopier(block) {
    const { words, say } = this.chat;
    const code = block.textContent;
    return iconButton("copy", words.copyCode, async () => say((await copied(code)) ? "copied" : "notCopied"));
  }

  // Below a reply --------------------------------------------------------------------------------
  #drawFoot() {
    const { message, chat } = this;
    const focused = this.element.getRootNode().activeElement;
    const hadFocus = this.foot.contains(focused);
    const isOver = message.status !== "pending";
    const parts = [this.#note(message.notice)];
    if (message.isAboutPassage && isOver && message.text) parts.push(this.#note("aboutPassage"));
    if (message.status === "stopped") parts.push(this.#note("stopped"));
    if (message.status === "failed") parts.push(...this.#failure());
    else if (isOver && message.id) parts.push(this.#judging(), this.form);
    this.foot.replaceChildren(...parts.filter(Boolean));
    if (hadFocus) (this.foot.contains(focused) ? focused : this.#successor(focused)).focus();
  }

  /** What was drawn anew in a button's place. */
  #successor(button) {
    return this.foot.querySelector(`[title="${button.title}"]`) ?? this.chat.input;
  }

  #note(word) {
    return word ? el("p", { className: "note" }, this.chat.words[word]) : null;
  }

  #failure() {
    const { message, chat } = this;
    const { detail, code, retryAt } = message.problem ?? {};
    const sentence = message.problem ? detail || chat.words.lost : chat.words.failed;
    const told = el("p", { className: "failure" }, sentence);
    if (code === "context_too_long") return [told, this.#note("tooLong")];
    const isLast = chat.conversation.messages.at(-1) === message;
    const isFinal = message.problem && !message.problem.retryable;
    return isLast && !isFinal ? [told, this.#retrier(retryAt)] : [told];
  }

  /** A button, once the server is willing to hear the question again. */
  #retrier(retryAt) {
    const { message, chat } = this;
    const onclick = () => {
      chat.focusInput();
      chat.conversation.retry(message);
    };
    const button = el("button", { type: "button", className: "retry", onclick }, chat.words.retry);
    const wait = el("p", { className: "note" });
    const tick = () => {
      const seconds = Math.ceil((retryAt - Date.now()) / 1000);
      wait.textContent = chat.words.retryIn.replace("{n}", seconds);
      if (seconds > 0) setTimeout(tick, 250);
      else wait.replaceWith(button);
    };
    if (!(retryAt > Date.now())) return button;
    tick();
    return wait;
  }

  #judging() {
    const { message, chat } = this;
    const { words } = chat;
    const copy = async () => chat.say((await copied(message.correction?.text ?? message.text)) ? "copied" : "notCopied");
    const thumb = (rating) => {
      const isPressed = message.feedback?.rating === rating;
      return iconButton(rating, words[rating], () => this.#rate(isPressed ? null : rating), { "aria-pressed": isPressed });
    };
    return el("div", { className: "judging" }, iconButton("copy", words.copy, copy), thumb("up"), thumb("down"));
  }

  async #rate(rating) {
    this.form = rating && this.#commentForm(); // drawn with the thumbs
    if (!(await this.#told(rating, ""))) this.form = null;
  }

  #commentForm() {
    const { message, chat } = this;
    const { words } = chat;
    const facts = { rows: 2, maxLength: 4000, dir: "auto", placeholder: words.comment, "aria-label": words.comment };
    const comment = el("textarea", facts);
    const onsubmit = async (event) => {
      event.preventDefault();
      const { form } = this;
      this.form = null;
      if (await this.#told(message.feedback.rating, comment.value.trim())) chat.focusInput();
      else this.form = form; // what was written is not lost
    };
    return el("form", { className: "comment", onsubmit }, comment, el("button", {}, words.sendComment));
  }

  async #told(rating, comment) {
    try {
      await this.chat.conversation.rate(this.message, rating, comment);
      if (rating) this.chat.say("thanks");
      return true;
    } catch (error) {
      this.chat.say(error.message || "lost");
      return false;
    }
  }
}

/** Put it into a frame of its own, which is returned. */
function framed(element, className) {
  const frame = el("div", { className });
  element.replaceWith(frame);
  frame.append(element);
  return frame;
}
