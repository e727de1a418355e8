// *Ask about this*: offered next to what the reader selects on the page.

import { el } from "./dom.js";

const EDITABLE = "input, textarea, select, [contenteditable]:not([contenteditable=false])";
const CALM_MS = 250;

/** The passage selected on the page; empty where there is none. */
export function selectedText() {
  const selection = getSelection();
  const node = selection.anchorNode;
  const place = node?.nodeType === Node.ELEMENT_NODE ? node : node?.parentElement;
  if (selection.isCollapsed || !place || place.closest(EDITABLE)) return "";
  return selection.toString().trim();
}

/** A button that appears by the selection; `onAsk` gets the text. */
export function offerToAsk(words, onAsk) {
  const button = el("button", { type: "button", className: "offer", hidden: true }, words.ask);
  let timer;
  let offered = "";

  const hide = () => (button.hidden = true);
  const offer = () => {
    const text = selectedText();
    if (!text) return hide();
    offered = text;
    const range = getSelection().getRangeAt(0);
    const end = [...range.getClientRects()].at(-1) ?? range.getBoundingClientRect();
    button.hidden = false;
    const { width, height } = button.getBoundingClientRect();
    // Below the selection: above it phones show their own menu.
    const top = Math.min(end.bottom + 8, innerHeight - height - 8);
    const start = Math.min(Math.max(end.right - width / 2, 8), innerWidth - width - 8);
    button.style.setProperty("top", `${Math.max(top, 8)}px`);
    button.style.setProperty("left", `${start}px`);
  };

  document.addEventListener("selectionchange", () => {
    clearTimeout(timer);
    timer = setTimeout(offer, CALM_MS);
  });
  addEventListener("scroll", hide, { passive: true, capture: true });
  addEventListener("resize", hide);
  // Pressing the button must not clear the selection before it is read.
  button.addEventListener("pointerdown", (event) => event.preventDefault());
  button.addEventListener("click", () => {
    onAsk(selectedText() || offered); // some phones clear the selection before they tell of the tap
    hide();
  });
  return button;
}
