// The conversation: its messages, and how a question gets its answer in spite of lost connections.
//
// A question is stored with an idempotency key before it is sent. It can then be sent again after a
// lost connection or a reload and is still answered once: the server returns the reply that it
// already has for that key.

import { ConnectionLost, Problem } from "./api.js";
import { uuid } from "./storage.js";

/**
 * @import {
 *   Api, Correction, Feedback, Grounding, History, HistoryMessage, Question, Rating, ReplyStatus,
 *   Rests, Source,
 * } from "./api.js"
 * @import { Store } from "./storage.js"
 *
 * @typedef {{
 *   detail?: string, code?: string, retryable: boolean, retryAt?: number,
 * }} Failure without `detail` the connection was lost; `retryAt` is in milliseconds since the epoch
 *
 * @typedef {{key: string, session: string, after: string | null | undefined, question: Question}} Outgoing
 *   a question with its idempotency key; `after` is the id of the message before it
 *
 * @typedef {object} Message
 * @property {string | null} [id] null until the server has named it
 * @property {"user" | "assistant"} role
 * @property {string} text
 * @property {ReplyStatus} [status]
 * @property {string | null} [passage] what the question is about
 * @property {string | null} [pageUrl]
 * @property {Feedback | null} [feedback]
 * @property {Correction | null} [correction]
 * @property {Source[]} [sources] without quotes as long as the answer is being written
 * @property {Grounding} [grounding]
 * @property {Source[]} [nearest] sections, where the book is silent
 * @property {Failure | null} [failure]
 * @property {"reconnecting" | "cutShort" | null} [notice] a key of words.js
 * @property {Outgoing} [outgoing] what was sent for this reply, while it can be sent again
 * @property {boolean} [isAboutPassage]
 * @property {boolean} [isAnnounced] screen readers were told that the answer has started
 *
 * @typedef {{reply: Message, isStopped: boolean, abort: AbortController}} Run waiting for one reply
 */

const RETRY_DELAYS_SECONDS = [0.5, 1, 2, 4, 8, 15, 15, 15];
const POLL_SECONDS = 1;
const STOP_RETRY_DELAYS_SECONDS = [0.3, 0.3, 0.3, 0.6, 1, 2, 4, 8];

/**
 * Wait for a time, or until the browser is online again or the signal is aborted.
 *
 * @param {number} seconds
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function pause(seconds, signal) {
  const over = new AbortController();
  return new Promise((resolve) => {
    const done = () => resolve(undefined);
    setTimeout(done, seconds * 1000);
    addEventListener("online", done, { signal: over.signal });
    signal.addEventListener("abort", done, { signal: over.signal });
  }).finally(() => over.abort());
}

/**
 * Dispatches `change` when the list of messages changes, `message` (detail: the message) when one of
 * them changes, and `ended` (detail: the reply) when no more is expected of a reply.
 */
export class Conversation extends EventTarget {
  /** @type {Message[]} oldest first */
  messages = [];
  hasOlder = false;
  /** @type {string | undefined} the oldest message loaded; it may be one that is not shown */
  #oldest;
  /** @type {Run | null} */
  #run = null;

  /**
   * @param {Api} api
   * @param {Store} store
   */
  constructor(api, store) {
    super();
    this.api = api;
    this.store = store;
    // Show another tab's question once it is answered. Errors are ignored: no one waits for it here.
    const refresh = () => this.open().catch(() => {});
    store.onChange("asked", (outgoing) => {
      if (!this.isAnswering && (!outgoing || outgoing.hasFailed)) refresh();
    });
    store.onChange("session", (session) => {
      if (!session) this.#reset();
    });
  }

  /** @returns {string} */
  get session() {
    return this.store.get("session");
  }

  get isAnswering() {
    return this.#run !== null;
  }

  get isEmpty() {
    return this.messages.length === 0;
  }

  // Coming back ---------------------------------------------------------------------------------
  /** Load the conversation so far, and wait for an answer that is still being written. */
  async open() {
    if (this.isAnswering) return;
    await this.#load();
    if (this.isAnswering) return; // a question was asked while loading
    const outgoing = this.store.get("asked");
    const last = this.messages.at(-1);
    if (outgoing && outgoing.session === this.session) this.#resume(outgoing);
    else if (last?.status === "pending") this.#awaitAnswer(last);
  }

  async #load() {
    if (!this.session) return this.#show([], false);
    try {
      const history = await this.api.history(this.session);
      this.#show(this.#withCurrent(this.#received(history)), history.has_more);
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 404) throw error;
      this.#show(this.#withCurrent([]), false); // deleted, or no question has arrived yet
    }
  }

  /**
   * The messages to show of a page of history.
   *
   * @param {History} history
   */
  #received({ messages }) {
    this.#oldest = messages[0]?.id ?? this.#oldest;
    return messages.filter(({ replaced }) => !replaced).map(fromHistory);
  }

  /**
   * Append the question asked while the history was loading, unless the history contains it already.
   *
   * @param {Message[]} past
   */
  #withCurrent(past) {
    if (!this.isAnswering) return past;
    const replaced = this.#run?.reply.outgoing?.question.replaces;
    const current = this.messages.slice(-2);
    if (replaced && before(past, replaced) !== past) return [...before(past, replaced), ...current];
    const [question, answer] = past.slice(-2);
    const isIncluded = question?.text === current[0].text && answer.status !== "complete";
    return [...past.slice(0, isIncluded ? -2 : undefined), ...current];
  }

  /**
   * Continue with a question that was sent before this page was loaded.
   *
   * @param {Outgoing & {hasFailed?: boolean}} stored
   */
  #resume({ hasFailed, ...outgoing }) {
    const [question, lastReply] = this.messages.slice(-2);
    const hasArrived = question?.text === outgoing.question.message && lastReply.id !== outgoing.after;
    if (hasArrived && lastReply.status === "pending") return this.#awaitAnswer(lastReply);
    if (hasArrived && lastReply.status !== "failed") return this.store.set("asked", null);
    const { question: asked } = outgoing;
    const reply = hasArrived ? lastReply : this.#add(asked, before(this.messages, asked.replaces));
    if (hasArrived || hasFailed) this.#update(reply, { status: "failed", outgoing });
    else this.#send(outgoing, reply);
  }

  /** Load the page of messages before the first one shown. */
  async loadOlder() {
    const history = await this.api.history(this.session, this.#oldest);
    this.#show([...this.#received(history), ...this.messages], history.has_more);
  }

  /** Load all messages before the first one shown, and block the page meanwhile. */
  loadAllOlderNow() {
    let { messages, hasOlder } = this;
    while (hasOlder) {
      const history = this.api.historyNow(this.session, this.#oldest);
      hasOlder = history.has_more && history.messages.length > 0;
      messages = [...this.#received(history), ...messages];
    }
    if (this.hasOlder) this.#show(messages, false);
  }

  // Asking --------------------------------------------------------------------------------------
  /**
   * @param {string} message
   * @param {string} passage empty where the question is about none
   * @param {string | null} pageUrl
   */
  ask(message, passage, pageUrl) {
    if (!this.isAnswering) this.#ask(newQuestion(message, passage, pageUrl), this.messages);
  }

  /**
   * Ask in the place of an earlier question; it and all that follows it leave the conversation.
   *
   * @param {Message} earlier
   * @param {string} message
   * @param {string} passage
   * @param {string | null} pageUrl
   */
  async replace(earlier, message, passage, pageUrl) {
    if (this.isAnswering) return;
    const replaces = await this.#storedId(earlier);
    if (this.isAnswering) return;
    const kept = this.messages.includes(earlier) ? before(this.messages, earlier) : before(this.messages, replaces);
    this.#ask({ ...newQuestion(message, passage, pageUrl), ...(replaces && { replaces }) }, kept);
  }

  /**
   * @param {Question} question
   * @param {Message[]} kept the messages before it
   */
  #ask(question, kept) {
    if (!this.session) this.store.set("session", uuid());
    const after = this.messages.at(-1)?.id;
    const outgoing = { key: uuid(), session: this.session, after, question };
    this.#send(outgoing, this.#add(question, kept));
  }

  /**
   * The id under which the server has a question. While it is answered nothing names it.
   *
   * @param {Message} question
   * @returns {Promise<string | null>} null where the server does not have it
   */
  async #storedId(question) {
    if (question.id) return question.id;
    const index = this.messages.indexOf(question);
    if (index < 0) return null;
    const reply = this.messages[index + 1];
    /** @type {string | null} */
    let oldest = null;
    for (;;) {
      /** @type {History} */
      const history = await this.api.history(this.session, oldest).catch(emptyIfUnknown);
      const stored = findReply(history.messages, reply);
      // Where it never arrived, the question that it was to replace is still there.
      if (stored || !history.has_more) return stored?.reply_to ?? reply.outgoing?.question.replaces ?? null;
      oldest = history.messages[0].id;
    }
  }

  /** @param {Message} reply that failed */
  async retry(reply) {
    if (this.isAnswering) return;
    if (reply.outgoing) this.#send(reply.outgoing, Object.assign(reply, { text: "", sources: [] }));
    else await this.askAgain(reply);
  }

  /**
   * Ask for another answer in the place of one.
   *
   * @param {Message} reply
   */
  askAgain(reply) {
    const question = this.messages[this.messages.indexOf(reply) - 1];
    return this.replace(question, question.text, question.passage ?? "", question.pageUrl ?? null);
  }

  /** Show again what a question was to replace that the server did not accept. */
  async restore() {
    if (this.isAnswering) return;
    this.store.set("asked", null);
    await this.#load();
  }

  /** Stop the answer that is being written, whichever tab asked for it. */
  async stop() {
    const run = this.#run;
    if (!run || run.isStopped) return;
    run.isStopped = true;
    for (const delay of STOP_RETRY_DELAYS_SECONDS) {
      // 404 and 204 mean that the question has not arrived yet.
      const outcome = await this.api.stop(this.session).catch((error) => error);
      if (outcome === true) return;
      if (outcome instanceof ConnectionLost) break;
      const isRefused = outcome instanceof Problem && outcome.status === 429;
      await pause(isRefused ? Math.max(outcome.retryAfter, 2 * delay, 1) : delay, run.abort.signal);
      if (this.#run !== run) return;
    }
    run.abort.abort(); // the server is unreachable: at least this browser stops waiting
  }

  /**
   * Show a question with an empty reply.
   *
   * @param {Question} question
   * @param {Message[]} kept the messages before it
   * @returns {Message} the reply
   */
  #add({ message: text, selected_text: passage, page_url: pageUrl }, kept) {
    /** @type {Message} */
    const reply = { id: null, role: "assistant", text: "", status: "pending" };
    this.#show([...kept, { role: "user", text, passage, pageUrl }, reply], this.hasOlder);
    return reply;
  }

  /**
   * Send the question until it is answered, refused, or the server stays unreachable.
   *
   * @param {Outgoing} outgoing
   * @param {Message} reply
   */
  async #send(outgoing, reply) {
    this.store.set("asked", outgoing);
    Object.assign(reply, { outgoing, status: "pending", failure: null });
    await this.#waitFor(reply, (run) => this.#sendWithRetries(outgoing, reply, run));
    if (this.store.get("asked")?.key !== outgoing.key) return; // replaced or removed meanwhile
    this.store.set("asked", reply.status === "failed" ? { ...outgoing, hasFailed: true } : null);
  }

  /** @param {Message} reply */
  #awaitAnswer(reply) {
    return this.#waitFor(reply, (run) => this.#poll(this.session, reply, run));
  }

  /**
   * Do the work that completes a reply; however it ends, the next question can be asked afterwards.
   *
   * @param {Message} reply
   * @param {(run: Run) => Promise<void>} work
   */
  async #waitFor(reply, work) {
    const run = { reply, isStopped: false, abort: new AbortController() };
    this.#run = run;
    this.#update(reply);
    try {
      await work(run);
    } catch (error) {
      this.#fail(reply, error);
    } finally {
      if (this.#run === run) {
        this.#run = null;
        this.#update(reply);
        this.dispatchEvent(new CustomEvent("ended", { detail: reply }));
      }
    }
  }

  /**
   * @param {Outgoing} outgoing
   * @param {Message} reply
   * @param {Run} run
   */
  async #sendWithRetries(outgoing, reply, run) {
    for (const delay of [...RETRY_DELAYS_SECONDS, null]) {
      try {
        return await this.#stream(outgoing, reply, run);
      } catch (error) {
        if (error instanceof Problem && error.code === "answer_in_progress") {
          return await this.#poll(outgoing.session, reply, run);
        }
        if (!(error instanceof ConnectionLost) || run.isStopped || delay === null) throw error;
        this.#update(reply, { notice: "reconnecting" });
        await pause(delay, run.abort.signal);
      }
    }
  }

  /**
   * Read the answer while it is being written.
   *
   * @param {Outgoing} outgoing
   * @param {Message} reply
   * @param {Run} run
   */
  async #stream({ session, question, key }, reply, { abort }) {
    let text = ""; // a repeated stream starts from the beginning
    /** @type {Source[]} */
    let sources = [];
    /** @type {{code?: string, retryable?: boolean}} */
    let problem = {};
    for await (const event of this.api.ask(session, question, key, abort.signal)) {
      if (event.type === "start") this.#update(reply, { id: event.messageId, notice: null });
      if (event.type === "text-delta") {
        text += event.delta;
        this.#update(reply, { text });
      }
      if (event.type === "source-url") {
        sources = [...sources, { number: Number(event.sourceId), title: event.title, url: event.url }];
        this.#update(reply, { sources });
      }
      if (event.type === "finish") {
        const notice = event.finishReason === "length" ? "cutShort" : null;
        this.#update(reply, { sources, ...restsOn(event.messageMetadata ?? {}), status: "complete", notice });
      }
      if (event.type === "abort") this.#update(reply, { status: "stopped" });
      if (event.type === "data-error") problem = event.data;
      if (event.type === "error") throw new Problem({ ...problem, detail: event.errorText });
    }
  }

  /**
   * Poll for an answer whose stream went to an earlier page or another tab.
   *
   * @param {string} session
   * @param {Message} reply
   * @param {Run} run
   */
  async #poll(session, reply, { abort }) {
    let failures = 0;
    while (reply.status === "pending") {
      await pause(POLL_SECONDS, abort.signal);
      abort.signal.throwIfAborted();
      try {
        const { messages } = await this.api.history(session);
        const stored = findReply(messages, reply);
        if (!stored) throw new Problem({ code: "not_found", detail: "" });
        this.#update(reply, { ...fromHistory(stored), notice: null });
        failures = 0;
      } catch (error) {
        if (!(error instanceof ConnectionLost) || failures >= RETRY_DELAYS_SECONDS.length) throw error;
        this.#update(reply, { notice: "reconnecting" });
        await pause(RETRY_DELAYS_SECONDS[failures], abort.signal);
        failures += 1;
      }
    }
  }

  /**
   * @param {Message} reply
   * @param {unknown} error
   */
  #fail(reply, error) {
    if (error instanceof Error && error.name === "AbortError") {
      return this.#update(reply, { status: "stopped", notice: null });
    }
    this.#update(reply, { status: "failed", failure: failureOf(error), notice: null });
    if (!(error instanceof ConnectionLost || error instanceof Problem)) throw error;
  }

  // Afterwards ----------------------------------------------------------------------------------
  /**
   * @param {Message} reply
   * @param {Rating} rating
   * @param {string} [comment]
   */
  async rate(reply, rating, comment = "") {
    await this.api.rate(this.session, /** @type {string} */ (reply.id), rating, comment);
    this.#update(reply, { feedback: rating || comment ? { rating, comment } : null });
  }

  /** Start a new conversation; the server keeps the one so far. */
  startOver() {
    if (this.isAnswering) this.api.stop(this.session).catch(() => {}); // its answer will not be read
    this.#reset();
  }

  /** Delete the conversation, on the server and here. */
  async remove() {
    try {
      if (this.session) await this.api.remove(this.session);
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 404) throw error;
    }
    this.#reset();
  }

  #reset() {
    this.#run?.abort.abort();
    this.#run = null;
    this.store.set("asked", null);
    this.store.set("session", null);
    this.#show([], false);
  }

  /**
   * @param {Message[]} messages
   * @param {boolean} hasOlder
   */
  #show(messages, hasOlder) {
    messages.forEach((message, index) => {
      if (message.role === "assistant") message.isAboutPassage = Boolean(messages[index - 1]?.passage);
    });
    this.messages = messages;
    this.hasOlder = hasOlder;
    this.dispatchEvent(new Event("change"));
  }

  /**
   * @param {Message} message
   * @param {Partial<Message>} [changes]
   */
  #update(message, changes = {}) {
    Object.assign(message, changes);
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
  }
}

/**
 * @param {unknown} error
 * @returns {Failure}
 */
function failureOf(error) {
  if (!(error instanceof Problem)) return { retryable: true };
  const { message: detail, code, retryable, retryAfter } = error;
  return { detail, code, retryable, retryAt: Date.now() + retryAfter * 1000 };
}

/**
 * Text that the server accepts: no lone surrogates, no NUL.
 *
 * @param {string} text
 */
function wellFormed(text) {
  return text.toWellFormed().replaceAll("\0", "");
}

/**
 * @param {string} message
 * @param {string} passage
 * @param {string | null} pageUrl
 * @returns {Question}
 */
function newQuestion(message, passage, pageUrl) {
  return { message: wellFormed(message), selected_text: wellFormed(passage) || null, page_url: pageUrl };
}

/**
 * The messages before a certain one; all of them where it is not among them.
 *
 * @param {Message[]} messages
 * @param {Message | string | null | undefined} one or its id
 */
function before(messages, one) {
  const index = messages.findIndex((message) => message === one || (one && message.id === one));
  return index < 0 ? messages : messages.slice(0, index);
}

/**
 * @param {unknown} error
 * @returns {History}
 */
function emptyIfUnknown(error) {
  if (error instanceof Problem && error.status === 404) return { messages: [], has_more: false };
  throw error;
}

/**
 * @param {HistoryMessage} message
 * @returns {Message}
 */
function fromHistory(message) {
  const { id, role, content: text, status, feedback, correction } = message;
  const { selected_text: passage, page_url: pageUrl } = message;
  return { id, role, text, status, feedback, correction, passage, pageUrl, ...restsOn(message) };
}

/**
 * What a server of an earlier release does not send is left out.
 *
 * @param {Rests} stored
 * @returns {Partial<Message>}
 */
function restsOn({ sources, grounding, nearest }) {
  return { ...(sources && { sources }), grounding: grounding ?? null, nearest: nearest ?? [] };
}

/**
 * Find a reply in the history: by its id or, before that is known, as the reply to its question.
 *
 * @param {HistoryMessage[]} messages
 * @param {Message} reply
 * @returns {HistoryMessage | undefined}
 */
function findReply(messages, { id, outgoing }) {
  const text = outgoing?.question.message;
  const question = messages.findLast(({ role, content }) => role === "user" && content === text);
  const isReply = (/** @type {HistoryMessage} */ message) =>
    id ? message.id === id : question && message.reply_to === question.id;
  return messages.findLast(isReply);
}
