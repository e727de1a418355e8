import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Api, ConnectionLost, Problem } from "../../widget/api.js";
import { empty, frames, hangUp, json, refuse, ScriptedServer, stream } from "./server.js";

const QUESTION = { message: "What is a node?", selected_text: null, page_url: "https://book.example/one" };
/** @type {ScriptedServer} */
let server;
/** @type {Api} */
let api;

beforeEach(async () => {
  server = await new ScriptedServer().start();
  api = new Api(server.origin);
});

afterEach(() => server.close());

async function ask({ signal = new AbortController().signal } = {}) {
  const events = [];
  for await (const event of api.ask("session-1", QUESTION, "key-1", signal)) events.push(event);
  return events;
}

test("a question is posted with its session and its idempotency key", async () => {
  server.script("POST", stream(frames.start()));

  await ask();

  const [{ path, body, headers }] = server.requests;
  assert.equal(path, "/chat");
  assert.deepEqual(body, { ...QUESTION, session_id: "session-1", stream: true });
  assert.equal(headers["idempotency-key"], "key-1");
  assert.equal(headers["content-type"], "application/json");
  assert.equal(headers.cookie, undefined);
});

test("the events of an answer are yielded and keep-alive comments are not", async () => {
  const sent = [frames.start(), frames.delta("Nodes "), frames.delta("compute. 🤖"), frames.finish()];
  server.script("POST", stream(...sent));

  assert.deepEqual(await ask(), sent);
});

test("an event that arrives in pieces is put together, even within a character", async () => {
  const bytes = Buffer.from(`data: ${JSON.stringify(frames.delta("روبوٹ 🤖"))}\n\ndata: [DONE]\n\n`);
  server.script("POST", async (response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    for (const byte of bytes) await new Promise((sent) => response.write(Buffer.of(byte), sent));
    response.end();
  });

  assert.deepEqual(await ask(), [frames.delta("روبوٹ 🤖")]);
});

test("a stream that ends without [DONE] is a lost connection", async () => {
  server.script("POST", (response) => void response.end(`data: ${JSON.stringify(frames.start())}\n\n`));

  await assert.rejects(ask(), ConnectionLost);
});

test("a connection that breaks before or within the response is a lost connection", async () => {
  server.script("POST", hangUp(), stream(frames.start(), "cut"));

  await assert.rejects(ask(), ConnectionLost);
  await assert.rejects(ask(), ConnectionLost);
});

test("an aborted question is an AbortError and no lost connection", async () => {
  const abort = new AbortController();
  server.script("POST", () => abort.abort());

  await assert.rejects(ask({ signal: abort.signal }), { name: "AbortError" });
});

test("a refusal is a Problem with the server's sentence and the time to wait", async () => {
  server.script("POST", refuse(429, "rate_limited", { detail: "Too fast.", retryable: true, retryAfter: 7 }));

  await assert.rejects(ask(), (error) => {
    assert.ok(error instanceof Problem);
    const { message, code, status, retryable, retryAfter } = error;
    assert.deepEqual([message, code, status, retryable, retryAfter], ["Too fast.", "rate_limited", 429, true, 7]);
    return true;
  });
});

test("a proxy's error page counts as a lost connection only where the server may come back", async () => {
  const page = (status) => (response) =>
    void response.writeHead(status, { "Content-Type": "text/html" }).end("<h1>Error</h1>");
  server.script("POST", page(502), page(403));

  await assert.rejects(ask(), ConnectionLost);
  await assert.rejects(ask(), Problem);
});

test("stopping reports whether there was an answer to stop", async () => {
  server.script("POST", empty(202), empty(204));

  assert.equal(await api.stop("session-1"), true);
  assert.equal(await api.stop("session-1"), false);
  assert.equal(server.requests[0].path, "/chat/session-1/stop");
});

test("history is read by page, the newest page by default", async () => {
  const history = { messages: [], has_more: false };
  server.script("GET", json(history));

  assert.deepEqual(await api.history("session-1"), history);
  await api.history("session-1", "message-9");

  assert.deepEqual(
    server.requests.map(({ path }) => path),
    ["/chat/session-1?limit=50", "/chat/session-1?limit=50&before=message-9"],
  );
});

test("a rating and a deletion reach the server", async () => {
  server.script("PUT", json({}));
  server.script("DELETE", empty(204));

  await api.rate("session-1", "reply-1", "down", "Wrong.");
  await api.remove("session-1");

  const [rating, deletion] = server.requests;
  assert.equal(rating.path, "/chat/session-1/messages/reply-1/feedback");
  assert.deepEqual(rating.body, { rating: "down", comment: "Wrong." });
  assert.deepEqual([deletion.method, deletion.path], ["DELETE", "/chat/session-1"]);
});
