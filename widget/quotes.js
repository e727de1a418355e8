// Finding a quote in a page's texts. Letters and digits are compared, without accents and case; white
// space, quotation marks, dashes and the other punctuation differ between a book's source and its pages.

const LETTER = /[\p{L}\p{N}]/u;
const ENDS_IN_LETTER = /[\p{L}\p{N}]$/u;
const LEADING_MARKS = /^[^\s\p{L}\p{N}]*/u;
const TRAILING_MARKS = /[^\s\p{L}\p{N}]*$/u;

/**
 * @typedef {{text: number, offset: number}} Place a text's index, and UTF-16 units from its beginning
 * @typedef {{start: Place, end: Place}} Span
 */

/**
 * The first place where the texts, read one after the other, have the quote: all of it, or from its first
 * words to its last ones. `before` and `after` are what stands directly around it.
 *
 * @param {string[]} texts such as those of a page's text nodes
 * @param {string} quote
 * @param {{last?: string, before?: string, after?: string}} [more]
 * @returns {Span | null}
 */
export function findQuote(texts, quote, { last = "", before = "", after = "" } = {}) {
  const [first, end, prefix, suffix] = [quote, last, before, after].map((text) => lettersOf([text]).letters);
  if (!first) return null;
  const { letters, places } = lettersOf(texts);
  /** @param {string} words @param {string} prefix @param {string} suffix @param {number} from */
  const spanOf = (words, prefix, suffix, from) => {
    const wanted = prefix + words + suffix;
    for (let at = letters.indexOf(wanted, from); at >= 0; at = letters.indexOf(wanted, at + 1)) {
      const index = at + prefix.length;
      const [start] = places[index];
      const [, end] = places[index + words.length - 1];
      if (!isWithinWord(texts, start) && !isWithinWord(texts, end)) return { start, end, next: index + words.length };
    }
    return null;
  };
  const head = spanOf(first, prefix, end ? "" : suffix, 0);
  const tail = head && end ? spanOf(end, "", suffix, head.next) : head;
  return head && tail && withMarks(texts, `${quote} ${last}`.trim(), { start: head.start, end: tail.end });
}

/**
 * The letters and digits of texts, and where each of them starts and ends.
 *
 * @param {string[]} texts
 */
function lettersOf(texts) {
  let letters = "";
  /** @type {[Place, Place][]} */
  const places = [];
  texts.forEach((each, text) => {
    let offset = 0;
    for (const character of each) {
      const start = { text, offset };
      offset += character.length;
      for (const letter of character.normalize("NFKD").toLowerCase()) {
        if (!LETTER.test(letter)) continue;
        letters += letter;
        for (let unit = 0; unit < letter.length; unit += 1) places.push([start, { text, offset }]);
      }
    }
  });
  return { letters, places };
}

/**
 * Whether a word goes on at a place. Between two texts one never does: they may be two paragraphs.
 *
 * @param {string[]} texts
 * @param {Place} place
 */
function isWithinWord(texts, { text, offset }) {
  const before = texts[text].slice(0, offset);
  return ENDS_IN_LETTER.test(before) && LETTER.test(String.fromCodePoint(texts[text].codePointAt(offset) ?? 0));
}

/**
 * With as much punctuation around the words as the quote has: any in their own text; the same in the texts
 * beside it, as those of coloured code are.
 *
 * @param {string[]} texts
 * @param {string} quote
 * @param {Span} span
 * @returns {Span}
 */
function withMarks(texts, quote, { start, end }) {
  const [before] = /** @type {string[]} */ (LEADING_MARKS.exec(quote));
  const [after] = /** @type {string[]} */ (TRAILING_MARKS.exec(quote));
  return { start: beforeMarks(texts, start, before), end: afterMarks(texts, end, after) };
}

/** @param {string[]} texts @param {Place} place @param {string} marks @returns {Place} */
function beforeMarks(texts, { text, offset }, marks) {
  const there = TRAILING_MARKS.exec(texts[text].slice(0, offset))?.[0].length ?? 0;
  const taken = Math.min(there, marks.length);
  const rest = marks.slice(0, marks.length - taken);
  const previous = texts[text - 1];
  const goesOn = rest && taken === offset && previous !== undefined && rest.endsWith(previous.slice(-rest.length));
  if (goesOn) return beforeMarks(texts, { text: text - 1, offset: previous.length }, rest);
  return { text, offset: offset - taken };
}

/** @param {string[]} texts @param {Place} place @param {string} marks @returns {Place} */
function afterMarks(texts, { text, offset }, marks) {
  const there = LEADING_MARKS.exec(texts[text].slice(offset))?.[0].length ?? 0;
  const end = offset + Math.min(there, marks.length);
  const rest = marks.slice(end - offset);
  const next = texts[text + 1];
  const goesOn = rest && end === texts[text].length && next !== undefined;
  if (goesOn && rest.startsWith(next.slice(0, rest.length)))
    return afterMarks(texts, { text: text + 1, offset: 0 }, rest);
  return { text, offset: end };
}
