// "Ask about this": a button beside what the reader selects on the page.

import { el } from "./dom.js";
import { listen } from "./page-events.js";
import { isBlank } from "./text.js";

/** @import { Words } from "./words.js" */

const EDITABLE = "input, textarea, select, [contenteditable]:not([contenteditable=false])";
const NOT_THE_BOOK = `${EDITABLE}, book-chat`;
const SETTLED_MS = 250;
const MARGIN_PX = 8;

/** The passage selected on the page; empty where there is none. */
export function selectedText() {
  const selection = getSelection();
  const range = selection && selectedRange(selection);
  if (!range || range.collapsed || isOutsideTheBook(range)) return "";
  // Not every browser includes shadow trees in the selection's text.
  const text = selection.toString() || liveRange(range).toString();
  return isBlank(text) ? "" : text.trim();
}

/**
 * The selected range, also inside the page's own shadow trees. The selection names only the outermost
 * element with a shadow tree, so that tree is opened, and then the next one in it.
 *
 * @param {Selection} selection
 * @returns {AbstractRange | null}
 */
export function selectedRange(selection) {
  /** @type {ShadowRoot[]} */
  const roots = [];
  for (;;) {
    const range = rangeWithin(selection, roots);
    const root = range && shadowRootAt(range);
    if (!root || roots.includes(root)) return range;
    roots.push(root);
  }
}

/**
 * @param {Selection} selection
 * @param {ShadowRoot[]} shadowRoots that the range may lie in
 * @returns {AbstractRange | null}
 */
function rangeWithin(selection, shadowRoots) {
  if (selection.rangeCount === 0) return null;
  try {
    return selection.getComposedRanges({ shadowRoots })[0];
  } catch {
    // Chromium before version 137 and older Safari have an interface of their own for that.
    const root = /** @type {{getSelection?: () => Selection} | undefined} */ (shadowRoots.at(-1));
    return (root?.getSelection?.() ?? selection).getRangeAt(0);
  }
}

/** @param {AbstractRange} range */
function shadowRootAt({ startContainer, startOffset }) {
  const node = startContainer.childNodes[startOffset];
  return node instanceof Element ? node.shadowRoot : null;
}

/**
 * Whether it is in a form or in the chat. A selection in a text field is the field as a whole.
 *
 * @param {AbstractRange} range
 */
function isOutsideTheBook({ startContainer, startOffset, endContainer, endOffset }) {
  const isOneNode = startContainer === endContainer && startOffset + 1 === endOffset;
  const node = (isOneNode && startContainer.childNodes[startOffset]) || startContainer;
  return isInside(node, NOT_THE_BOOK);
}

/**
 * Whether a node is in an element that matches, or in the shadow tree of one.
 *
 * @param {Node | null} node
 * @param {string} selector
 * @returns {boolean}
 */
function isInside(node, selector) {
  if (!node) return false;
  const element = node instanceof Element ? node : node.parentElement;
  if (element?.closest(selector)) return true;
  const root = node.getRootNode();
  return root instanceof ShadowRoot && isInside(root.host, selector);
}

/**
 * A range that has a text and rectangles. It cannot leave the shadow tree in which it starts.
 *
 * @param {AbstractRange} range
 */
export function liveRange({ startContainer, startOffset, endContainer, endOffset }) {
  const range = document.createRange();
  range.setStart(startContainer, startOffset);
  const root = startContainer.getRootNode();
  if (endContainer.getRootNode() === root) range.setEnd(endContainer, endOffset);
  else range.setEnd(root, root.childNodes.length);
  return range;
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
  const selected = selectedRange(/** @type {Selection} */ (getSelection()));
  const range = liveRange(/** @type {AbstractRange} */ (selected));
  const visible = [...range.getClientRects()].filter(({ width, height }) => width && height);
  return visible.at(-1) ?? range.getBoundingClientRect();
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
