// Showing a source on the page that the reader is on: its sentence is scrolled to and highlighted.

import { quoteFragment } from "./markdown.js";
import { findQuote } from "./quotes.js";

/** @import { Source } from "./api.js" */

const NAME = "book-chat";
const NO_TEXT = "script, style, noscript, template, textarea, select, button, nav, book-chat, [hidden]";
const HEADINGS = "h1, h2, h3, h4, h5, h6";
const TEXT_DIRECTIVE = ":~:";

/** The page's own styles may set `::highlight(book-chat)`, and its policy may forbid a <style> element. */
const sheet = new CSSStyleSheet();
sheet.replaceSync(`@layer {
  ::highlight(${NAME}) { background-color: #ffe27a; color: #1d1f23; }
  @media (forced-colors: active) { ::highlight(${NAME}) { background-color: Mark; color: MarkText; } }
}`);

/**
 * Whether an address is that of the page shown here, whatever its fragment.
 *
 * @param {string} url
 */
export function isThisPage(url) {
  const [page, here] = [new URL(url), new URL(location.href)];
  const isSame = page.origin === here.origin && pathOf(page) === pathOf(here);
  return isSame && (!page.search || page.search === here.search);
}

/** @param {URL} url */
function pathOf({ pathname }) {
  return pathname.replace(/(?:\/index)?\.html?$|\/$/, "");
}

/**
 * An address without the text directive that makes it long.
 *
 * @param {string} url
 */
export function shortAddress(url) {
  return url.split(TEXT_DIRECTIVE)[0].replace(/#$/, "");
}

/**
 * Where this page has a source's quote.
 *
 * @param {Source} source
 * @returns {Range | null} null where it does not have it, or does not show it
 */
export function findOnPage({ url, text }) {
  return text ? rangeAt(url, quoteFragment(text).textContent ?? "") : null;
}

/**
 * Where this page has words, in the section that an address names.
 *
 * @param {string} url
 * @param {string} quote
 * @param {Parameters<typeof findQuote>[2]} [more]
 */
export function rangeAt(url, quote, more) {
  if (!CSS.highlights) return null;
  const nodes = textNodes(anchorOf(url));
  const texts = nodes.map(({ data }) => data);
  const found = findQuote(texts, quote, more);
  if (!found) return null;
  const range = document.createRange();
  range.setStart(nodes[found.start.text], found.start.offset);
  range.setEnd(nodes[found.end.text], found.end.offset);
  unfold(range.startContainer);
  return range.getClientRects().length > 0 ? range : null;
}

/**
 * @param {string} url
 * @returns {Element | null}
 */
function anchorOf(url) {
  const id = new URL(shortAddress(url)).hash.slice(1);
  try {
    return document.getElementById(decodeURIComponent(id));
  } catch {
    return document.getElementById(id); // a lone percent sign
  }
}

/**
 * The texts from an anchor up to the next section's heading, or all of the page's.
 *
 * @param {Element | null} anchor
 */
function textNodes(anchor) {
  /** @type {Text[]} */
  const nodes = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, (node) =>
    node instanceof Element && node.matches(NO_TEXT) ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT,
  );
  walker.currentNode = anchor ?? document.querySelector("main, [role=main], article") ?? document.body;
  let hasText = false; // an anchor may be before its own heading
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node instanceof Text) nodes.push(node);
    if (node instanceof Text) hasText ||= node.data.trim() !== "";
    else if (anchor && hasText && /** @type {Element} */ (node).matches(HEADINGS)) break;
  }
  return nodes;
}

/** @param {Node} node */
function unfold({ parentElement }) {
  for (let each = parentElement?.closest("details"); each; each = each.parentElement?.closest("details")) {
    each.open = true;
  }
}

/**
 * Highlight a range, until the reader clicks somewhere on the page, and scroll to it.
 *
 * @param {Range} range
 */
export function show(range) {
  highlight(range);
  scrollTo(range);
}

/** @param {Range} range */
export function highlight(range) {
  if (!document.adoptedStyleSheets.includes(sheet)) document.adoptedStyleSheets.push(sheet);
  CSS.highlights.set(NAME, new Highlight(range));
  document.addEventListener("click", clear);
}

/** @param {Event} event */
function clear({ target }) {
  if (!(target instanceof Element && target.localName === NAME)) CSS.highlights.delete(NAME);
}

/** @param {Range} range */
export function scrollTo(range) {
  const element = /** @type {Element} */ (range.startContainer.parentElement);
  element.scrollIntoView({ block: "center", inline: "nearest", behavior: "instant" });
  const { top, bottom } = range.getBoundingClientRect();
  if (top >= 0 && bottom <= innerHeight) return;
  scrollerOf(element).scrollBy({ top: top - innerHeight / 4, behavior: "instant" }); // a long paragraph
}

/** @param {Element} element */
function scrollerOf(element) {
  for (let each = element.parentElement; each; each = each.parentElement) {
    const isScroller = /auto|scroll/.test(getComputedStyle(each).overflowY);
    if (isScroller && each.scrollHeight > each.clientHeight && each !== document.body) return each;
  }
  return document.scrollingElement ?? document.documentElement;
}

/**
 * The share of a range, by width, that an element covers: 0 to 1.
 *
 * @param {Range} range
 * @param {Element} element
 */
export function coveredShare(range, element) {
  const box = element.getBoundingClientRect();
  let [all, covered] = [0, 0];
  for (const { left, right, top, bottom, width } of range.getClientRects()) {
    all += width;
    if (bottom > box.top && top < box.bottom) {
      covered += Math.max(0, Math.min(right, box.right) - Math.max(left, box.left));
    }
  }
  return all && covered / all;
}

/**
 * Let the keyboard and screen readers go on from a range, as after any link within a page.
 *
 * @param {Range} range
 */
export function focusAround({ startContainer }) {
  const block = startContainer.parentElement?.closest(
    "p, li, pre, td, th, dd, dt, blockquote, h1, h2, h3, h4, h5, h6, div",
  );
  if (!(block instanceof HTMLElement)) return;
  if (!block.hasAttribute("tabindex")) {
    block.tabIndex = -1;
    block.addEventListener("blur", () => block.removeAttribute("tabindex"), { once: true });
  }
  block.focus({ preventScroll: true });
}
