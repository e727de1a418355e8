import assert from "node:assert/strict";
import { test } from "node:test";
import { shortcutMatcher } from "../../widget/keys.js";

/** @returns {any} */
function press(code, modifiers = "") {
  const names = modifiers.split("+");
  const has = (name) => names.includes(name);
  return { code, altKey: has("alt"), shiftKey: has("shift"), ctrlKey: has("ctrl"), metaKey: has("meta") };
}

test("a shortcut needs its key and exactly its modifiers", () => {
  const matches = shortcutMatcher("Alt+Shift+A");

  assert.equal(matches(press("KeyA", "alt+shift")), true);
  assert.equal(matches(press("KeyB", "alt+shift")), false);
  assert.equal(matches(press("KeyA", "alt")), false);
  assert.equal(matches(press("KeyA", "alt+shift+ctrl")), false);
});

test("blanks, capitals and digits in a shortcut make no difference", () => {
  assert.equal(shortcutMatcher(" ctrl + k ")(press("KeyK", "ctrl")), true);
  assert.equal(shortcutMatcher("Alt+1")(press("Digit1", "alt")), true);
});

test("Ctrl also stands for the Mac's command key", () => {
  assert.equal(shortcutMatcher("Ctrl+K")(press("KeyK", "meta")), true);
});

test("what is no shortcut never matches", () => {
  for (const text of ["", "off", "+++", "Alt+Space"]) {
    assert.equal(shortcutMatcher(text)(press("KeyO", "")), false, text);
  }
});
