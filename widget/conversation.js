// The conversation: what was said, and how a question becomes an answer whatever happens on the way.
//
// A question is noted, with a key of its own, before it is sent. So it can be sent again after a
// lost connection or a reload, and is still asked once: the server answers a key it knows with the
// reply it has.

import { Lost, Problem } from "./api.js";
import { uuid } from "./storage.js";

const PAUSES_SECONDS = [0.5, 1, 2, 4, 8, 15, 15, 15];
const LOOK_AGAIN_SECONDS = 1;
const STOP_TRIES = 20;
const STOP_AGAIN_SECONDS = 0.3;

/** Until so long has passed, the connection is back, or nobody waits any more. */
function pause(seconds, signal) {
  const over = new AbortController();
  return new Promise((resolve) => {
    setTimeout(resolve, seconds * 1000);
    addEventListener("online", resolve, { signal: over.signal });
    signal.addEventListener("abort", resolve, { signal: over.signal });
  }).finally(() => over.abort());
}

/**
 * Dispatches `change` when the list of messages is another one, `message` (detail: the message) when
 * one of them is, and `ended` (detail: the reply) when a question's way is over.
 *
 * A message: {id, role, text, status, passage, pageUrl, feedback, correction, problem, notice}. A
 * reply's status is pending, complete, stopped or failed; `notice` is one of words.js; `asked` is
 * what was sent for it, as long as that can be sent again.
 */
export class Conversation extends EventTarget {
  messages = [];
  hasOlder = false;
  #asking = null; // the current question on its way: {reply, abort, isStopped}

  constructor(api, store) {
    super();
    this.api = api;
    this.store = store;
    // What another tab asked shows here once it is over.
    const look = () => this.open().catch(() => {}); // unheard: nobody asked for it here
    store.onChange("asked", (asked) => this.isAnswering || (asked && !asked.hasFailed) || look());
    store.onChange("session", (session) => session || this.#forget());
  }

  get session() {
    return this.store.get("session");
  }

  get isAnswering() {
    return this.#asking !== null;
  }

  get isEmpty() {
    return this.messages.length === 0;
  }

  // Coming back --------------------------------------------------------------------------------
  /** Read what was said before, and go on waiting for an answer that is still being written. */
  async open() {
    if (this.isAnswering) return;
    await this.#read();
    if (this.isAnswering) return; // asked while we read
    const asked = this.store.get("asked");
    const last = this.messages.at(-1);
    if (asked && asked.session === this.session) this.#takeUp(asked);
    else if (last?.status === "pending") this.#wait(last);
  }

  async #read() {
    if (!this.session) return this.#show([], false);
    try {
      const history = await this.api.history(this.session);
      this.#show(this.#withCurrent(history.messages.map(read)), history.has_more);
    } catch (error) {
      if (error.status !== 404) throw error;
      this.#show(this.#withCurrent([]), false); // deleted, or never begun
    }
  }

  /** The past, then what was asked while it was read (which may be in it already). */
  #withCurrent(past) {
    if (!this.isAnswering) return past;
    const [asked, answer] = past.slice(-2);
    const current = this.messages.slice(-2);
    const isIncluded = asked?.text === current[0].text && answer.status !== "complete";
    return [...past.slice(0, isIncluded ? -2 : undefined), ...current];
  }

  /** A question that this browser has sent and did not see answered. */
  #takeUp({ hasFailed, ...asked }) {
    const [question, stored] = this.messages.slice(-2);
    const isStored = question?.text === asked.question.message && stored.id !== asked.after;
    if (isStored && stored.status === "pending") return this.#wait(stored);
    if (isStored && stored.status !== "failed") return this.store.set("asked", null);
    const reply = isStored ? stored : this.#add(asked.question);
    if (isStored || hasFailed) this.#changed(reply, { status: "failed", asked });
    else this.#deliver(asked, reply);
  }

  async older() {
    const history = await this.api.history(this.session, this.messages[0]?.id);
    this.#show([...history.messages.map(read), ...this.messages], history.has_more);
  }

  // Asking ---------------------------------------------------------------------------------------
  ask(message, passage, pageUrl) {
    if (this.isAnswering) return;
    if (!this.session) this.store.set("session", uuid());
    const question = { message: sendable(message), selected_text: sendable(passage) || null, page_url: pageUrl };
    const after = this.messages.at(-1)?.id;
    const asked = { key: uuid(), session: this.session, after, question };
    this.#deliver(asked, this.#add(question));
  }

  retry(reply) {
    if (this.isAnswering) return;
    const { text, passage, pageUrl } = this.messages[this.messages.indexOf(reply) - 1];
    if (reply.asked) this.#deliver(reply.asked, Object.assign(reply, { text: "" }));
    else this.ask(text, passage, pageUrl);
  }

  /** Stop the answer that is being written, whoever asked for it. */
  async stop() {
    const asking = this.#asking;
    if (!asking || asking.isStopped) return;
    asking.isStopped = true;
    for (let tries = 0; tries < STOP_TRIES && this.#asking === asking; tries += 1) {
      // 404 and 204: the question has not arrived yet.
      const isStopped = await this.api.stop(this.session).catch((error) => error);
      if (isStopped === true) return;
      if (isStopped instanceof Lost) break;
      await pause(STOP_AGAIN_SECONDS, asking.abort.signal);
    }
    asking.abort.abort(); // unreachable: at least this browser waits no longer
  }

  #add(question) {
    const { message, selected_text: passage, page_url: pageUrl } = question;
    const reply = { id: null, role: "assistant", text: "", status: "pending" };
    this.#show([...this.messages, { role: "user", text: message, passage, pageUrl }, reply], this.hasOlder);
    return reply;
  }

  /** Send the question until its answer is here, refused, or beyond reach. */
  async #deliver(asked, reply) {
    this.store.set("asked", asked);
    Object.assign(reply, { asked, status: "pending", problem: null });
    await this.#take(reply, (asking) => this.#persistently(asked, reply, asking));
    if (this.store.get("asked")?.key !== asked.key) return; // another question, or none any more
    this.store.set("asked", reply.status === "failed" ? { ...asked, hasFailed: true } : null);
  }

  #wait(reply) {
    return this.#take(reply, (asking) => this.#watch(this.session, reply, asking));
  }

  /** Go this way for a reply; however it ends, the next question may be asked then. */
  async #take(reply, way) {
    const asking = (this.#asking = { reply, isStopped: false, abort: new AbortController() });
    this.#changed(reply);
    try {
      await way(asking);
    } catch (error) {
      this.#fail(reply, error);
    } finally {
      if (this.#asking === asking) {
        this.#asking = null;
        this.#changed(reply);
        this.dispatchEvent(new CustomEvent("ended", { detail: reply }));
      }
    }
  }

  async #persistently(asked, reply, asking) {
    for (const patience of [...PAUSES_SECONDS, null]) {
      try {
        return await this.#follow(asked, reply, asking);
      } catch (error) {
        if (error.code === "answer_in_progress") return await this.#watch(asked.session, reply, asking);
        if (!(error instanceof Lost) || asking.isStopped || patience === null) throw error;
      }
      this.#changed(reply, { notice: "reconnecting" });
      await pause(patience, asking.abort.signal);
    }
  }

  /** Read the answer as it is written. */
  async #follow(asked, reply, { abort }) {
    let isFirst = true;
    let problem = {};
    for await (const event of this.api.ask(asked.session, asked.question, asked.key, abort.signal)) {
      if (event.type === "start") this.#changed(reply, { id: event.messageId, notice: null });
      if (event.type === "text-delta") {
        const said = isFirst ? "" : reply.text; // told from its beginning, also the second time
        isFirst = false;
        this.#changed(reply, { text: said + event.delta });
      }
      if (event.type === "finish") {
        const notice = event.finishReason === "length" ? "cutShort" : null;
        this.#changed(reply, { status: "complete", notice });
      }
      if (event.type === "abort") this.#changed(reply, { status: "stopped" });
      if (event.type === "data-error") problem = event.data;
      if (event.type === "error") throw new Problem({ ...problem, detail: event.errorText });
    }
  }

  /** Wait for an answer that is being written for someone else: an earlier page, another tab. */
  async #watch(session, reply, { abort }) {
    let failures = 0;
    while (reply.status === "pending") {
      await pause(LOOK_AGAIN_SECONDS, abort.signal);
      abort.signal.throwIfAborted();
      try {
        const { messages } = await this.api.history(session);
        this.#changed(reply, { ...read(found(messages, reply)), notice: null });
        failures = 0;
      } catch (error) {
        if (!(error instanceof Lost) || failures >= PAUSES_SECONDS.length) throw error;
        this.#changed(reply, { notice: "reconnecting" });
        await pause(PAUSES_SECONDS[(failures += 1) - 1], abort.signal);
      }
    }
  }

  #fail(reply, error) {
    const { message: detail, code, retryable, retryAfter } = error;
    const retryAt = Date.now() + retryAfter * 1000;
    if (error.name === "AbortError") return this.#changed(reply, { status: "stopped", notice: null });
    const problem = error instanceof Lost ? { retryable: true } : { detail, code, retryable, retryAt };
    this.#changed(reply, { status: "failed", problem, notice: null });
    if (!(error instanceof Lost || error instanceof Problem)) throw error;
  }

  // Afterwards -----------------------------------------------------------------------------------
  async rate(reply, rating, comment = "") {
    await this.api.rate(this.session, reply.id, rating, comment);
    this.#changed(reply, { feedback: rating || comment ? { rating, comment } : null });
  }

  /** Begin anew; the conversation so far stays with the server. */
  renew() {
    if (this.isAnswering) this.api.stop(this.session).catch(() => {}); // nobody will read it
    this.#forget();
  }

  /** Delete the conversation, here and there. */
  async remove() {
    try {
      if (this.session) await this.api.remove(this.session);
    } catch (error) {
      if (error.status !== 404) throw error;
    }
    this.#forget();
  }

  #forget() {
    this.#asking?.abort.abort();
    this.#asking = null;
    this.store.set("asked", null);
    this.store.set("session", null);
    this.#show([], false);
  }

  #show(messages, hasOlder) {
    messages.forEach((message, place) => {
      if (message.role === "assistant") message.isAboutPassage = Boolean(messages[place - 1]?.passage);
    });
    Object.assign(this, { messages, hasOlder });
    this.dispatchEvent(new Event("change"));
  }

  #changed(message, facts = {}) {
    Object.assign(message, facts);
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
  }
}

/** Text as the server takes it: without halves of letters, and without NUL. */
function sendable(text) {
  return text.toWellFormed().replaceAll("\0", "");
}

/** A message of the history in our own words. */
function read(message) {
  const { id, role, content: text, status, feedback, correction } = message;
  const { selected_text: passage, page_url: pageUrl } = message;
  return { id, role, text, status, feedback, correction, passage, pageUrl };
}

/** A reply in the history: by its id, or, while that is not known, as the reply to its question. */
function found(messages, { id, asked }) {
  const question = messages.findLast(({ role, content }) => role === "user" && content === asked?.question.message);
  const reply = messages.findLast((each) => (id ? each.id === id : question && each.reply_to === question.id));
  if (!reply) throw new Problem({ code: "not_found", detail: "" });
  return reply;
}
