// The card of a source: page, section and quote, beside its number.

import { el } from "./dom.js";
import { quoteFragment } from "./markdown.js";
import { sourceLink, sourceOf } from "./sources.js";

/** @import { Words } from "./words.js" */

const MARGIN_PX = 8;
const GAP_PX = 6;

export class Card {
  /** @type {HTMLAnchorElement | null} whose card is shown */
  link = null;

  /** @param {Words} words */
  constructor(words) {
    this.words = words;
    // In the browser's top layer, since the panel cuts off what does not fit into it.
    // It can take the focus, so that a press on it takes none from what is shown.
    const properties = { className: "card", id: "card", role: "tooltip", popover: "manual", tabIndex: -1 };
    this.element = el("div", properties);
  }

  /** @param {HTMLAnchorElement} link */
  show(link) {
    const source = sourceOf(link);
    if (!source?.number) return;
    this.hide();
    const { title, section, text } = source;
    const path = section && section !== title ? el("p", { className: "path", dir: "auto" }, section) : null;
    const quote = text ? el("blockquote", { dir: "auto" }, quoteFragment(text)) : null;
    const show = sourceLink(source, { className: "show", tabIndex: -1 }, this.words.showInBook);
    this.element.replaceChildren(el("p", { className: "title", dir: "auto" }, title));
    this.element.append(...[path, quote, show].filter((part) => part !== null));
    this.element.showPopover();
    this.#describe(link);
    this.place();
  }

  hide() {
    if (this.element.matches(":focus-within")) this.link?.focus({ preventScroll: true });
    this.#describe(null);
    if (this.element.matches(":popover-open")) this.element.hidePopover();
  }

  /** Below the number where there is room, so that what cites it stays visible; otherwise above it. */
  place() {
    if (!this.link) return;
    const [first] = this.link.getClientRects();
    if (!first) return this.hide();
    const { width, height } = this.element.getBoundingClientRect();
    const below = first.bottom + GAP_PX;
    const top = below + height + MARGIN_PX <= innerHeight ? below : first.top - height - GAP_PX;
    const left = Math.min(first.left + first.width / 2 - width / 2, innerWidth - width - MARGIN_PX);
    this.element.style.setProperty("top", `${Math.max(MARGIN_PX, top)}px`);
    this.element.style.setProperty("left", `${Math.max(MARGIN_PX, left)}px`);
  }

  /**
   * Go on beside another link to the same place, when the message was drawn again.
   *
   * @param {HTMLAnchorElement | undefined} link
   */
  move(link) {
    if (!link) return this.hide();
    if (!this.link || sourceOf(link) !== sourceOf(this.link)) return this.show(link);
    this.#describe(link);
    this.place();
  }

  /** @param {HTMLAnchorElement | null} link */
  #describe(link) {
    this.link?.removeAttribute("aria-describedby");
    link?.setAttribute("aria-describedby", this.element.id);
    this.link = link;
  }
}
