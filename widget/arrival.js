// The words that an address names (`#:~:text=`), by which the reader comes to a page. The browser scrolls to
// them and highlights them, but its highlight is lost where scripts make the words anew, as Docusaurus does
// with code; and a router that turns to the page without loading it does neither.

import { highlight, isThisPage, rangeAt, scrollTo } from "./landing.js";

const WATCHED_MS = 10_000;
const PAUSE_MS = 150;
const MOST_SEARCHES = 20;
const READING = ["wheel", "touchmove", "keydown", "pointerdown"];

/**
 * The address that the reader entered this page by; `location` has it without its text directive.
 *
 * @returns {string} empty where the reader came back to it
 */
export function addressOfEntry() {
  const [entry] = performance.getEntriesByType("navigation");
  const { type = "", name = "" } = /** @type {PerformanceNavigationTiming | undefined} */ (entry) ?? {};
  return type === "navigate" ? name : "";
}

/**
 * What the text directive of an address consists of: `before-,quote,last,-after`, all but the quote optional.
 *
 * @param {string} url
 */
function directiveOf(url) {
  const parts = (/:~:(?:.*&)?text=([^&]*)/.exec(url)?.[1] ?? "").split(",");
  try {
    const before = parts[0].endsWith("-") ? decodeURIComponent(parts.shift() ?? "") : "";
    const after = parts.at(-1)?.startsWith("-") ? decodeURIComponent(parts.pop() ?? "") : "";
    const [quote = "", last = ""] = parts.map(decodeURIComponent);
    return { quote, last, before, after };
  } catch {
    return { quote: "" }; // not UTF-8
  }
}

/**
 * Show what an address names on this page, and again while the page's scripts may still make it anew. A
 * reader who has begun to read is not scrolled back, and the next click ends it.
 *
 * The highlight is always ours, too: nothing tells whether the browser's is still there, which is drawn above.
 */
export class Arrival {
  /** @type {Range | null} */
  #range = null;
  #text = "";
  #searches = 0;
  #isReading = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {string} url of this page, or of one that a router may turn to
   * @param {(range: Range) => void} onShown called once it is in view, unless the reader was faster
   */
  constructor(url, onShown) {
    this.url = url;
    this.onShown = onShown;
    this.words = directiveOf(url);
    if (!this.words.quote) return;
    this.#watch();
    this.#look();
  }

  #watch() {
    const end = new AbortController();
    const options = { signal: end.signal, capture: true, passive: true };
    const later = () => {
      this.#timer ??= setTimeout(() => this.#look(), PAUSE_MS);
    };
    const observer = new MutationObserver(later);
    observer.observe(document, { childList: true, subtree: true });
    addEventListener("load", later, options);
    for (const type of READING) {
      addEventListener(type, () => (this.#isReading = true), options);
    }
    addEventListener("click", () => end.abort(), options);
    setTimeout(() => end.abort(), WATCHED_MS);
    end.signal.onabort = () => {
      observer.disconnect();
      clearTimeout(this.#timer);
    };
  }

  #look() {
    this.#timer = undefined;
    if (!isThisPage(this.url)) return;
    if (!this.#range || String(this.#range) !== this.#text) this.#search();
    if (!this.#range || this.#isReading) return;
    if (!isInView(this.#range)) scrollTo(this.#range);
    this.onShown(this.#range);
    this.onShown = () => {};
  }

  #search() {
    const { quote, ...more } = this.words;
    this.#searches += 1;
    this.#range = this.#searches > MOST_SEARCHES ? null : rangeAt(this.url, quote, more);
    this.#text = String(this.#range ?? "");
    if (this.#range) highlight(this.#range);
  }
}

/** @param {Range} range */
function isInView(range) {
  const { top, bottom } = range.getBoundingClientRect();
  return top >= 0 && (bottom <= innerHeight || top < innerHeight / 2);
}
