// What readers find again after a reload. Where the browser stores nothing, it lasts as long as the page.

import { listen } from "./page-events.js";

/** @typedef {Pick<Storage, "getItem" | "setItem" | "removeItem">} KeyValueStorage */

/** @implements {KeyValueStorage} */
class MemoryStorage {
  /** @type {Map<string, string>} */
  #values = new Map();

  /** @param {string} name */
  getItem(name) {
    return this.#values.get(name) ?? null;
  }

  /** @param {string} name @param {string} value */
  setItem(name, value) {
    this.#values.set(name, value);
  }

  /** @param {string} name */
  removeItem(name) {
    this.#values.delete(name);
  }
}

/** @typedef {"localStorage" | "sessionStorage"} StorageKind */

/**
 * Reading the property may throw, and so may writing.
 *
 * @param {StorageKind} kind
 * @returns {KeyValueStorage}
 */
function openStorage(kind) {
  try {
    const storage = window[kind];
    storage.setItem("book-chat", "");
    storage.removeItem("book-chat");
    return storage;
  } catch {
    return new MemoryStorage();
  }
}

/** JSON values in the browser's storage, under keys that hold the server's base. */
export class Store {
  /**
   * @param {string} base
   * @param {StorageKind} [kind]
   */
  constructor(base, kind = "localStorage") {
    this.prefix = `book-chat ${base} `;
    this.storage = openStorage(kind);
  }

  /**
   * @param {string} name
   * @returns {any} null where nothing is stored
   */
  get(name) {
    try {
      return JSON.parse(this.storage.getItem(this.prefix + name) ?? "null");
    } catch {
      return null;
    }
  }

  /**
   * @param {string} name
   * @param {unknown} value null removes it
   */
  set(name, value) {
    try {
      if (value === null) this.storage.removeItem(this.prefix + name);
      else this.storage.setItem(this.prefix + name, JSON.stringify(value));
    } catch {
      // Storage is full: the conversation continues, but a reload will not find it.
    }
  }

  /**
   * Call back when another tab changes the value.
   *
   * @param {string} name
   * @param {(value: any) => void} callback
   */
  onChange(name, callback) {
    listen(window, "storage", (/** @type {StorageEvent} */ event) => {
      if (event.key === this.prefix + name) callback(this.get(name));
    });
  }
}

/** A random UUID; `crypto.randomUUID` is missing on pages served over plain HTTP. */
export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}
