// A reply's Markdown as nodes that do nothing but show it: no scripts, no styles, no images.

import purify from "./vendor/dompurify-3.4.18/purify.min.mjs";
import { Marked } from "./vendor/marked-18.2.1/marked.esm.js";

const TAGS = [
  "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol",
  "p", "pre", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul",
];
const ATTRIBUTES = ["align", "href", "start", "title"];
const SAFE_LINK = /^(?:https?:|mailto:)/i;

// Maths is left as it was written, out of reach of Markdown's stars and underscores.
const MATHS = /^(?:\$\$[^]+?\$\$|\\\[[^]+?\\\]|\\\([^]+?\\\)|\$(?!\s)(?:\\.|[^$\\\n])+?(?<!\s)\$(?!\d))/;
const maths = {
  name: "maths",
  level: "inline",
  start: (text) => text.match(/\$|\\[[(]/)?.index,
  tokenizer(text) {
    const found = MATHS.exec(text);
    return found ? { type: "maths", raw: found[0] } : undefined;
  },
  renderer: ({ raw }) => escaped(raw),
};

const marked = new Marked({
  gfm: true,
  extensions: [maths],
  renderer: {
    html: ({ text }) => escaped(text), // shown as it was written
    image: ({ href, text }) => `<a href="${escaped(href)}">${escaped(text || href)}</a>`,
  },
});

// The one policy that pages with trusted types must allow; without it DOMPurify tries its own.
const policy = (() => {
  try {
    return window.trustedTypes?.createPolicy("book-chat", { createHTML: (html) => html, createScriptURL: () => "" });
  } catch {
    return undefined;
  }
})();

purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName !== "A") return;
  if (!SAFE_LINK.test(node.getAttribute("href") ?? "")) return node.removeAttribute("href");
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});

function escaped(text) {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt()};`);
}

function parsed(markdown) {
  try {
    return marked.parse(markdown);
  } catch {
    return `<p>${escaped(markdown)}</p>`; // nested deeper than the stack
  }
}

/** A DocumentFragment. */
export function rendered(markdown) {
  return purify.sanitize(parsed(markdown), {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
    ...(policy && { TRUSTED_TYPES_POLICY: policy }),
  });
}
