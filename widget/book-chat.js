// The <book-chat> element, and `mount`, which the loader calls.
//
// A page has one living chat. Client-side routers and frameworks that replace the page's body take
// its element out of the page, or bring in a copy of it, which does nothing: a snapshot of the page, or
// its HTML. Then the living element is put back, in the copy's place where there is one.

import { Chat } from "./chat.js";

/** @import { ServerInfo, Settings } from "./layout.js" */

const NAME = "book-chat";
const IMMEDIATE_RETURNS = 10;
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 60_000;
const SETTLED_MS = 5000;

class BookChat extends HTMLElement {
  /** @type {BookChat | null} the one that lives */
  static #living = null;
  /** @type {Set<BookChat>} in the page, but not alive */
  static #copies = new Set();
  static #isScheduled = false;
  static #returns = 0;
  static #lastReturn = 0;

  /** @type {Chat | null} */
  #chat = null;
  #target = "";

  /**
   * @param {Settings} settings
   * @param {ServerInfo} server
   * @param {string} base
   */
  static mount(settings, server, base) {
    if (BookChat.#living) return BookChat.#schedule();
    const element = /** @type {BookChat} */ (document.createElement(NAME));
    BookChat.#living = element;
    element.#target = settings.target ?? "";
    BookChat.#putIntoPage();
    element.#chat = new Chat(element, settings, server, base);
  }

  connectedCallback() {
    if (this.ownerDocument !== document) return; // of an iframe, say
    if (this === BookChat.#living) return this.#chat?.onReturn();
    BookChat.#copies.add(this);
    BookChat.#schedule();
  }

  disconnectedCallback() {
    BookChat.#copies.delete(this);
    if (this !== BookChat.#living) return;
    this.#chat?.onRemoval();
    BookChat.#schedule();
  }

  /** After the page's own work, which may consist of several steps or put the element back itself. */
  static #schedule() {
    if (BookChat.#isScheduled) return;
    BookChat.#isScheduled = true;
    const delay = BookChat.#delay();
    if (delay) setTimeout(BookChat.#putIntoPage, delay);
    else queueMicrotask(BookChat.#putIntoPage);
  }

  /** None, unless the page keeps removing the element: then it is put back less and less often. */
  static #delay() {
    if (performance.now() - BookChat.#lastReturn > SETTLED_MS) BookChat.#returns = 0;
    const excess = BookChat.#returns - IMMEDIATE_RETURNS;
    return excess < 0 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** excess, MAX_DELAY_MS);
  }

  static #putIntoPage() {
    BookChat.#isScheduled = false;
    const living = BookChat.#living;
    if (!living) return;
    const [firstCopy, ...otherCopies] = BookChat.#copies;
    const isInPage = living.isConnected && living.ownerDocument === document;
    if (isInPage) firstCopy?.remove();
    else if (!living.#enter(firstCopy)) return BookChat.#retry();
    for (const copy of otherCopies) copy.remove();
  }

  /** There is no body at the moment. */
  static #retry() {
    BookChat.#isScheduled = true;
    setTimeout(BookChat.#putIntoPage, FIRST_DELAY_MS);
  }

  /**
   * @param {BookChat} [copy] to take the place of
   * @returns {boolean} whether the page has a place for it
   */
  #enter(copy) {
    const parent = (this.#target && document.querySelector(this.#target)) || document.body;
    if (!copy && !parent) return false;
    BookChat.#returns += 1;
    BookChat.#lastReturn = performance.now();
    if (copy) copy.replaceWith(this);
    else parent.append(this);
    return true;
  }
}

/**
 * Put the chat into the page, once: a script tag that is given twice, or another release of this
 * module, finds the class that is registered already.
 *
 * @param {Settings} settings
 * @param {ServerInfo} server
 * @param {string} base
 */
export function mount(settings, server, base) {
  if (!customElements.get(NAME)) customElements.define(NAME, BookChat);
  const registered = /** @type {{mount?: typeof mount}} */ (/** @type {unknown} */ (customElements.get(NAME)));
  registered.mount?.(settings, server, base);
}
