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
 * The first place where the texts, read one after the other, have the quote.
 *
 * @param {string[]} texts such as those of a page's text nodes
 * @param {string} quote
 * @returns {Span | null}
 */
export function findQuote(texts, quote) {
  const wanted = lettersOf([quote]).letters;
  if (!wanted) return null;
  const { letters, places } = lettersOf(texts);
  for (let at = letters.indexOf(wanted); at >= 0; at = letters.indexOf(wanted, at + 1)) {
    const [start] = places[at];
    const [, end] = places[at + wanted.length - 1];
    if (!isWithinWord(texts, start) && !isWithinWord(texts, end)) return withMarks(texts, quote.trim(), { start, end });
  }
  return null;
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
 * With as much punctuation around the words as the quote has.
 *
 * @param {string[]} texts
 * @param {string} quote
 * @param {Span} span
 * @returns {Span}
 */
function withMarks(texts, quote, { start, end }) {
  const before = TRAILING_MARKS.exec(texts[start.text].slice(0, start.offset))?.[0].length ?? 0;
  const after = LEADING_MARKS.exec(texts[end.text].slice(end.offset))?.[0].length ?? 0;
  const wantedBefore = LEADING_MARKS.exec(quote)?.[0].length ?? 0;
  const wantedAfter = TRAILING_MARKS.exec(quote)?.[0].length ?? 0;
  return {
    start: { ...start, offset: start.offset - Math.min(before, wantedBefore) },
    end: { ...end, offset: end.offset + Math.min(after, wantedAfter) },
  };
}
