// Client of the server's JSON API. It throws a Problem for an error response (RFC 9457), and
// ConnectionLost when the connection breaks before the response is complete.

const PAGE_MESSAGES = 50;
const PRINT_PAGE_MESSAGES = 200; // the most that the server returns at once
const SILENCE_TIMEOUT_SECONDS = 40; // the server sends a keep-alive comment every 15 s

/** An error response of the server. Its message is a sentence for the reader. */
export class Problem extends Error {
  /** @param {{detail?: string, code?: string, retryable?: boolean, status?: number, retryAfter?: number}} fields */
  constructor({ detail, code = "", retryable = false, status = 0, retryAfter = 0 }) {
    super(detail);
    this.code = code;
    this.retryable = retryable;
    this.status = status;
    this.retryAfter = retryAfter; // seconds
  }
}

/** The connection broke: whether the server has processed the request is unknown. */
export class ConnectionLost extends Error {}

/**
 * @typedef {{
 *   message: string, selected_text: string | null, page_url: string | null, replaces?: string | null,
 * }} Question `replaces` is the id of a question: this one takes its place, and that of all after it
 *
 * @typedef {{
 *   number?: number, title: string, section?: string, url: string, text?: string | null,
 * }} Source a place in the book: `number` as in the reply's text, `section` the headings above it,
 *   `text` a verbatim quote of the book's Markdown
 * @typedef {"book" | "passage" | "silent" | "uncited" | "excerpts" | null} Grounding
 * @typedef {{sources?: Source[], grounding?: Grounding, nearest?: Source[]}} Rests what a reply rests on
 *
 * @typedef {{
 *   id: string, role: "user" | "assistant", content: string, status: ReplyStatus,
 *   selected_text: string | null, page_url: string | null, reply_to: string | null,
 *   feedback: Feedback | null, correction: Correction | null, replaced?: boolean,
 * } & Rests} HistoryMessage
 *
 * @typedef {"pending" | "complete" | "stopped" | "failed"} ReplyStatus
 * @typedef {"up" | "down" | null} Rating
 * @typedef {{rating: Rating, comment: string}} Feedback
 * @typedef {{text: string, at: string}} Correction
 * @typedef {{messages: HistoryMessage[], has_more: boolean}} History oldest message first
 *
 * @typedef {{code: string, retryable: boolean}} ErrorData
 * @typedef {(
 *   {type: "start", messageId: string} | {type: "text-delta", delta: string} | {type: "abort"} |
 *   {type: "source-url", sourceId: string, url: string, title: string} |
 *   {type: "finish", finishReason: string, messageMetadata?: Rests} | {type: "data-error", data: ErrorData} |
 *   {type: "error", errorText: string} | {type: "text-start" | "text-end"}
 * )} StreamEvent a part of the AI SDK's UI message stream; docs/api.md describes them
 *
 * @typedef {{body?: object, headers?: Record<string, string>, signal?: AbortSignal}} RequestOptions
 */

export class Api {
  /** @param {string} base the server's, such as `https://chat.example` */
  constructor(base) {
    this.base = base;
  }

  /**
   * Ask a question and yield the events of the answer as they arrive.
   *
   * @param {string} session
   * @param {Question} question
   * @param {string} idempotencyKey
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<StreamEvent, void, void>}
   */
  async *ask(session, question, idempotencyKey, signal) {
    const response = await this.#send("POST", "/chat", {
      body: { ...question, session_id: session, stream: true },
      headers: { "Idempotency-Key": idempotencyKey },
      signal,
    });
    let isComplete = false;
    for await (const data of serverSentEvents(response)) {
      if (data === "[DONE]") isComplete = true;
      else yield JSON.parse(data);
    }
    if (!isComplete) throw new ConnectionLost();
  }

  /**
   * @param {string} session
   * @returns {Promise<boolean>} whether there was an answer to stop
   */
  async stop(session) {
    return (await this.#sendAndDrain("POST", `/chat/${session}/stop`)).status === 202;
  }

  /** @param {string} session */
  remove(session) {
    return this.#sendAndDrain("DELETE", `/chat/${session}`);
  }

  /**
   * @param {string} session
   * @param {string | null} [before] the id of a message: the page of history that precedes it
   * @returns {Promise<History>}
   */
  async history(session, before = null) {
    return (await this.#send("GET", historyPath(session, before, PAGE_MESSAGES))).json();
  }

  /**
   * The same for handlers that cannot wait for a promise; it blocks the page.
   *
   * @param {string} session
   * @param {string | null} [before]
   * @returns {History}
   */
  historyNow(session, before = null) {
    const request = new XMLHttpRequest();
    request.open("GET", this.base + historyPath(session, before, PRINT_PAGE_MESSAGES), false);
    request.send();
    if (request.status !== 200) throw new ConnectionLost();
    return JSON.parse(request.responseText);
  }

  /**
   * @param {string} session
   * @param {string} messageId
   * @param {Rating} rating
   * @param {string} comment
   */
  rate(session, messageId, rating, comment) {
    const path = `/chat/${session}/messages/${messageId}/feedback`;
    return this.#sendAndDrain("PUT", path, { body: { rating, comment } });
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {RequestOptions} [options]
   */
  async #sendAndDrain(method, path, options) {
    const response = await this.#send(method, path, options);
    await response.arrayBuffer(); // browsers count a response that is left unread as aborted
    return response;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {RequestOptions} [options]
   */
  async #send(method, path, { body, headers = {}, signal } = {}) {
    let response;
    try {
      const request = fetch(this.base + path, {
        method,
        headers: { ...headers, ...(body && { "Content-Type": "application/json" }) },
        body: body && JSON.stringify(body),
        credentials: "omit",
        cache: "no-store",
        signal,
      });
      response = await withSilenceTimeout(request);
    } catch (error) {
      throw signal?.aborted ? error : new ConnectionLost();
    }
    if (response.ok) return response;
    throw await errorFrom(response);
  }
}

/**
 * @param {string} session
 * @param {string | null} before
 * @param {number} limit
 */
function historyPath(session, before, limit) {
  return `/chat/${session}?${new URLSearchParams({ limit: String(limit), ...(before && { before }) })}`;
}

/**
 * Throws ConnectionLost when nothing arrives for long: a connection may die without an error.
 *
 * @template T
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function withSilenceTimeout(promise) {
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  /** @type {Promise<never>} */
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new ConnectionLost()), SILENCE_TIMEOUT_SECONDS * 1000);
  });
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}

/** @param {Response} response */
async function errorFrom(response) {
  const problem = await response.json().catch(() => null);
  if (problem?.detail) {
    return new Problem({ ...problem, retryAfter: Number(response.headers.get("Retry-After")) || 0 });
  }
  // A proxy's own error page: the server behind it may be restarting.
  return response.status >= 500 ? new ConnectionLost() : new Problem({ detail: response.statusText });
}

/**
 * The data of each server-sent event in a response.
 *
 * @param {Response} response
 * @returns {AsyncGenerator<string, void, void>}
 */
async function* serverSentEvents({ body }) {
  if (!body) return;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    let chunk;
    try {
      chunk = await withSilenceTimeout(reader.read());
    } catch {
      reader.cancel().catch(() => {});
      throw new ConnectionLost();
    }
    if (chunk.done) return;
    const blocks = (rest + chunk.value).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) if (block.startsWith("data: ")) yield block.slice(6);
  }
}
