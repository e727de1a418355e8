// "Ask about this": a button beside what the reader selects on the page.

import { el } from "./dom.js";
import { listen } from "./page-events.js";

/** @import { Words } from "./words.js" */

const EDITABLE = "input, textarea, select, [contenteditable]:not([contenteditable=false])";
const SETTLED_MS = 250;
const MARGIN_PX = 8;

/** The passage selected on the page; empty where there is none. */
export function selectedText() {
  const selection = getSelection();
  if (!selection || selection.isCollapsed) return "";
  const node = selection.anchorNode;
  const element = node instanceof Element ? node : node?.parentElement;
  if (!element || element.closest(EDITABLE)) return "";
  return selection.toString().trim();
}

/**
 * A button that appears beside the selection.
 *
 * @param {Words} words
 * @param {(text: string) => void} onAsk
 */
export function createAskButton(words, onAsk) {
  const button = el("button", { type: "button", className: "offer", hidden: true }, words.ask);
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  let lastText = "";

  const hide = () => {
    button.hidden = true;
  };
  const update = () => {
    const text = selectedText();
    if (!text) return hide();
    lastText = text;
    button.hidden = false;
    placeBelow(button, selectionEnd());
  };
  const ask = () => {
    onAsk(selectedText() || lastText); // some phones clear the selection before the click event
    hide();
  };

  listen(document, "selectionchange", () => {
    clearTimeout(timer);
    timer = setTimeout(update, SETTLED_MS);
  });
  listen(window, "scroll", hide, { passive: true, capture: true });
  listen(window, "resize", hide);
  // Pressing the button must not clear the selection before it is read.
  listen(button, "pointerdown", (event) => event.preventDefault());
  listen(button, "click", ask);
  return button;
}

/** The rectangle of the selection's last line. */
function selectionEnd() {
  const range = /** @type {Selection} */ (getSelection()).getRangeAt(0);
  return [...range.getClientRects()].at(-1) ?? range.getBoundingClientRect();
}

/**
 * Place the button below a rectangle, where phones do not show their own menu, and inside the window.
 *
 * @param {HTMLElement} button
 * @param {DOMRect} end
 */
function placeBelow(button, end) {
  const { width, height } = button.getBoundingClientRect();
  const top = Math.min(end.bottom + MARGIN_PX, innerHeight - height - MARGIN_PX);
  const right = innerWidth - width - MARGIN_PX;
  const left = Math.min(Math.max(end.right - width / 2, MARGIN_PX), right);
  button.style.setProperty("top", `${Math.max(top, MARGIN_PX)}px`);
  button.style.setProperty("left", `${left}px`);
}
