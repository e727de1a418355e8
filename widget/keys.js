// Keys that mean something to the chat.

/**
 * A test for key presses that are a shortcut such as `Alt+Shift+A`.
 *
 * @param {string} text
 * @returns {(event: KeyboardEvent) => boolean} never true where the text is empty or `off`
 */
export function shortcutMatcher(text) {
  const parts = text
    .toLowerCase()
    .split("+")
    .map((part) => part.trim());
  const key = parts.pop() ?? "";
  const code = key >= "0" && key <= "9" ? `digit${key}` : `key${key}`;
  const needs = (/** @type {string} */ name) => parts.includes(name);
  return (event) =>
    key.length === 1 &&
    event.code.toLowerCase() === code &&
    event.altKey === needs("alt") &&
    event.shiftKey === needs("shift") &&
    (event.ctrlKey || event.metaKey) === (needs("ctrl") || needs("meta"));
}

const INPUT_METHOD_KEY_CODE = 229;

/**
 * Whether a key press belongs to an input method, as for Japanese. Safari reports the key that ends a
 * composition after the composition, with nothing but this key code.
 *
 * @param {KeyboardEvent} event
 */
export function isComposing(event) {
  return event.isComposing || event.keyCode === INPUT_METHOD_KEY_CODE;
}
