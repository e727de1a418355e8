// What readers do with an answer's sources: look at the card, follow a link, copy.

import { Arrival, addressOfEntry } from "./arrival.js";
import { Card } from "./card.js";
import { el } from "./dom.js";
import { coveredShare, findOnPage, focusAround, isThisPage, show } from "./landing.js";
import { listen } from "./page-events.js";
import { liveRange, selectedRange } from "./selection.js";
import { asText, sourceOf } from "./sources.js";

/**
 * @import { Source } from "./api.js"
 * @import { Chat } from "./chat.js"
 */

const SHOW_AFTER_MS = 120;
const HIDE_AFTER_MS = 250; // long enough to move the mouse into the card
const MOST_COVERED = 0.05; // less than a word

export class Citations {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #isTouch = false;
  #isHoverCard = false; // only such a card goes when the mouse does

  /** @param {Chat} chat */
  constructor(chat) {
    this.chat = chat;
    this.card = new Card(chat.words);
    chat.layout.panel.append(this.card.element);
    this.#listen();
  }

  #listen() {
    const { panel, log } = this.chat.layout;
    listen(panel, "pointerover", (event) => this.#onHover(event));
    listen(panel, "pointerleave", ({ pointerType }) => this.#onHover({ target: null, pointerType }));
    listen(panel, "focusin", ({ target }) => {
      const link = linkAt(target);
      if (link?.matches(":focus-visible")) this.#show(link);
    });
    listen(panel, "focusout", ({ relatedTarget }) => {
      if (!this.#isInCard(relatedTarget)) this.card.hide();
    });
    listen(panel, "click", (event) => this.#onClick(event));
    listen(log.scroller, "scroll", () => this.card.place());
    listen(window, "resize", () => this.card.hide());
    listen(document, "pointerdown", (event) => this.#onPress(event));
    listen(this.chat.root, "copy", (event) => this.#onCopy(event));
  }

  /**
   * @param {number} ms
   * @param {() => void} work unless other work is wanted before
   */
  #later(ms, work) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(work, ms);
  }

  // The card ------------------------------------------------------------------------------------
  /** @param {Pick<PointerEvent, "target" | "pointerType">} event a finger that is lifted leaves, too */
  #onHover({ target, pointerType }) {
    if (pointerType === "touch") return;
    const link = linkAt(target);
    if (this.#isInCard(target) || (link && link === this.card.link)) clearTimeout(this.#timer);
    else if (link && sourceOf(link)?.number) this.#later(SHOW_AFTER_MS, () => this.#show(link, true));
    else if (this.#isHoverCard) this.#later(HIDE_AFTER_MS, () => this.card.hide());
    else clearTimeout(this.#timer);
  }

  /** @param {HTMLAnchorElement} link */
  #show(link, isHoverCard = false) {
    clearTimeout(this.#timer);
    this.#isHoverCard = isHoverCard;
    this.card.show(link);
  }

  /** @param {PointerEvent} event */
  #onPress(event) {
    this.#isTouch = event.pointerType === "touch";
    const [target] = event.composedPath();
    if (!this.#isInCard(target) && linkAt(target) !== this.card.link) this.card.hide();
  }

  /** @param {EventTarget | null} target */
  #isInCard(target) {
    return target instanceof Node && this.card.element.contains(target);
  }

  // Following a link ----------------------------------------------------------------------------
  /** @param {MouseEvent} event */
  #onClick(event) {
    const link = linkAt(event.target);
    const source = link && sourceOf(link);
    if (!source || !link.href || event.defaultPrevented) return;
    const isFirstTap = this.#isTouch && link.className === "number" && this.card.link !== link;
    if (isFirstTap) {
      event.preventDefault();
      return this.#show(link);
    }
    const isPlain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
    if (!isPlain || link.target) return;
    if (isThisPage(source.url)) this.#land(source, event);
    else this.#arrive(source.url); // a router may turn to it
  }

  /** Where the reader came by the address of a source. */
  arrive() {
    this.#arrive(addressOfEntry());
  }

  /** @param {string} url */
  #arrive(url) {
    new Arrival(url, (range) => this.#uncover(range));
  }

  /** @param {Range} range */
  #uncover(range) {
    this.chat.closeIf(coveredShare(range, this.chat.layout.panel) > MOST_COVERED);
  }

  /**
   * Where the page does not have the quote (any more), the browser follows the link: it looks for the
   * words of the address' text fragment, and then for its anchor.
   *
   * @param {Source} source
   * @param {Event} event
   */
  #land(source, event) {
    const { panel } = this.chat.layout;
    clearTimeout(this.#timer);
    this.card.hide();
    const range = findOnPage(source);
    if (!range) return this.chat.closeIf(coversWindow(panel));
    event.preventDefault();
    show(range);
    this.#uncover(range);
    focusAround(range);
  }

  // Copying -------------------------------------------------------------------------------------
  /**
   * A selection with numbers in it takes their sources along.
   *
   * @param {ClipboardEvent} event
   */
  #onCopy(event) {
    const selection = getSelection();
    const selected = selection && selectedRange(selection);
    if (!selected || selected.collapsed || !event.clipboardData) return;
    const range = liveRange(selected);
    const sources = this.#citedIn(range);
    if (sources.length === 0) return;
    event.preventDefault();
    const root = /** @type {{getSelection?: () => Selection}} */ (this.chat.root);
    const text = (root.getSelection?.() ?? selection).toString() || range.toString();
    const lines = asText(sources);
    const html = el("div", {}, range.cloneContents(), ...lines.split("\n").map((line) => el("p", {}, line)));
    event.clipboardData.setData("text/plain", `${text.trimEnd()}\n\n${lines}\n`);
    event.clipboardData.setData("text/html", html.innerHTML);
  }

  /** @param {Range} range */
  #citedIn(range) {
    const links = [...this.chat.root.querySelectorAll("a.number")].filter((link) => range.intersectsNode(link));
    const sources = links.map((link) => /** @type {Source} */ (sourceOf(link)));
    return [...new Set(sources)].sort((one, other) => (one.number ?? 0) - (other.number ?? 0));
  }
}

/**
 * @param {EventTarget | null} target
 * @returns {HTMLAnchorElement | null} the link to a source that it is in
 */
function linkAt(target) {
  const link = target instanceof Element ? target.closest("a") : null;
  return link && sourceOf(link) ? link : null;
}

/** @param {Element} panel */
function coversWindow(panel) {
  return panel.getBoundingClientRect().width >= innerWidth;
}
