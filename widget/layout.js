// The chat's elements, before they do anything.

import { el, iconButton } from "./dom.js";

/**
 * @import { Words } from "./words.js"
 *
 * @typedef {Record<string, string | undefined>} Settings the script tag's data- attributes
 *
 * @typedef {object} ServerInfo filled in by the server when it sends the loader
 * @property {string} module
 * @property {boolean} demonstration the embedded demonstration model answers
 * @property {number} messageChars a question's maximum length
 * @property {number} passageChars a passage's maximum length
 *
 * @typedef {ReturnType<typeof createLayout>} Layout
 */

/**
 * @param {Words} words
 * @param {Settings} settings
 * @param {ServerInfo} server
 */
export function createLayout(words, settings, server) {
  const isPage = settings.mode === "page";
  const name = settings.title || words.title;
  const header = createHeader(words, name, isPage);
  const log = createLog(words, name, settings.greeting || words.greeting);
  const confirmation = createConfirmation(words);
  const composer = createComposer(words, server.messageChars);
  const status = el("p", { className: "status", role: "status", dir: "auto" });
  const panel = el(
    isPage ? "section" : "dialog",
    { className: "panel", "aria-label": name },
    header.element,
    // The page at `/` shows a notice of its own, which also tells operators what to do.
    server.demonstration && !isPage ? el("p", { className: "demonstration" }, words.demonstration) : null,
    log.scroller,
    confirmation.element,
    status,
    composer.form,
  );
  const opener = iconButton("chat", name, null, { className: "opener", "aria-expanded": "false" });
  return { panel, opener, header, log, confirmation, status, composer };
}

/**
 * @param {Words} words
 * @param {string} name
 * @param {boolean} isPage
 */
function createHeader(words, name, isPage) {
  const startOver = iconButton("startOver", words.startOver, null);
  const remove = iconButton("remove", words.remove, null);
  const close = iconButton("close", words.close, null);
  const title = el(isPage ? "h1" : "h2", { dir: "auto" }, name);
  const element = el("header", {}, title, startOver, remove, isPage ? null : close);
  return { element, startOver, remove, close };
}

/**
 * @param {Words} words
 * @param {string} name
 * @param {string} greetingText
 */
function createLog(words, name, greetingText) {
  const list = el("ol", { className: "messages" });
  const older = el("button", { type: "button", className: "older", hidden: true }, words.older);
  const suggestions = el("div", { className: "suggestions" });
  const greeting = el("div", { className: "greeting" }, el("p", { dir: "auto" }, greetingText), suggestions);
  // Not a live region: a screen reader would read every token. The status line announces answers.
  const properties = {
    className: "scroller",
    role: "log",
    tabIndex: 0,
    "aria-live": "off",
    "aria-label": name,
  };
  const scroller = el("div", properties, older, greeting, list);
  return { scroller, older, greeting, suggestions, list };
}

/** @param {Words} words */
function createConfirmation(words) {
  const question = words.removeQuestion;
  const yes = el("button", { type: "button", className: "danger" }, words.removeYes);
  const no = el("button", { type: "button" }, words.cancel);
  const properties = { className: "confirmation", role: "group", hidden: true, "aria-label": question };
  const element = el("div", properties, el("p", {}, question), yes, no);
  return { element, yes, no };
}

/**
 * @param {Words} words
 * @param {number} maxLength
 */
function createComposer(words, maxLength) {
  const cancelEdit = iconButton("close", words.cancel, null);
  const properties = { className: "editing", id: "editing", hidden: true };
  const editing = el("div", properties, el("p", {}, words.editing), cancelEdit);
  const chip = el("div", { className: "chip", hidden: true });
  const label = { placeholder: words.placeholder, "aria-label": words.placeholder };
  const input = el("textarea", { rows: 1, dir: "auto", maxLength, ...label });
  const send = iconButton("send", words.send, null, { type: "submit" });
  const stop = iconButton("stop", words.stop, null, { hidden: true });
  const line = el("div", { className: "line" }, input, send, stop);
  const form = el("form", { className: "composer" }, editing, chip, line);
  return { form, editing, cancelEdit, chip, input, send, stop };
}
