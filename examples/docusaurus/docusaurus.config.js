// A book as Docusaurus makes it, and the chat: what `scripts` holds is all it takes.
const chat = process.env.CHAT_URL ?? "http://localhost:8000";

export default {
  title: "A Small Book of Robots",
  url: "http://localhost:3000",
  baseUrl: "/",
  onBrokenLinks: "throw",
  presets: [["classic", { docs: { routeBasePath: "/", sidebarPath: undefined }, blog: false, theme: {} }]],
  scripts: [
    {
      src: `${chat}/widget.js`,
      defer: true,
      "data-title": "Ask the book",
      "data-suggestions": "What is a node?|How do nodes talk?",
    },
  ],
  themeConfig: {
    navbar: { title: "A Small Book of Robots" },
    colorMode: { respectPrefersColorScheme: true },
  },
};
