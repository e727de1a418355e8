// `/widget.js`: puts the chat on the page whose <script> this is. The server fills in what it knows.
{
  const server = "SERVER";
  const script = document.currentScript;
  const start = () =>
    import(new URL(server.module, script.src))
      .then((module) => module.mount(script.dataset, server, new URL(script.src).origin))
      .catch((error) => console.error("The book's chat could not be loaded.", error));
  // Until the body is there, nothing can be put into it.
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start, { once: true });
}
