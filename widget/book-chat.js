// The <book-chat> element, and `mount`, which the loader calls.

import { Chat } from "./chat.js";

/** @import { ServerInfo, Settings } from "./layout.js" */

class BookChat extends HTMLElement {}

/**
 * Put the chat into the page, once.
 *
 * @param {Settings} settings
 * @param {ServerInfo} server
 * @param {string} origin
 */
export function mount(settings, server, origin) {
  if (document.querySelector("book-chat")) return;
  if (!customElements.get("book-chat")) customElements.define("book-chat", BookChat);
  const element = document.createElement("book-chat");
  (document.querySelector(settings.target ?? "none") ?? document.body).append(element);
  new Chat(element, settings, server, origin);
}
