// `/widget.js`: puts the chat on the page whose <script> this is. The server fills in its settings.
{
  /** @type {any} */
  const server = "SERVER";
  const script = /** @type {HTMLScriptElement} */ (document.currentScript);
  const { origin } = new URL(script.src);
  const start = () =>
    import(origin + server.module)
      .then((module) => module.mount(script.dataset, server, origin))
      .catch((error) => console.error("The book's chat could not be loaded.", error));
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start, { once: true });
}
