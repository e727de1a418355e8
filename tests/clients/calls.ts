/** Each call of the API, by the types that openapi-typescript generates from its document. */

import { deepEqual, equal, ok } from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, operations, paths } from "./generated/api.js";

type StreamEvent = components["schemas"]["StreamEvent"];

const address = process.argv[2] ?? "";
const client = createClient<paths, "application/json">({ baseUrl: address });
const streaming = createClient<paths, "text/event-stream">({ baseUrl: address });

/** So that the test sees which operations were called. */
const called = (operation: keyof operations) => console.log(operation);

async function* events(body: ReadableStream<BufferSource>): AsyncGenerator<StreamEvent> {
  let rest = "";
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) if (block.startsWith("data: {")) yield JSON.parse(block.slice(6));
  }
}

const { data: answer } = await client.POST("/chat", {
  params: { header: { "Idempotency-Key": crypto.randomUUID() } },
  body: { message: "What is a node?", page_url: "https://book.example/1" },
});
ok(answer);
equal(answer.response, "A scripted answer.");

const session = { session_id: answer.session_id };
const streamed = await streaming.POST("/chat", {
  body: { message: "And a topic?", ...session, stream: true },
  parseAs: "stream",
});
ok(streamed.response.body);
let text = "";
for await (const event of events(streamed.response.body)) {
  if (event.type === "text-delta") text += event.delta;
  if (event.type === "finish") equal(event.messageMetadata.session_id, answer.session_id);
}
equal(text, "A scripted answer.");
called("ask");

const { error, response } = await client.POST("/chat", { body: { message: "" } });
ok(error);
equal(response.status, 422);
equal(error.code, "invalid_request");
equal(error.errors?.[0]?.msg, error.detail);

const { response: stopped } = await client.POST("/chat/{session_id}/stop", { params: { path: session } });
equal(stopped.status, 204);
called("stop_answer");

const feedback = await client.PUT("/chat/{session_id}/messages/{message_id}/feedback", {
  params: { path: { ...session, message_id: answer.message_id } },
  body: { rating: "up" },
});
equal(feedback.data?.rating, "up");
called("give_feedback");

const { data: page } = await client.GET("/chat/{session_id}", {
  params: { path: session, query: { limit: 3 } },
});
ok(page);
equal(page.has_more, true);
equal(page.messages[0]?.feedback?.rating, "up");
equal(page.messages[2]?.status, "complete");
called("read_conversation");

for (const path of ["/chat/{session_id}/stream", "/api/chat/{session_id}/stream"] as const) {
  const followed = await streaming.GET(path, { params: { path: session }, parseAs: "stream" });
  ok(followed.response.ok);
  await followed.response.body?.cancel();
}
called("resume_stream");
called("resume_stream_at_api");

const conversation = { messages: [{ role: "user", content: "What is a node?" }] };
const { data: completion } = await client.POST("/v1/chat/completions", { body: conversation });
equal(completion?.choices[0]?.message.content, "A scripted answer.");
called("create_completion");
const { error: refused } = await client.POST("/v1/chat/completions", { body: { messages: [] } });
equal(refused?.error.type, "invalid_request_error");
equal((await client.GET("/v1/models")).data?.data[0]?.id, "book");
called("list_models");

const question = { name: "ask", arguments: { question: "What is a node?" } };
const { data: result } = await client.POST("/mcp", {
  body: { jsonrpc: "2.0", id: 1, method: "tools/call", params: question },
});
ok(result && "result" in result);
deepEqual(result.result.content, [{ type: "text", text: "A scripted answer." }]);
called("call_mcp");
const { data: card } = await client.GET("/.well-known/mcp/server-card.json");
equal(card?.remotes[0]?.type, "streamable-http");
called("read_server_card");

const others = ["/api/chat", "/api/v1/chat", "/ask", "/query", "/api/query"] as const;
for (const path of others) {
  const { data: other } = await client.POST(path, { body: { message: "What is a node?" } });
  equal(other?.answer, "A scripted answer.");
  called(`ask_at${path.replaceAll("/", "_")}` as keyof operations);
}

const { response: deleted } = await client.DELETE("/chat/{session_id}", { params: { path: session } });
equal(deleted.status, 204);
called("delete_conversation");

// No book is indexed.
equal((await client.GET("/book")).error?.code, "not_found");
called("read_contents");
const search = { params: { query: { q: "What is a node?", limit: 3 } } };
equal((await client.GET("/book/search", search)).error?.code, "not_found");
called("search_book");
const section = { params: { path: { section_id: 1 } } };
equal((await client.GET("/book/sections/{section_id}", section)).error?.code, "not_found");
called("read_section");

equal((await client.GET("/health")).data?.status, "healthy");
called("check_health");
equal((await client.HEAD("/health")).response.status, 200);
called("check_health_head");
equal((await client.GET("/health/ready")).data?.checks.database, "ok");
called("check_readiness");
equal((await client.HEAD("/health/ready")).response.status, 200);
called("check_readiness_head");
