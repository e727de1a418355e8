// The server's JSON API. What it refuses is thrown as a Problem; what never arrived as a Lost.

export class Problem extends Error {
  constructor({ detail, code = "", retryable = false, status = 0, retryAfter = 0 }) {
    super(detail);
    Object.assign(this, { code, retryable, status, retryAfter });
  }
}

const SILENCE_SECONDS = 40; // the server says something every 15

/** The connection broke: what became of the request is not known. */
export class Lost extends Error {}

export class Api {
  constructor(origin) {
    this.origin = origin;
  }

  /** Ask; yields the events of the answer (see the README) as they come. */
  async *ask(session, question, key, signal) {
    const answer = await this.#send("POST", "/chat", {
      body: { ...question, session_id: session, stream: true },
      headers: { "Idempotency-Key": key },
      signal,
    });
    let isWhole = false;
    for await (const event of events(answer.body)) {
      if (event === "[DONE]") isWhole = true;
      else yield JSON.parse(event);
    }
    if (!isWhole) throw new Lost();
  }

  /** Whether there was an answer to stop. */
  async stop(session) {
    return (await this.#done("POST", `/chat/${session}/stop`)).status === 202;
  }

  remove = (session) => this.#done("DELETE", `/chat/${session}`);

  async history(session, before = null, limit = 50) {
    const query = new URLSearchParams({ limit, ...(before && { before }) });
    return (await this.#send("GET", `/chat/${session}?${query}`)).json();
  }

  rate(session, message, rating, comment) {
    const path = `/chat/${session}/messages/${message}/feedback`;
    return this.#done("PUT", path, { body: { rating, comment } });
  }

  async #done(...request) {
    const answer = await this.#send(...request);
    await answer.arrayBuffer(); // one that is left unread counts as given up
    return answer;
  }

  async #send(method, path, { body, headers = {}, signal } = {}) {
    let answer;
    try {
      const request = fetch(this.origin + path, {
        method,
        headers: { ...headers, ...(body && { "Content-Type": "application/json" }) },
        body: body && JSON.stringify(body),
        credentials: "omit",
        cache: "no-store",
        signal,
      });
      answer = await heard(request);
    } catch (error) {
      throw signal?.aborted ? error : new Lost();
    }
    if (answer.ok) return answer;
    throw await problem(answer);
  }
}

/** Lost where nothing comes for long: a connection may die without a word. */
function heard(promise) {
  let timer;
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Lost()), SILENCE_SECONDS * 1000);
  });
  return Promise.race([promise, silence]).finally(() => clearTimeout(timer));
}

async function problem(answer) {
  const told = await answer.json().catch(() => null);
  // A proxy's own error page: the server behind it may be starting anew.
  if (!told?.detail) return answer.status >= 500 ? new Lost() : new Problem({ detail: answer.statusText });
  return new Problem({ ...told, retryAfter: Number(answer.headers.get("Retry-After")) || 0 });
}

/** The data of the server-sent events in a body. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    let read;
    try {
      read = await heard(reader.read());
    } catch {
      reader.cancel().catch(() => {});
      throw new Lost();
    }
    if (read.done) return;
    const blocks = (rest + read.value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) if (block.startsWith("data: ")) yield block.slice(6);
  }
}
