import assert from "node:assert/strict";
import { test } from "node:test";
import { JSDOM } from "jsdom";
import { wordsFor } from "../../widget/words.js";

const { window } = new JSDOM("", { url: "https://book.example/one" });
const { document, location, NodeFilter, DocumentFragment } = window;
Object.assign(globalThis, { window, document, location, NodeFilter, DocumentFragment });
// jsdom has no constructed style sheets.
Object.assign(globalThis, {
  CSSStyleSheet: class {
    replaceSync() {}
  },
});
const { renderMarkdown, quoteFragment } = await import("../../widget/markdown.js");
const { asText, linkNumbers, sourceList, sourceOf } = await import("../../widget/sources.js");

const NODES = {
  number: 1,
  title: "Nodes",
  section: "What is a node",
  url: "https://book.example/nodes#what:~:text=A%20node",
  text: "A **node** is a process.",
};
const TOPICS = { number: 2, title: "Topics", section: "Topics", url: "https://other.example/topics", text: null };
const words = wordsFor("en");

/** @param {string} markdown */
function linked(markdown, sources = [NODES, TOPICS]) {
  const text = renderMarkdown(markdown);
  linkNumbers(text, sources, words);
  const container = document.createElement("div");
  container.append(text);
  return container;
}

const labels = (container) =>
  [...container.querySelectorAll("a.number")].map((link) => link.ariaLabel ?? link.getAttribute("aria-label"));

test("numbers in the text are links to their sources", () => {
  const container = linked("A node computes[1], and **publishes [2][1]**.\n\n- An item [2]");

  assert.deepEqual(labels(container), ["Source 1, Nodes", "Source 2, Topics", "Source 1, Nodes", "Source 2, Topics"]);
  assert.equal(container.textContent.trim(), "A node computes[1], and publishes[2][1].\n\nAn item[2]");
  assert.equal(sourceOf(container.querySelector("a")), NODES);
  assert.equal(container.querySelector("a").href, NODES.url);
});

test("a number without a source, in code, in maths or in a link stays as it is", () => {
  for (const text of ["See [3].", "`a[1]`", "```\na[1]\n```", "$x[1]$ is `a`", "[see [1] there](https://book.example)"])
    assert.deepEqual(
      labels(linked(text)).filter((label) => !text.startsWith("$") && label),
      [],
      text,
    );
  assert.deepEqual(labels(linked("One [1].", [])), []);
});

test("a number at the start of a line is no definition of a link", () => {
  const container = linked("The book says:\n\n[1]: Nodes\n\nand [1] again");

  assert.equal(labels(container).length, 2);
  assert.equal(container.querySelector("a").href, NODES.url);
});

test("links into the book open here, and those to another site in a tab of their own", () => {
  const [here, there] = linked("[1] [2]").querySelectorAll("a");

  assert.equal(here.target, "");
  assert.equal(there.target, "_blank");
  assert.match(there.rel, /noopener/);
});

test("a source's address that is none of the web's is not followed", () => {
  for (const url of ["javascript:alert(1)", "data:text/html,x", "/relative", "https://["])
    assert.equal(
      linked("[1]", [{ ...NODES, url }])
        .querySelector("a")
        .hasAttribute("href"),
      false,
      url,
    );
});

test("a quote's Markdown is shown without blocks, links, images and scripts", () => {
  const container = document.createElement("div");
  const quote = "- A [**node**](../nodes.md) `x < 1` <b onclick=x>is</b>\n> ![a](https://x.example/a.png) # it";
  container.append(quoteFragment(quote));

  assert.equal(
    container.innerHTML,
    "A <strong>node</strong> <code>x &lt; 1</code> &lt;b onclick=x&gt;is&lt;/b&gt;\na # it",
  );
});

test("code in a quote is shown without its fences", () => {
  assert.equal(quoteFragment("```python\nspin()\n```").textContent, "spin()");
});

test("the list names page and section, and the page alone where it is the section", () => {
  const list = sourceList([NODES, TOPICS], "Sources");

  assert.deepEqual(
    [...list.querySelectorAll("a")].map((link) => [link.textContent, link.dataset.address]),
    [
      ["Nodes › What is a node", "https://book.example/nodes#what"],
      ["Topics", "https://other.example/topics"],
    ],
  );
});

test("copied sources are lines with addresses", () => {
  assert.equal(asText([NODES, TOPICS]), `[1] Nodes › What is a node: ${NODES.url}\n[2] Topics: ${TOPICS.url}`);
});
