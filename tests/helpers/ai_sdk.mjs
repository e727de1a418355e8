// Asks one question through the AI SDK's own transport, and prints what its client made of the answer.
// usage: node ai_sdk.mjs ai|ai-v5 URL '{"message": …}'
const [version, url, body] = process.argv.slice(2);
const { DefaultChatTransport, readUIMessageStream } = await import(version);

const { message, ...fields } = JSON.parse(body);
const transport = new DefaultChatTransport({
  api: `${url}/chat`,
  prepareSendMessagesRequest: ({ messages }) => ({
    body: { message: messages.at(-1).parts[0].text, stream: true, ...fields },
  }),
});

const result = { chunks: [], errors: [], states: 0, message: null };
try {
  const stream = await transport.sendMessages({
    chatId: "test",
    trigger: "submit-message",
    messages: [{ id: "1", role: "user", parts: [{ type: "text", text: message }] }],
  });
  const [chunks, states] = stream.tee();
  const readChunks = (async () => {
    for await (const chunk of chunks) result.chunks.push(chunk.type);
  })();
  const onError = (error) => result.errors.push(error.message);
  for await (const state of readUIMessageStream({ stream: states, onError })) {
    result.states += 1;
    result.message = state;
  }
  await readChunks;
} catch (error) {
  result.errors.push(error.message);
}
console.log(JSON.stringify(result));
