import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { test } from "node:test";
import { JSDOM } from "jsdom";

const { window } = new JSDOM("");
Object.assign(globalThis, { window, document: window.document, NodeFilter: window.NodeFilter });
const { renderMarkdown } = await import("../../widget/markdown.js");

/**
 * Without the directions, which text.test.js is about.
 *
 * @param {string} markdown
 */
function html(markdown) {
  const container = document.createElement("div");
  container.append(renderMarkdown(markdown));
  return container.innerHTML.trim().replaceAll(' dir="ltr"', "");
}

test("Markdown becomes elements", () => {
  assert.equal(html("A **node** *computes*."), "<p>A <strong>node</strong> <em>computes</em>.</p>");
  assert.match(html("1. one\n2. two"), /^<ol>\s*<li>one<\/li>\s*<li>two<\/li>\s*<\/ol>$/);
  assert.match(html("| a |\n|---|\n| 1 |"), /<th>a<\/th>[\s\S]*<td>1<\/td>/);
  assert.match(html("```python\nnode = 1 < 2\n```"), /<pre><code>node = 1 &lt; 2\n<\/code><\/pre>/);
});

test("each block has a direction", () => {
  const blocks = [...renderMarkdown("A node.\n\nایک نوڈ").children].map((block) => block.getAttribute("dir"));

  assert.deepEqual(blocks, ["ltr", "rtl"]);
});

test("maths is left as written", () => {
  for (const maths of ["$x_1 + y_2 * z_1$", "\\(a_1 * b_1\\)", "\\[a_1\\\\b_1\\]", "$$\na_1 * b_1\n$$"]) {
    assert.equal(html(maths), `<p>${maths}</p>`);
  }
});

test("prices are no maths", () => {
  assert.equal(html("It costs $5 or *$6* each."), "<p>It costs $5 or <em>$6</em> each.</p>");
});

test("links open in a tab of their own, without a referrer", () => {
  const link = renderMarkdown("[a](https://example.org/a)").querySelector("a");

  assert.equal(link?.getAttribute("href"), "https://example.org/a");
  assert.equal(link?.getAttribute("target"), "_blank");
  assert.equal(link?.getAttribute("rel"), "noopener noreferrer nofollow");
});

test("links to anything but web and mail addresses lose their address", () => {
  const hostile = ["javascript:alert(1)", "javas&#99;ript:alert(1)", "data:text/html,x", "/relative", "//host/x"];
  for (const address of hostile) {
    assert.equal(renderMarkdown(`[a](${address})`).querySelector("a")?.getAttribute("href"), null, address);
  }
  assert.ok(renderMarkdown("[a](mailto:a@example.org)").querySelector("a[href]"));
});

test("images become links", () => {
  const nodes = renderMarkdown("![a robot](https://example.org/a.png)");

  assert.equal(nodes.querySelector("img"), null);
  assert.equal(nodes.querySelector("a")?.textContent, "a robot");
});

test("HTML is shown as written and does nothing", () => {
  const hostile = '<script>alert(1)</script> <b onclick="x()">b</b> <svg onload=x()></svg>';
  const nodes = renderMarkdown(hostile);

  assert.equal(nodes.querySelector("script, b, svg, [onclick]"), null);
  assert.equal(nodes.textContent?.trim(), hostile);
});

test("what is nested deeper than the call stack is shown as written", () => {
  const text = ">".repeat(20000);

  assert.equal(renderMarkdown(text).textContent, text);
});

test("the vendored libraries are the released files", async () => {
  const require = createRequire(import.meta.url);
  const released = {
    "marked-18.2.1/marked.esm.js": require.resolve("marked"),
    "dompurify-3.4.18/purify.min.mjs": require.resolve("dompurify/dist/purify.min.js"),
  };
  for (const [vendored, file] of Object.entries(released)) {
    const ours = await readFile(new URL(`../../widget/vendor/${vendored}`, import.meta.url), "utf8");
    const theirs = (await readFile(file, "utf8")).replace(/\n\/\/# sourceMappingURL=.*\n?$/, "");
    assert.ok(ours.includes(theirs.trim()), vendored);
  }
});
