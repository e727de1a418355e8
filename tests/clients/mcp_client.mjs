// The official TypeScript clients, as their documentation has it: URL and which; prints JSON.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Client as OldClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as OldTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url, which] = process.argv.slice(2);
const isOld = which === "sdk-1";
const about = { name: "test", version: "1" };
const client = isOld ? new OldClient(about) : new Client(about, { versionNegotiation: { mode: which } });
const Transport = isOld ? OldTransport : StreamableHTTPClientTransport;
await client.connect(new Transport(new URL(url)));

const call = (name, args, options) => {
  const params = { name, arguments: args };
  return isOld ? client.callTool(params, undefined, options) : client.callTool(params, options);
};
const progress = [];
const found = await call("search", { query: "How must a node be named?" });
const section = await call("fetch", { id: found.structuredContent.results[0].id });
const { resources } = await client.listResources();
const page = await client.readResource({ uri: resources[0].uri });
const answer = await call(
  "ask",
  { question: "How must a node be named?" },
  { onprogress: ({ message }) => progress.push(message) },
);
const { tools } = await client.listTools();
const seen = {
  version: isOld ? null : client.getNegotiatedProtocolVersion(),
  tools: tools.map(({ name }) => name),
  section: section.structuredContent.title,
  page: page.contents[0].text,
  answer: answer.structuredContent,
  progress,
};
await client.close();
console.log(JSON.stringify(seen));
