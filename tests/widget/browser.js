// The parts of a browser that the widget's modules use outside of the page: storage, window events,
// and timers that run fast.

const HURRY = 50;

/** @implements {Pick<Storage, "getItem" | "setItem" | "removeItem">} */
class FakeStorage {
  constructor() {
    this.values = new Map();
  }

  getItem(name) {
    return this.values.get(name) ?? null;
  }

  setItem(name, value) {
    this.values.set(name, String(value));
  }

  removeItem(name) {
    this.values.delete(name);
  }
}

/** An empty browser tab, as globals. Call it before each test. */
export function openTab() {
  const events = new EventTarget();
  Object.assign(globalThis, {
    window: globalThis,
    localStorage: new FakeStorage(),
    sessionStorage: new FakeStorage(),
    addEventListener: events.addEventListener.bind(events),
    dispatchEvent: events.dispatchEvent.bind(events),
  });
}

/** Change localStorage as another tab does, with the event that is dispatched here then. */
export function changeInAnotherTab(key, value) {
  if (value === null) localStorage.removeItem(key);
  else localStorage.setItem(key, JSON.stringify(value));
  dispatchEvent(Object.assign(new Event("storage"), { key }));
}

const { setTimeout: realSetTimeout } = globalThis;

/** Run timers 50 times as fast, so that retries and polling do not slow the tests down. */
export function hurryTimers() {
  const hurried = (work, ms, ...args) => realSetTimeout(work, ms / HURRY, ...args);
  Object.assign(globalThis, { setTimeout: hurried });
}

/** Resolves once `condition()` is truthy; fails after 5 s. */
export async function eventually(condition) {
  const deadline = Date.now() + 5000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`never true: ${condition}`);
    await new Promise((resolve) => realSetTimeout(resolve, 5));
  }
}
