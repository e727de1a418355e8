import assert from "node:assert/strict";
import { test } from "node:test";
import { findQuote } from "../../widget/quotes.js";

/** What is found, as the texts have it; `null` where nothing is. */
function found(texts, quote, more = {}) {
  const span = findQuote(texts, quote, more);
  if (!span) return null;
  const { start, end } = span;
  if (start.text === end.text) return texts[start.text].slice(start.offset, end.offset);
  const between = texts.slice(start.text + 1, end.text);
  return [texts[start.text].slice(start.offset), ...between, texts[end.text].slice(0, end.offset)].join("");
}

test("a quote is found in one text, with its punctuation", () => {
  const texts = ["Robots. A node is a process (of its own). It spins."];

  assert.equal(found(texts, "A node is a process (of its own)."), "A node is a process (of its own).");
  assert.equal(found(texts, " (of its own)\n"), "(of its own)");
  assert.equal(found(texts, "a process"), "a process");
});

test("a quote is found across inline elements and paragraphs", () => {
  assert.equal(found(["A ", "no", "de", " is a ", "process", "."], "A node is a process"), "A node is a process");
  assert.equal(found(["Nodes", "A node", "spins."], "A node spins."), "A nodespins.");
});

test("white space, case, quotation marks, dashes, accents and soft hyphens need not be the same", () => {
  const texts = ["Sie sagt:\u00a0„Ein Kno\u00adten –\n  nicht zwei – läuft“, don\u2019t\u200b worry"];

  for (const quote of [
    'sagt: "Ein Knoten - nicht zwei - läuft", don\'t worry',
    "sagt Ein Knoten nicht zwei la\u0308uft don’t worry",
  ]) {
    const [start, end] = [texts[0].indexOf("sagt"), texts[0].length];
    assert.equal(found(texts, quote), texts[0].slice(start, end), quote);
  }
  assert.equal(found(["ﬁrst Ⅻ"], "first xii"), "ﬁrst Ⅻ");
  assert.equal(found(["یہ نوڈ ہے۔ بس"], "نوڈ ہے۔"), "نوڈ ہے۔");
});

test("another word, number or negation is not the quote", () => {
  const texts = ["A node is not a process. It has 10 threads."];

  for (const quote of ["A node is a process", "It has 100 threads", "It has 1", "A node is no", "", " – "])
    assert.equal(found(texts, quote), null, quote);
});

test("a quote begins and ends with whole words", () => {
  assert.equal(found(["spinning it is to spin() it"], "spin()"), "spin()");
  assert.equal(found(["Title", "spin it"], "spin"), "spin"); // a heading, and then a paragraph
});

test("characters of two units do not move what is found", () => {
  assert.equal(found(["🤖🤖 ", "𝐀 node 🤖 runs. 🤖"], "a node runs."), "𝐀 node 🤖 runs.");
});

test("punctuation may be in texts of its own, as in coloured code, and is not taken from what follows", () => {
  const texts = ["say", "(", '"', "hi", '"', ")", ".", "spin", "(", ")"];

  assert.equal(found(texts, 'say("hi").'), 'say("hi").');
  assert.equal(found(texts, '("hi")'), '("hi")');
  assert.equal(found(["It spins", "(see below)"], "It spins."), "It spins");
});

test("a quote is found by its first and last words, and between those that stand around it", () => {
  const texts = ["A node is here. ", "A node ", "is a process. It ends. A node is a robot."];

  assert.equal(found(texts, "A node", { after: "is a robot" }), "A node");
  assert.equal(found(texts, "A node is", { last: "It ends." }), "A node is here. A node is a process. It ends.");
  const more = { before: "here.", last: "process", after: "It" };
  assert.equal(found(texts, "A node", more), "A node is a process");
  assert.equal(found(texts, "A node", { before: "there" }), null);
  assert.equal(found(texts, "It ends", { last: "A node is here" }), null);
});
