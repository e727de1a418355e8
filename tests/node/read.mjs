// Asks one question through the AI SDK's own transport and tells what its client makes of the answer.
// usage: node read.mjs ai|ai-v5 URL '{"message": …}'
const [version, url, body] = process.argv.slice(2);
const { DefaultChatTransport, readUIMessageStream } = await import(version);

const { message, ...more } = JSON.parse(body);
const transport = new DefaultChatTransport({
  api: `${url}/chat`,
  prepareSendMessagesRequest: ({ messages }) => ({
    body: { message: messages.at(-1).parts[0].text, stream: true, ...more },
  }),
});

const told = { chunks: [], errors: [], states: 0, message: null };
try {
  const stream = await transport.sendMessages({
    chatId: "test",
    trigger: "submit-message",
    messages: [{ id: "1", role: "user", parts: [{ type: "text", text: message }] }],
  });
  const [chunks, states] = stream.tee();
  const reading = (async () => {
    for await (const chunk of chunks) told.chunks.push(chunk.type);
  })();
  const onError = (error) => told.errors.push(error.message);
  for await (const state of readUIMessageStream({ stream: states, onError })) {
    told.states += 1;
    told.message = state;
  }
  await reading;
} catch (error) {
  told.errors.push(error.message);
}
console.log(JSON.stringify(told));
