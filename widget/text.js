// What a text shows, and in which direction it is written.

// White space and characters that show nothing, such as a zero-width space, as chat/api/invisible.py has them.
const BLANK = /^[\s\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800\u{1D159}]*$/u;

/** @param {string} text */
export function isBlank(text) {
  return BLANK.test(text);
}

const FIRST_STRONG = /[\p{L}\u200E\u200F]/u;
const RIGHT_TO_LEFT = /[\u0590-\u08FF\u200F\uFB1D-\uFDFF\uFE70-\uFEFF\u{10800}-\u{10FFF}\u{1E800}-\u{1EFFF}]/u;

/**
 * The direction of a text, by its first letter.
 *
 * @param {string} text
 * @returns {"ltr" | "rtl" | ""} empty for a text without letters
 */
export function directionOf(text) {
  const letter = FIRST_STRONG.exec(text)?.[0];
  if (!letter) return "";
  return RIGHT_TO_LEFT.test(letter) ? "rtl" : "ltr";
}

const BLOCKS = "blockquote, h1, h2, h3, h4, h5, h6, li, ol, p, table, td, th, ul";

/**
 * Give each block the direction of its own text. Code is left out: a sentence may begin with it, in any
 * language. (`dir="auto"` cannot do it: a list would ignore the text of its items.)
 *
 * @param {Node} root
 */
export function setDirections(root) {
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { data, parentElement } = /** @type {Text} */ (texts.currentNode);
    const direction = directionOf(data);
    if (direction && !parentElement?.closest("code")) setDirectionAround(parentElement, direction);
  }
}

/**
 * @param {HTMLElement | null} element
 * @param {string} direction of the blocks around it that have none yet
 */
function setDirectionAround(element, direction) {
  for (let each = element; each && !each.dir; each = each.parentElement) {
    if (each.matches(BLOCKS)) each.dir = direction;
  }
}
