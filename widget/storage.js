// What a reader comes back to. Where the browser keeps nothing for us, it lasts as long as the page.

class Memory {
  #values = new Map();
  getItem = (name) => this.#values.get(name) ?? null;
  setItem = (name, value) => this.#values.set(name, value);
  removeItem = (name) => this.#values.delete(name);
}

/** `kind` is localStorage or sessionStorage; access to either may throw. */
function storageOf(kind) {
  try {
    const storage = window[kind];
    storage.setItem("book-chat", "");
    storage.removeItem("book-chat");
    return storage;
  } catch {
    return new Memory();
  }
}

/** Values under names of one server's own; `onChange` hears of those that other tabs change. */
export class Store {
  constructor(origin, kind = "localStorage") {
    this.prefix = `book-chat ${origin} `;
    this.storage = storageOf(kind);
  }

  get(name) {
    try {
      return JSON.parse(this.storage.getItem(this.prefix + name));
    } catch {
      return null;
    }
  }

  set(name, value) {
    try {
      if (value === null) this.storage.removeItem(this.prefix + name);
      else this.storage.setItem(this.prefix + name, JSON.stringify(value));
    } catch {
      // Full: the conversation goes on, and is merely not found again after a reload.
    }
  }

  onChange(name, heard) {
    addEventListener("storage", (event) => {
      if (event.key === this.prefix + name) heard(this.get(name));
    });
  }
}

/** A random UUID, also where the page is not served securely and `randomUUID` is missing. */
export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}
