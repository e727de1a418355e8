// A page with the AI SDK's hook, as docs/ai-sdk.md has it: the transport's own body, no mapping.
// It keeps its conversation over a reload.
import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import { useState } from "react";
import { createRoot } from "react-dom/client";

const { api } = document.body.dataset;
const transport = new DefaultChatTransport({ api });

localStorage.chat ??= crypto.randomUUID();
const id = localStorage.chat;
const { messages: stored = [] } = await (await fetch(`${api}/${id}`)).json();
const earlier = stored
  .filter((each) => !each.replaced && each.status !== "pending" && each.content)
  .map(({ id, role, content }) => ({ id, role, parts: [{ type: "text", text: content }] }));
const resume = stored.at(-1)?.status === "pending";

function Part({ part }) {
  if (part.type === "text") return <p>{part.text}</p>;
  if (part.type === "source-url") return <a href={part.url}>{`[${part.sourceId}] ${part.title}`}</a>;
  return null;
}

function Question({ onAsk }) {
  const [text, setText] = useState("");
  const ask = (event) => {
    event.preventDefault();
    onAsk(text);
    setText("");
  };
  return (
    <form onSubmit={ask}>
      <input aria-label="Question" value={text} onChange={(event) => setText(event.target.value)} />
    </form>
  );
}

function Chat() {
  const chat = useChat({ id, messages: earlier, resume, transport });
  // Read, or Chromium reports the request as failed.
  const stop = () => fetch(`${api}/${id}/stop`, { method: "POST" }).then((answer) => answer.text());
  return (
    <main>
      {chat.messages.map((message) => (
        <article key={message.id} className={message.role}>
          {message.parts.map((part, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: parts have no other key, and stay in order
            <Part key={index} part={part} />
          ))}
        </article>
      ))}
      {chat.error && <div role="alert">{chat.error.message}</div>}
      <output>{chat.status}</output>
      <Question onAsk={(text) => chat.sendMessage({ text })} />
      <button type="button" onClick={() => chat.regenerate()}>
        Another answer
      </button>
      <button type="button" onClick={stop}>
        Stop
      </button>
      <button type="button" onClick={() => chat.stop()}>
        Stop reading
      </button>
    </main>
  );
}

createRoot(document.querySelector("#chat")).render(<Chat />);
