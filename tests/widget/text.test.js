import assert from "node:assert/strict";
import { test } from "node:test";
import { JSDOM } from "jsdom";
import { directionOf, isBlank, setDirections } from "../../widget/text.js";

const { window } = new JSDOM("");
Object.assign(globalThis, { document: window.document, NodeFilter: window.NodeFilter });

test("a text of white space and characters that show nothing is blank", () => {
  const blank = [
    "",
    " \n\t",
    "\u00a0",
    "\u200b",
    "\u200c\u200d",
    "\u2060 \ufeff",
    "\u00ad",
    "\u202e",
    "\u3164",
    "\u2800",
  ];
  for (const text of [...blank, "\ufe0f", "\u{e0020}", "\0\u0007"]) assert.equal(isBlank(text), true, escape(text));
});

test("a text with anything to see is not blank", () => {
  for (const text of ["?", "\u200bа", "🤖", "می\u200cروم", "1", "\ufffd", "。"])
    assert.equal(isBlank(text), false, text);
});

test("a text's direction is that of its first letter", () => {
  const directions = {
    "A node": "ltr",
    "نوڈ node": "rtl",
    "1. שלום": "rtl",
    "🤖 (node)": "ltr",
    𞤀: "rtl",
    ノード: "ltr",
  };
  for (const [text, direction] of Object.entries(directions)) assert.equal(directionOf(text), direction, text);
  for (const text of ["", "12 + 3", "۱۲", "🤖"]) assert.equal(directionOf(text), "", text);
});

/** @param {string} html */
function directed(html) {
  const root = document.createElement("div");
  root.innerHTML = html;
  setDirections(root);
  return root.innerHTML;
}

test("each block gets the direction of its own text", () => {
  assert.equal(directed("<p>One</p><p>ایک</p>"), '<p dir="ltr">One</p><p dir="rtl">ایک</p>');
  assert.equal(
    directed("<ul><li>ایک</li><li>One</li><li>1</li></ul>"),
    '<ul dir="rtl"><li dir="rtl">ایک</li><li dir="ltr">One</li><li>1</li></ul>',
  );
  assert.equal(directed("<p><em>ایک</em> One</p>"), '<p dir="rtl"><em>ایک</em> One</p>');
});

test("code gives no direction", () => {
  assert.equal(directed("<p><code>node</code> ایک</p>"), '<p dir="rtl"><code>node</code> ایک</p>');
  assert.equal(directed("<pre><code>node</code></pre>"), "<pre><code>node</code></pre>");
});
