// A front end on the AI SDK's own chat (what useChat keeps) and transport, with no line of mapping.
// Reads one command per line, prints what its reader then sees. usage: node ai_sdk.mjs ai|ai-v6|ai-v5|assistant-ui
import { createInterface } from "node:readline";

const isAssistantUi = process.argv[2] === "assistant-ui";
const { AbstractChat, ...sdk } = await import(isAssistantUi ? "ai" : process.argv[2]);
const Transport = isAssistantUi
  ? (await import("@assistant-ui/react-ai-sdk")).AssistantChatTransport
  : sdk.DefaultChatTransport;

class State {
  status = "ready";
  error = undefined;
  constructor(messages) {
    this.messages = messages;
  }
  pushMessage = (message) => {
    this.messages = [...this.messages, message];
  };
  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };
  replaceMessage = (index, message) => {
    this.messages = this.messages.with(index, structuredClone(message));
  };
  snapshot = (message) => structuredClone(message);
}

class Chat extends AbstractChat {
  data = [];
  constructor({ api, id, body, messages = [] }) {
    super({
      ...(id && { id }),
      transport: new Transport({ api, ...(body && { body }) }),
      state: new State(messages),
      onData: (part) => this.data.push(part),
    });
  }
}

let chat;
let pending;
const commands = {
  open: (options) => {
    chat = new Chat(options);
  },
  send: (message) => chat.sendMessage(message),
  begin: (message) => {
    pending = chat.sendMessage(message);
  },
  end: () => pending,
  stop: () => chat.stop(),
  regenerate: (options) => chat.regenerate(options),
  resume: () => chat.resumeStream(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, options] = JSON.parse(line);
  await commands[name](options ?? undefined);
  const { id, status, messages, data } = chat;
  console.log(JSON.stringify({ id, status, messages, data, error: chat.error?.message ?? null }));
}
