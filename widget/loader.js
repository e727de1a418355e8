// `/widget.js`: puts the chat on the page that loads it. The server fills in its settings.
{
  /** @type {any} */
  const server = "SERVER";
  const PATH = `${server.path}/widget.js`; // `server.path` is where the service is on its host, "" at the root
  const current = document.currentScript instanceof HTMLScriptElement ? document.currentScript : null;
  const stack = new Error().stack ?? "";

  /** @param {string} url */
  const isLoader = (url) => URL.canParse(url) && new URL(url).pathname === PATH;

  /**
   * Where this script may come from, the most certain first. Modules have no `currentScript`, and
   * neither has a text that is evaluated, whose address is not even in the stack.
   */
  const addresses = () => {
    const tags = [...document.scripts].map(({ src }) => src);
    const requests = performance.getEntriesByType("resource").map(({ name }) => name);
    const own = [current?.src ?? "", ...(stack.match(/https?:[^\s()]+?(?=:\d+:\d+)/g) ?? [])];
    const renamed = current?.src ? [current.src] : []; // a proxy may serve it under another name
    return [...[...own, ...tags, ...requests.reverse()].filter(isLoader), ...renamed];
  };

  /** @param {string} origin */
  const settingsFor = (origin) => {
    if (current?.src.startsWith(`${origin}/`)) return current.dataset;
    return [...document.scripts].find(({ src }) => isLoader(src) && new URL(src).origin === origin)?.dataset ?? {};
  };

  const start = async () => {
    let failure;
    for (const origin of new Set(addresses().map((address) => new URL(address).origin))) {
      try {
        const base = origin + server.path;
        const { mount } = await import(base + server.module);
        return mount(settingsFor(origin), server, base);
      } catch (error) {
        failure = error;
      }
    }
    console.error("The book's chat could not be loaded.", failure);
  };

  /** @returns {Promise<unknown> | undefined} */
  const untilThereIsABody = () => {
    if (document.body) return;
    return new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve, { once: true }));
  };

  // Of several script tags the first one counts, whichever module arrives first.
  const key = Symbol.for("book-chat");
  /** @type {Record<symbol, Promise<unknown>>} */
  const page = /** @type {any} */ (window);
  page[key] = Promise.resolve(page[key]).then(untilThereIsABody).then(start);
}
