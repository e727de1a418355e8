import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Api } from "../../widget/api.js";
import { Conversation } from "../../widget/conversation.js";
import { Store } from "../../widget/storage.js";
import { changeInAnotherTab, eventually, hurryTimers, openTab } from "./browser.js";
import { answer, empty, frames, hangUp, json, refuse, ScriptedServer, stream } from "./server.js";

const QUESTION = "What is a node?";
const PAGE = "https://book.example/one";
const UNKNOWN = refuse(404, "not_found");
/** @type {ScriptedServer} */
let server;

hurryTimers();

beforeEach(async () => {
  openTab();
  server = await new ScriptedServer().start();
});

afterEach(() => server.close());

/** The conversation as a newly loaded page has it. */
function loadPage() {
  return new Conversation(new Api(server.origin), new Store(server.origin));
}

const stored = (name) => new Store(server.origin).get(name);

function ended(conversation) {
  return new Promise((resolve) => conversation.addEventListener("ended", resolve, { once: true }));
}

function onUpdate(conversation, callback) {
  conversation.addEventListener("message", (/** @type {CustomEvent} */ { detail }) => callback(detail));
}

async function ask(conversation, { text = QUESTION, passage = "" } = {}) {
  const end = ended(conversation);
  conversation.ask(text, passage, PAGE);
  await end;
  return conversation.messages.at(-1);
}

/** Two messages of the history, as the server returns them. */
function turn(number, { content = "An answer.", status = "complete", question = QUESTION } = {}) {
  const common = { feedback: null, correction: null, selected_text: null, page_url: null };
  return [
    { ...common, id: `question-${number}`, role: "user", content: question, status: "complete", reply_to: null },
    { ...common, id: `reply-${number}`, role: "assistant", content, status, reply_to: `question-${number}` },
  ];
}

const history = (messages, hasMore = false) => json({ messages, has_more: hasMore });

// Asking ----------------------------------------------------------------------------------------
test("a question starts a session and its answer completes", async () => {
  server.script("POST", answer("Nodes compute."));
  const conversation = loadPage();

  const reply = await ask(conversation, { passage: "A passage." });

  const [{ body }] = server.received("POST");
  assert.equal(body.session_id, stored("session"));
  assert.deepEqual([body.message, body.selected_text, body.page_url], [QUESTION, "A passage.", PAGE]);
  assert.deepEqual([reply.id, reply.text, reply.status], ["reply-1", "Nodes compute.", "complete"]);
  assert.equal(reply.isAboutPassage, true);
  assert.equal(conversation.isAnswering, false);
  assert.equal(stored("asked"), null);
});

test("the answer grows as its deltas arrive", async () => {
  server.script("POST", answer("Nodes compute."));
  const conversation = loadPage();
  const texts = new Set();
  onUpdate(conversation, ({ text }) => texts.add(text));

  await ask(conversation);

  assert.deepEqual([...texts], ["", "Nodes c", "Nodes compute."]);
});

test("the next question continues the session", async () => {
  server.script("POST", answer("One.", "reply-1"), answer("Two.", "reply-2"));
  const conversation = loadPage();

  await ask(conversation);
  await ask(conversation, { text: "And a topic?" });

  const [first, second] = server.received("POST");
  assert.equal(first.body.session_id, second.body.session_id);
  assert.notEqual(first.headers["idempotency-key"], second.headers["idempotency-key"]);
  assert.deepEqual(
    conversation.messages.map(({ text }) => text),
    [QUESTION, "One.", "And a topic?", "Two."],
  );
});

test("only one question is asked at a time", async () => {
  server.script("POST", answer());
  const conversation = loadPage();
  const end = ended(conversation);

  conversation.ask(QUESTION, "", PAGE);
  conversation.ask("And a topic?", "", PAGE);
  await end;

  assert.equal(server.received("POST").length, 1);
  assert.equal(conversation.messages.length, 2);
});

test("lone surrogates and NUL are not sent", async () => {
  server.script("POST", answer());

  await ask(loadPage(), { text: "half \ud83d and \0 nil" });

  assert.equal(server.received("POST")[0].body.message, "half \ufffd and  nil");
});

test("an answer cut at its maximum length carries a notice", async () => {
  server.script("POST", stream(frames.start(), frames.delta("One"), frames.finish("length")));

  assert.equal((await ask(loadPage())).notice, "cutShort");
});

// Lost connections ------------------------------------------------------------------------------
test("a question is sent again under the same key and no text is doubled", async () => {
  server.script("POST", hangUp(), stream(frames.start(), frames.delta("Nodes "), "cut"), answer("Nodes compute."));
  const conversation = loadPage();
  const notices = new Set();
  onUpdate(conversation, ({ notice }) => notices.add(notice));

  const reply = await ask(conversation);

  const keys = server.received("POST").map(({ headers }) => headers["idempotency-key"]);
  assert.equal(keys.length, 3);
  assert.equal(new Set(keys).size, 1);
  assert.deepEqual([reply.text, reply.status, reply.notice], ["Nodes compute.", "complete", null]);
  assert.ok(notices.has("reconnecting"));
});

test("a server that stays unreachable ends in a failure that can be retried, and the question is kept", async () => {
  server.script("POST", hangUp());
  const conversation = loadPage();

  const reply = await ask(conversation);

  assert.deepEqual([reply.status, reply.failure], ["failed", { retryable: true }]);
  assert.equal(stored("asked").hasFailed, true);
  assert.equal(server.received("POST").length, 9);
});

test("an answer that another request is writing is polled for", async () => {
  const writing = turn(1, { content: "Nodes", status: "pending" });
  server.script("POST", refuse(409, "answer_in_progress", { retryable: true }));
  server.script("GET", history(writing), hangUp(), history(turn(1, { content: "Nodes compute." })));

  const reply = await ask(loadPage());

  assert.deepEqual([reply.id, reply.text, reply.status], ["reply-1", "Nodes compute.", "complete"]);
  assert.equal(server.received("POST").length, 1);
});

// Refusals --------------------------------------------------------------------------------------
test("a refusal shows the server's sentence and when to try again", async () => {
  const refusal = { detail: "Too fast.", retryable: true, retryAfter: 7 };
  server.script("POST", refuse(429, "rate_limited", refusal));

  const before = Date.now();
  const { status, failure } = await ask(loadPage());

  assert.deepEqual([status, failure.detail, failure.code], ["failed", "Too fast.", "rate_limited"]);
  assert.ok(failure.retryAt >= before + 7000);
  assert.equal(server.received("POST").length, 1);
});

test("a failure after the first word keeps the text and its code", async () => {
  const data = { code: "model_unavailable", retryable: true };
  const error = { type: "error", errorText: "The model failed." };
  server.script("POST", stream(frames.start(), frames.delta("One "), { type: "data-error", data }, error));

  const { text, status, failure } = await ask(loadPage());

  assert.deepEqual([text, status], ["One ", "failed"]);
  assert.deepEqual([failure.detail, failure.code, failure.retryable], ["The model failed.", "model_unavailable", true]);
});

test("a failed question is retried in place, under its key", async () => {
  server.script("POST", refuse(502, "model_unavailable", { retryable: true }), answer());
  const conversation = loadPage();
  const reply = await ask(conversation);

  const end = ended(conversation);
  conversation.retry(reply);
  await end;

  const [first, second] = server.received("POST");
  assert.equal(first.headers["idempotency-key"], second.headers["idempotency-key"]);
  assert.equal(conversation.messages.length, 2);
  assert.deepEqual([reply.text, reply.status, reply.failure], ["An answer.", "complete", null]);
});

// Coming back -----------------------------------------------------------------------------------
/** Ask, and leave the page once `count` requests have arrived: the stored question remains. */
async function leaveWhileAsking(count = 1) {
  const page = loadPage();
  page.ask(QUESTION, "", PAGE);
  await eventually(() => server.received("POST").length >= count);
  const left = localStorage;
  openTab();
  globalThis.localStorage = left;
  return server.received("POST")[0].headers["idempotency-key"];
}

const never = new Promise(() => {});

test("the conversation is there again, newest page first", async () => {
  new Store(server.origin).set("session", "session-1");
  server.script("GET", history(turn(2), true), history(turn(1)));
  const conversation = loadPage();

  await conversation.open();
  assert.equal(conversation.hasOlder, true);
  await conversation.loadOlder();

  assert.deepEqual(
    conversation.messages.map(({ id }) => id),
    ["question-1", "reply-1", "question-2", "reply-2"],
  );
  assert.equal(conversation.hasOlder, false);
  assert.match(server.received("GET")[1].path, /before=question-2$/);
});

test("without a session nothing is requested", async () => {
  const conversation = loadPage();

  await conversation.open();

  assert.equal(conversation.isEmpty, true);
  assert.deepEqual(server.requests, []);
});

test("a session that the server does not know is an empty conversation", async () => {
  new Store(server.origin).set("session", "session-1");
  server.script("GET", UNKNOWN);
  const conversation = loadPage();

  await conversation.open();

  assert.equal(conversation.isEmpty, true);
});

test("a question that never arrived is sent by the next page, under its key", async () => {
  server.script("POST", () => never);
  const key = await leaveWhileAsking();
  server.script("GET", UNKNOWN);
  server.script("POST", answer());
  const conversation = loadPage();

  const end = ended(conversation);
  await conversation.open();
  await end;

  assert.equal(server.received("POST").at(-1).headers["idempotency-key"], key);
  assert.equal(conversation.messages.at(-1).text, "An answer.");
});

test("an answer that is being written is awaited by the next page and not asked for again", async () => {
  server.script("POST", () => never);
  await leaveWhileAsking();
  server.script("GET", history(turn(1, { content: "", status: "pending" })), history(turn(1)));
  const conversation = loadPage();

  const end = ended(conversation);
  await conversation.open();
  await end;

  assert.equal(conversation.messages.at(-1).text, "An answer.");
  assert.equal(server.received("POST").length, 1);
});

test("an answer that was completed meanwhile is not asked for again", async () => {
  server.script("POST", () => never);
  await leaveWhileAsking();
  server.script("GET", history(turn(1)));
  const conversation = loadPage();

  await conversation.open();

  assert.equal(stored("asked"), null);
  assert.equal(conversation.isAnswering, false);
  assert.equal(server.received("POST").length, 1);
});

test("a question that failed is shown by the next page and sent only when the reader retries", async () => {
  server.script("POST", refuse(502, "model_unavailable", { retryable: true }));
  server.script("GET", UNKNOWN);
  await ask(loadPage());
  const conversation = loadPage();

  await conversation.open();
  assert.equal(conversation.messages.at(-1).status, "failed");
  assert.equal(server.received("POST").length, 1);
  server.script("POST", answer());
  const end = ended(conversation);
  conversation.retry(conversation.messages.at(-1));
  await end;

  const [first, second] = server.received("POST");
  assert.equal(first.headers["idempotency-key"], second.headers["idempotency-key"]);
});

test("a question asked while the past is loading follows it", async () => {
  new Store(server.origin).set("session", "session-1");
  let send = () => {};
  const isAsked = new Promise((resolve) => {
    send = () => resolve(undefined);
  });
  server.script("GET", async (response, request) => {
    await isAsked;
    history(turn(1))(response, request);
  });
  server.script("POST", answer("Two.", "reply-2"));
  const conversation = loadPage();

  const opening = conversation.open();
  const end = ended(conversation);
  conversation.ask("And a topic?", "", PAGE);
  send();
  await Promise.all([opening, end]);

  assert.deepEqual(
    conversation.messages.map(({ text }) => text),
    [QUESTION, "An answer.", "And a topic?", "Two."],
  );
});

// Sources ---------------------------------------------------------------------------------------
const SOURCE = { number: 1, title: "Nodes", section: "What", url: "https://book.example/nodes#what", text: "A node." };

test("a source is known before the text that cites it, and its quote when the answer is finished", async () => {
  let goOn = () => {};
  const isSeen = new Promise((resolve) => {
    goOn = () => resolve(undefined);
  });
  const { start, source, delta, finish } = frames;
  const last = finish("stop", { sources: [SOURCE], grounding: "book" });
  server.script("POST", stream(start(), source(1, SOURCE.url, "Nodes"), delta("One [1]."), isSeen, last));
  const conversation = loadPage();
  const end = ended(conversation);

  conversation.ask(QUESTION, "", PAGE);
  await eventually(() => conversation.messages[1].text);
  assert.deepEqual(conversation.messages[1].sources, [{ number: 1, title: "Nodes", url: SOURCE.url }]);
  goOn();
  await end;

  assert.deepEqual([conversation.messages[1].sources, conversation.messages[1].grounding], [[SOURCE], "book"]);
});

test("a reload shows the same sources", async () => {
  new Store(server.origin).set("session", "session-1");
  const nearest = [{ title: "Nodes", section: "What", url: SOURCE.url }];
  const [question, reply] = turn(1);
  server.script("GET", history([question, { ...reply, sources: [SOURCE], grounding: "silent", nearest }]));
  const conversation = loadPage();

  await conversation.open();

  const [, shown] = conversation.messages;
  assert.deepEqual([shown.sources, shown.grounding, shown.nearest], [[SOURCE], "silent", nearest]);
});

// In the place of an earlier question -----------------------------------------------------------
const texts = (conversation) => conversation.messages.map(({ text }) => text);

/** The conversation after a reload. */
async function loadConversation(...messages) {
  new Store(server.origin).set("session", "session-1");
  server.script("GET", history(messages));
  const conversation = loadPage();
  await conversation.open();
  return conversation;
}

test("another answer takes the place of the last one", async () => {
  const conversation = await loadConversation(...turn(1), ...turn(2, { question: "And a topic?" }));
  server.script("POST", answer("Another.", "reply-3"));

  const end = ended(conversation);
  await conversation.askAgain(conversation.messages.at(-1));
  await end;

  const [{ body }] = server.received("POST");
  assert.deepEqual([body.replaces, body.message, body.session_id], ["question-2", "And a topic?", "session-1"]);
  assert.deepEqual(texts(conversation), [QUESTION, "An answer.", "And a topic?", "Another."]);
});

test("an edited question takes the place of all that followed it", async () => {
  const conversation = await loadConversation(...turn(1), ...turn(2));
  server.script("POST", answer("Edited.", "reply-3"));

  const end = ended(conversation);
  await conversation.replace(conversation.messages[0], "What is a topic?", "A passage.", PAGE);
  await end;

  const [{ body }] = server.received("POST");
  assert.deepEqual([body.replaces, body.message, body.selected_text], ["question-1", "What is a topic?", "A passage."]);
  assert.deepEqual(texts(conversation), ["What is a topic?", "Edited."]);
});

test("the id of a question that was asked here is looked up, on earlier pages of the history too", async () => {
  server.script("POST", answer("One.", "reply-1"), answer("Two.", "reply-9"));
  const conversation = loadPage();
  const reply = await ask(conversation);
  server.script("GET", history(turn(5), true), history(turn(1)));

  const end = ended(conversation);
  await conversation.askAgain(reply);
  await end;

  assert.equal(server.received("POST")[1].body.replaces, "question-1");
  assert.match(server.received("GET")[1].path, /before=question-5/);
  assert.deepEqual(texts(conversation), [QUESTION, "Two."]);
});

test("what was replaced is not shown, whatever page of the history it is on", async () => {
  const replaced = turn(1).map((message) => ({ ...message, replaced: true }));
  new Store(server.origin).set("session", "session-1");
  server.script("GET", history([...replaced, ...turn(2)], true), history(replaced, true), history(turn(0)));
  const conversation = loadPage();

  await conversation.open();
  assert.deepEqual(texts(conversation), [QUESTION, "An answer."]);
  await conversation.loadOlder();
  await conversation.loadOlder();

  assert.equal(conversation.messages.length, 4);
  const [, second, third] = server.received("GET");
  assert.match(second.path, /before=question-1/);
  assert.match(third.path, /before=question-1/);
});

test("a refused replacement can be sent again or dropped, and then the earlier answer is back", async () => {
  const conversation = await loadConversation(...turn(1));
  server.script("POST", refuse(429, "rate_limited", { retryable: true }));

  const end = ended(conversation);
  await conversation.askAgain(conversation.messages[1]);
  await end;
  const [, failed] = conversation.messages;
  assert.deepEqual([failed.status, failed.id, failed.outgoing.question.replaces], ["failed", null, "question-1"]);
  await conversation.restore();

  assert.deepEqual(texts(conversation), [QUESTION, "An answer."]);
  assert.equal(stored("asked"), null);
});

test("after a reload a refused replacement is still in the place of what it is to replace", async () => {
  const conversation = await loadConversation(...turn(1), ...turn(2));
  server.script("POST", refuse(503, "database_unavailable", { retryable: true }));
  const end = ended(conversation);
  await conversation.replace(conversation.messages[0], "Edited?", "", PAGE);
  await end;

  const reloaded = loadPage();
  await reloaded.open();
  assert.deepEqual(texts(reloaded), ["Edited?", ""]);
  server.script("POST", answer("Edited.", "reply-3"));
  const secondEnd = ended(reloaded);
  await reloaded.retry(reloaded.messages.at(-1));
  await secondEnd;

  const [first, second] = server.received("POST");
  assert.equal(second.body.replaces, "question-1");
  assert.equal(first.headers["idempotency-key"], second.headers["idempotency-key"]);
});

test("a failed question of an earlier visit is asked again in its own place", async () => {
  const conversation = await loadConversation(...turn(1, { content: "", status: "failed" }));
  server.script("POST", answer("At last.", "reply-2"));

  const end = ended(conversation);
  await conversation.retry(conversation.messages[1]);
  await end;

  assert.equal(server.received("POST")[0].body.replaces, "question-1");
  assert.deepEqual(texts(conversation), [QUESTION, "At last."]);
});

test("a question that never arrived is edited without the server knowing of it", async () => {
  server.script("POST", refuse(422, "invalid_request"));
  const conversation = loadPage();
  await ask(conversation);
  server.script("POST", answer("Edited."));

  const end = ended(conversation);
  await conversation.replace(conversation.messages[0], "Edited?", "", PAGE);
  await end;

  assert.equal("replaces" in server.received("POST")[1].body, false);
  assert.deepEqual(texts(conversation), ["Edited?", "Edited."]);
});

// Stopping --------------------------------------------------------------------------------------
test("a stopped answer keeps its text", async () => {
  let stopNow = () => {};
  const isStopped = new Promise((resolve) => {
    stopNow = () => resolve(undefined);
  });
  const held = stream(frames.start(), frames.delta("One "), isStopped, { type: "abort" });
  server.script("POST", held, (response) => {
    stopNow();
    response.writeHead(202).end();
  });
  const conversation = loadPage();
  const end = ended(conversation);
  conversation.ask(QUESTION, "", PAGE);
  await eventually(() => conversation.messages[1].text);

  await conversation.stop();
  await end;

  const [, reply] = conversation.messages;
  assert.deepEqual([reply.text, reply.status], ["One ", "stopped"]);
  await eventually(() => stored("asked") === null);
});

test("stopping is tried again until the question has arrived", async () => {
  let stopNow = () => {};
  const isStopped = new Promise((resolve) => {
    stopNow = () => resolve(undefined);
  });
  server.script("POST", stream(isStopped, { type: "abort" }), UNKNOWN, empty(204), (response) => {
    stopNow();
    response.writeHead(202).end();
  });
  const conversation = loadPage();
  const end = ended(conversation);
  conversation.ask(QUESTION, "", PAGE);
  await eventually(() => server.requests.length);

  await conversation.stop();
  await end;

  assert.equal(server.received("POST").filter(({ path }) => path.endsWith("/stop")).length, 3);
  assert.equal(conversation.messages[1].status, "stopped");
});

test("stopping that is refused for its rate waits as long as the server says", async () => {
  const times = [];
  let stopNow = () => {};
  const isStopped = new Promise((resolve) => {
    stopNow = () => resolve(undefined);
  });
  const tooFast = refuse(429, "rate_limited", { retryAfter: 10 });
  server.script("POST", stream(frames.start(), isStopped, { type: "abort" }), (response, request) => {
    times.push(performance.now());
    if (times.length === 1) return tooFast(response, request);
    stopNow();
    response.writeHead(202).end();
  });
  const conversation = loadPage();
  const end = ended(conversation);
  conversation.ask(QUESTION, "", PAGE);
  await eventually(() => conversation.messages[1].id);

  await conversation.stop();
  await end;

  assert.equal(times.length, 2);
  assert.ok(times[1] - times[0] >= 190); // 10 s, fifty times as fast
});

test("where the server cannot be reached, stopping ends the waiting here", async () => {
  server.script("POST", stream(frames.start(), never), hangUp());
  const conversation = loadPage();
  const end = ended(conversation);
  conversation.ask(QUESTION, "", PAGE);
  await eventually(() => conversation.messages[1].id);

  await conversation.stop();
  await end;

  const [, { status, failure }] = conversation.messages;
  assert.deepEqual([status, failure], ["failed", { retryable: true }]);
  assert.equal(conversation.isAnswering, false);
});

// Afterwards ------------------------------------------------------------------------------------
test("a rating is stored and taken back", async () => {
  server.script("POST", answer());
  server.script("PUT", json({}));
  const conversation = loadPage();
  const reply = await ask(conversation);

  await conversation.rate(reply, "down", "Wrong.");
  assert.deepEqual(reply.feedback, { rating: "down", comment: "Wrong." });
  await conversation.rate(reply, null);
  assert.equal(reply.feedback, null);
});

test("a new conversation forgets the session and keeps it on the server", async () => {
  server.script("POST", answer());
  const conversation = loadPage();
  await ask(conversation);

  conversation.startOver();

  assert.equal(conversation.isEmpty, true);
  assert.equal(stored("session"), null);
  assert.deepEqual(server.received("DELETE"), []);
});

test("deleting removes the conversation on the server, even one that is gone already", async () => {
  server.script("POST", answer());
  server.script("DELETE", UNKNOWN);
  const conversation = loadPage();
  await ask(conversation);
  const session = stored("session");

  await conversation.remove();

  assert.equal(server.received("DELETE")[0].path, `/chat/${session}`);
  assert.equal(conversation.isEmpty, true);
  assert.equal(stored("session"), null);
});

test("a conversation that could not be deleted stays", async () => {
  server.script("POST", answer());
  server.script("DELETE", hangUp());
  const conversation = loadPage();
  await ask(conversation);

  await assert.rejects(conversation.remove());

  assert.equal(conversation.messages.length, 2);
  assert.ok(stored("session"));
});

// Other tabs ------------------------------------------------------------------------------------
const key = (name) => `book-chat ${server.origin} ${name}`;

test("what another tab asked is shown once it is answered", async () => {
  server.script("GET", history(turn(1)));
  const conversation = loadPage();

  changeInAnotherTab(key("session"), "session-1");
  changeInAnotherTab(key("asked"), { key: "key-1" });
  assert.deepEqual(server.requests, []);
  changeInAnotherTab(key("asked"), null);
  await eventually(() => conversation.messages.length);

  assert.equal(conversation.messages[1].text, "An answer.");
});

test("what another tab deletes is gone here, even while an answer is being written", async () => {
  server.script("POST", stream(frames.start(), never));
  const conversation = loadPage();
  conversation.ask(QUESTION, "", PAGE);
  await eventually(() => conversation.messages[1].id);

  changeInAnotherTab(key("session"), null);

  assert.equal(conversation.isEmpty, true);
  assert.equal(conversation.isAnswering, false);
});
