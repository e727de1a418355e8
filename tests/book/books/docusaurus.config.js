// The book that the tests read, at the address that they give, with formulas by KaTeX.
const address = new URL(JSON.parse(process.env.BOOK_URL));
const plugin = async (name) => (await import(`${process.env.TOOLS}/${name}/index.js`)).default;

export default async function config() {
  return {
    title: "A Small Book of Robots",
    url: address.origin,
    baseUrl: `${address.pathname}/`,
    onBrokenLinks: "warn",
    presets: [
      [
        "classic",
        {
          docs: {
            routeBasePath: "/",
            sidebarPath: undefined,
            editUrl: "https://code.example/edit/",
            remarkPlugins: [await plugin("remark-math")],
            rehypePlugins: [await plugin("rehype-katex")],
          },
          blog: false,
          theme: {},
        },
      ],
    ],
  };
}
