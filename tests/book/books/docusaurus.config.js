// The book that the tests read, at the address that they give.
const address = new URL(JSON.parse(process.env.BOOK_URL));

export default {
  title: "A Small Book of Robots",
  url: address.origin,
  baseUrl: `${address.pathname}/`,
  onBrokenLinks: "warn",
  presets: [
    [
      "classic",
      {
        docs: { routeBasePath: "/", sidebarPath: undefined, editUrl: "https://code.example/edit/" },
        blog: false,
        theme: {},
      },
    ],
  ],
};
