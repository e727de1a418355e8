import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Store, uuid } from "../../widget/storage.js";
import { changeInAnotherTab, openTab } from "./browser.js";

const ORIGIN = "https://chat.example";
const KEY = `book-chat ${ORIGIN} session`;
const UUID4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

beforeEach(openTab);

test("a value is found again by the next page", () => {
  new Store(ORIGIN).set("session", { id: 1 });

  assert.deepEqual(new Store(ORIGIN).get("session"), { id: 1 });
});

test("null removes a value", () => {
  const store = new Store(ORIGIN);
  store.set("session", "a");
  store.set("session", null);

  assert.equal(store.get("session"), null);
  assert.equal(localStorage.getItem(KEY), null);
});

test("two servers' chats on one page do not share values", () => {
  new Store(ORIGIN).set("session", "a");

  assert.equal(new Store("https://other.example").get("session"), null);
});

test("local and session storage are kept apart", () => {
  new Store(ORIGIN).set("open", true);

  assert.equal(new Store(ORIGIN, "sessionStorage").get("open"), null);
});

test("a value that is no JSON counts as none", () => {
  localStorage.setItem(KEY, "{half");

  assert.equal(new Store(ORIGIN).get("session"), null);
});

test("where storage is blocked, values last as long as the page", (context) => {
  const get = () => {
    throw new DOMException("Blocked", "SecurityError");
  };
  Object.defineProperty(globalThis, "localStorage", { get, configurable: true });
  context.after(() => Reflect.deleteProperty(globalThis, "localStorage"));
  const store = new Store(ORIGIN);

  store.set("session", "a");
  assert.equal(store.get("session"), "a");
  store.set("session", null);
  assert.equal(store.get("session"), null);
});

test("a full storage does not stop the conversation", () => {
  const store = new Store(ORIGIN);
  localStorage.setItem = () => {
    throw new DOMException("Full", "QuotaExceededError");
  };

  store.set("session", "a");

  assert.equal(store.get("session"), null);
});

test("a change in another tab is reported with its value, other names are not", () => {
  const values = [];
  new Store(ORIGIN).onChange("session", (value) => values.push(value));

  changeInAnotherTab(KEY, "a");
  changeInAnotherTab(`book-chat ${ORIGIN} asked`, "b");
  changeInAnotherTab(KEY, null);

  assert.deepEqual(values, ["a", null]);
});

test("UUIDs are random version 4, also where randomUUID is missing", (context) => {
  const { randomUUID } = crypto;
  context.after(() => Object.assign(crypto, { randomUUID }));

  assert.match(uuid(), UUID4);
  Object.assign(crypto, { randomUUID: undefined });
  assert.match(uuid(), UUID4);
  assert.notEqual(uuid(), uuid());
});
