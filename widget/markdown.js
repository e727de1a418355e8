// A reply's Markdown as inert nodes: no scripts, styles or images.

import { setDirections } from "./text.js";
import purify from "./vendor/dompurify-3.4.18/purify.min.mjs";
import { Marked } from "./vendor/marked-18.2.1/marked.esm.js";

const TEXT_TAGS = ["a", "br", "code", "del", "em", "strong", "sub", "sup"];
const INLINE_TAGS = TEXT_TAGS.filter((tag) => tag !== "a");
const BLOCK_TAGS = ["blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "ul"];
const TABLE_TAGS = ["table", "tbody", "td", "th", "thead", "tr"];
const ATTRIBUTES = ["align", "href", "start", "title"];
const SAFE_LINK = /^(?:https?:|mailto:)/i;

// Maths is left as written: Markdown would read its stars and underscores as emphasis.
const MATHS = /^(?:\$\$[\s\S]+?\$\$|\\\[[\s\S]+?\\\]|\\\([\s\S]+?\\\)|\$(?!\s)(?:\\.|[^$\\\n])+?(?<!\s)\$(?!\d))/;

/** @type {import("marked").TokenizerAndRendererExtension} */
const maths = {
  name: "maths",
  level: "inline",
  start: (text) => text.match(/\$|\\[[(]/)?.index,
  tokenizer(text) {
    const match = MATHS.exec(text);
    return match ? { type: "maths", raw: match[0] } : undefined;
  },
  renderer: ({ raw }) => escapeHtml(raw),
};

const NUMBERED_DEFINITION = /^ {0,3}\[\d+\]:/; // a source's number at the start of a line

const marked = new Marked({
  gfm: true,
  extensions: [maths],
  tokenizer: {
    def: (text) => (NUMBERED_DEFINITION.test(text) ? undefined : false), // false: the usual one
  },
  renderer: {
    html: ({ text }) => escapeHtml(text), // shown as written
    image: ({ href, text }) => `<a href="${escapeHtml(href)}">${escapeHtml(text || href)}</a>`,
  },
});

// Pages with trusted types must allow this one policy; without it DOMPurify creates one of its own.
const policy = createPolicy();

/** @returns {any} DOMPurify's types ask for methods that it does not call */
function createPolicy() {
  try {
    const { trustedTypes } = /** @type {any} */ (window);
    const createHTML = (/** @type {string} */ html) => html;
    return trustedTypes?.createPolicy("book-chat", { createHTML, createScriptURL: () => "" });
  } catch {
    return undefined; // the page's policy lists other names
  }
}

purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName !== "A") return;
  if (!SAFE_LINK.test(node.getAttribute("href") ?? "")) return node.removeAttribute("href");
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});

/** @param {string} text */
function escapeHtml(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/**
 * @param {string} markdown
 * @param {"parse" | "parseInline"} parse
 */
function toHtml(markdown, parse) {
  try {
    return marked[parse](markdown, { async: false });
  } catch {
    return `<p>${escapeHtml(markdown)}</p>`; // nested deeper than the call stack
  }
}

/**
 * @param {string} html
 * @param {string[]} tags that may stay; of others the text does
 * @returns {DocumentFragment}
 */
function sanitized(html, tags) {
  const nodes = purify.sanitize(html, {
    ALLOWED_TAGS: tags,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
    ...(policy && { TRUSTED_TYPES_POLICY: policy }),
  });
  return /** @type {DocumentFragment} */ (/** @type {unknown} */ (nodes)); // by the option above
}

/**
 * @param {string} markdown
 * @returns {DocumentFragment}
 */
export function renderMarkdown(markdown) {
  const nodes = sanitized(toHtml(markdown, "parse"), [...TEXT_TAGS, ...BLOCK_TAGS, ...TABLE_TAGS]);
  setDirections(nodes);
  return nodes;
}

const FENCES = /^[ \t]*(?:`{3,}|~{3,}).*$/gm;
const LINE_MARKS = /^[ \t]*(?:(?:[-*+>]|\d+[.)]|#{1,6})[ \t]+)+/gm;

/**
 * A quote of the book's Markdown without what makes blocks and links of it.
 *
 * @param {string} markdown
 * @returns {DocumentFragment}
 */
export function quoteFragment(markdown) {
  const lines = markdown.replace(FENCES, "").replace(LINE_MARKS, "").trim();
  return sanitized(toHtml(lines, "parseInline"), INLINE_TAGS);
}
