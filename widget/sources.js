// What an answer cites, as links: numbers in its text, and the list below it.

import { el } from "./dom.js";
import { shortAddress } from "./landing.js";

/**
 * @import { Source } from "./api.js"
 * @import { Words } from "./words.js"
 */

const WEB_ADDRESS = /^https?:/i;
const NUMBER = /([ \t]*\[\d{1,3}\])/; // raised, it needs no space in front, and stays with its word
const NO_NUMBERS = "a, code, pre";

/** @type {WeakMap<Element, Source>} */
const sourcesOfLinks = new WeakMap();

/**
 * The source to which a link leads.
 *
 * @param {Element} link
 */
export function sourceOf(link) {
  return sourcesOfLinks.get(link);
}

/**
 * The heading path of a source, with the page's title in front.
 *
 * @param {Source} source
 */
export function pathOf({ title, section }) {
  return section && section !== title ? `${title} › ${section}` : title;
}

/**
 * A link into the book: in this tab where the book is here, so that the chat goes on there.
 *
 * @param {Source} source
 * @param {Record<string, unknown>} properties
 * @param {...(Node | string)} children
 */
export function sourceLink(source, properties, ...children) {
  const { url } = source;
  const href = WEB_ADDRESS.test(url) && URL.canParse(url) ? url : null;
  const isElsewhere = href && new URL(href).origin !== location.origin;
  const target = isElsewhere ? { target: "_blank", rel: "noopener noreferrer" } : {};
  const link = el("a", { href, ...target, ...properties }, ...children);
  sourcesOfLinks.set(link, source);
  return link;
}

/**
 * Make links of the numbers in a text. A number without a source stays as it is, as do those in code.
 *
 * @param {DocumentFragment} text
 * @param {Source[]} sources
 * @param {Words} words
 */
export function linkNumbers(text, sources, words) {
  const links = new Map(sources.map((source) => [`[${source.number}]`, source]));
  const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
  const nodes = [];
  while (walker.nextNode()) nodes.push(/** @type {Text} */ (walker.currentNode));
  for (const node of nodes) {
    const parts = node.data.split(NUMBER);
    if (parts.length === 1 || node.parentElement?.closest(NO_NUMBERS)) continue;
    node.replaceWith(...parts.map((part) => numberLink(part, links.get(part.trim()), words)));
  }
}

/**
 * @param {string} number as in the text
 * @param {Source | undefined} source
 * @param {Words} words
 */
function numberLink(number, source, words) {
  if (!source) return number;
  const label = words.sourceNumber.replace("{n}", String(source.number)).replace("{title}", source.title);
  return el("sup", {}, sourceLink(source, { className: "number", "aria-label": label }, number.trim()));
}

/**
 * @param {Source[]} sources
 * @param {string} title above the list
 */
export function sourceList(sources, title) {
  const items = sources.map((source) => {
    const address = { "data-address": shortAddress(source.url), dir: "auto" };
    return el("li", { value: source.number }, sourceLink(source, address, pathOf(source)));
  });
  const isNumbered = sources.every(({ number }) => number);
  const list = el(isNumbered ? "ol" : "ul", {}, ...items);
  return el("div", { className: "sources", role: "group", "aria-label": title }, el("p", {}, title), list);
}

/**
 * Sources as they go along with a text that is copied.
 *
 * @param {Source[]} sources
 */
export function asText(sources) {
  return sources.map((source) => `[${source.number}] ${pathOf(source)}: ${source.url}`).join("\n");
}
