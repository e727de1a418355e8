// A scripted chat server over real HTTP.

import { createServer } from "node:http";

/**
 * @typedef {{method: string, path: string, headers: import("node:http").IncomingHttpHeaders, body: any}} Received
 * @typedef {(response: import("node:http").ServerResponse, request: Received) => void | Promise<void>} Answer
 */

/** Answers each request by the next answer scripted for its method; the last one is repeated. */
export class ScriptedServer {
  constructor() {
    /** @type {Received[]} */
    this.requests = [];
    /** @type {Record<string, Answer[]>} by method */
    this.answers = {};
    this.server = createServer((request, response) => this.#answer(request, response));
  }

  async start() {
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", () => resolve(undefined)));
    const { port } = /** @type {import("node:net").AddressInfo} */ (this.server.address());
    this.origin = `http://127.0.0.1:${port}`;
    return this;
  }

  /**
   * @param {string} method
   * @param {...Answer} answers
   */
  script(method, ...answers) {
    this.answers[method] = answers;
  }

  /** @param {string} method */
  received(method) {
    return this.requests.filter((request) => request.method === method);
  }

  close() {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }

  async #answer(incoming, response) {
    const { method, url: path, headers } = incoming;
    let text = "";
    for await (const chunk of incoming) text += chunk;
    const request = { method, path, headers, body: text && JSON.parse(text) };
    this.requests.push(request);
    const answers = this.answers[method] ?? [refuse(404, "not_found")];
    await (answers.length > 1 ? answers.shift() : answers[0])(response, request);
  }
}

/** @returns {Answer} */
export function json(body, status = 200) {
  return (response) => {
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(JSON.stringify(body));
  };
}

/** @returns {Answer} */
export function empty(status) {
  return (response) => void response.writeHead(status).end();
}

/** @returns {Answer} */
export function refuse(status, code, { detail = "A sentence.", retryable = false, retryAfter = 0 } = {}) {
  return (response) => {
    response.writeHead(status, {
      "Content-Type": "application/problem+json",
      ...(retryAfter && { "Retry-After": retryAfter }),
    });
    response.end(JSON.stringify({ status, code, detail, retryable }));
  };
}

/** @returns {Answer} breaks the connection without a response */
export function hangUp() {
  return (response) => void response.destroy();
}

export const frames = {
  start: (messageId = "reply-1") => ({ type: "start", messageId }),
  delta: (delta) => ({ type: "text-delta", id: "0", delta }),
  source: (number, url, title) => ({ type: "source-url", sourceId: String(number), url, title }),
  finish: (finishReason = "stop", messageMetadata = {}) => ({ type: "finish", finishReason, messageMetadata }),
};

/**
 * Streams frames as server-sent events. A promise among them is awaited; `"cut"` breaks the connection.
 *
 * @returns {Answer}
 */
export function stream(...parts) {
  return async (response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write(": keepalive\n\n");
    for (const part of parts) {
      if (part === "cut") return void setImmediate(() => response.destroy());
      if (part instanceof Promise) await part;
      else await new Promise((sent) => response.write(`data: ${JSON.stringify(part)}\n\n`, sent));
    }
    response.end("data: [DONE]\n\n");
  };
}

/** @returns {Answer} the usual: one answer in two deltas */
export function answer(text = "An answer.", id = "reply-1") {
  const half = Math.ceil(text.length / 2);
  const deltas = [text.slice(0, half), text.slice(half)].map(frames.delta);
  return stream(frames.start(id), ...deltas, frames.finish());
}
