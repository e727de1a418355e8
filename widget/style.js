// How the chat looks. It is light or dark as the page says (`color-scheme`), unless told otherwise.

const css = `
:host {
  --accent: light-dark(#1a5fb4, #62a0ea);
  --page: light-dark(#ffffff, #1c1d21);
  --ink: light-dark(#1d1f23, #eceef1);
  --quiet: light-dark(#565b64, #a9b0bb);
  --edge: light-dark(#c9ced6, #43474f);
  --soft: light-dark(#f1f3f6, #292b31);
  --alarm: light-dark(#a51d2d, #ff9a94);
  --on-accent: oklch(from var(--accent) clamp(0, (0.65 - l) * 1000, 1) 0 0);
  font: 400 1rem/1.5 system-ui, sans-serif;
  color: var(--ink);
  text-align: start;
}
:host(.page) { display: block; block-size: 100%; }
*, ::before, ::after { box-sizing: border-box; }
[hidden] { display: none !important; }
.hidden { position: absolute; inline-size: 1px; block-size: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
h1, h2, h3, p, ol, ul, blockquote, pre { margin: 0; padding: 0; }
button, textarea { font: inherit; color: inherit; }
button { cursor: pointer; border: 1px solid var(--edge); border-radius: .5rem; padding: .4rem .8rem; background: var(--page); min-block-size: 2.25rem; }
button:hover { background: var(--soft); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
a[href] { color: var(--accent); }
svg { inline-size: 1.25rem; block-size: 1.25rem; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; display: block; }
.icon { display: inline-grid; place-items: center; inline-size: 2.25rem; block-size: 2.25rem; padding: 0; border-color: transparent; background: transparent; flex: none; }
.icon[aria-pressed=true] { color: var(--accent); border-color: var(--accent); }

.opener { position: fixed; inset-block-end: 1.25rem; right: 1.25rem; inline-size: 3.5rem; block-size: 3.5rem; border-radius: 50%; z-index: 2147483000; background: var(--accent); color: var(--on-accent); border: 1px solid var(--on-accent); box-shadow: 0 2px 12px rgb(0 0 0 / .3); }
.opener:hover { background: var(--accent); filter: brightness(1.1); }
.opener svg { inline-size: 1.6rem; block-size: 1.6rem; }
:host(.left) .opener { left: 1.25rem; right: auto; }
.offer { position: fixed; z-index: 2147483001; background: var(--accent); color: var(--on-accent); border-color: var(--on-accent); box-shadow: 0 2px 12px rgb(0 0 0 / .3); }
.offer:hover { background: var(--accent); filter: brightness(1.1); }

.panel { color: var(--ink); background: var(--page); flex-direction: column; }
.panel[open], section.panel { display: flex; }
dialog.panel { position: fixed; inset: auto 1.25rem 5.5rem auto; margin: 0; padding: 0; inline-size: 26rem; block-size: min(42rem, 100dvh - 7rem); max-inline-size: none; max-block-size: none; z-index: 2147483000; border: 1px solid var(--edge); border-radius: 1rem; box-shadow: 0 8px 40px rgb(0 0 0 / .3); overflow: hidden; }
:host(.left) dialog.panel { inset-inline: auto; left: 1.25rem; right: auto; }
:host(:not(.left)) dialog.panel { left: auto; right: 1.25rem; }
section.panel { block-size: 100%; max-inline-size: 52rem; margin-inline: auto; }
@media (max-width: 30rem) {
  dialog.panel, :host(.left) dialog.panel, :host(:not(.left)) dialog.panel { inset: 0; inline-size: 100%; block-size: 100dvh; border: 0; border-radius: 0; }
}
header { display: flex; align-items: center; gap: .25rem; padding: .5rem .5rem .5rem 1rem; border-block-end: 1px solid var(--edge); }
:host([dir=rtl]) header { padding: .5rem 1rem .5rem .5rem; }
header h1, header h2 { flex: 1; font-size: 1.05rem; overflow-wrap: anywhere; }
.demonstration { padding: .4rem 1rem; font-size: .85rem; background: var(--soft); border-block-end: 1px solid var(--edge); }

.scroller { flex: 1; overflow-y: auto; overscroll-behavior: contain; padding: 1rem; min-block-size: 0; outline-offset: -3px; }
.greeting { color: var(--quiet); }
.suggestions { display: flex; flex-wrap: wrap; gap: .5rem; margin-block-start: .75rem; color: var(--ink); }
.suggestions button { border-radius: 1.25rem; text-align: start; }
.older { display: block; margin: 0 auto 1rem; }
.messages { list-style: none; display: flex; flex-direction: column; gap: 1rem; }
.message { overflow-wrap: anywhere; }
.user .text { margin-inline-start: 12%; padding: .6rem .9rem; border-radius: 1rem 1rem .25rem 1rem; background: var(--soft); inline-size: fit-content; margin-inline-start: auto; max-inline-size: 88%; white-space: pre-wrap; }
.text > * + *, .correction > * + * { margin-block-start: .6rem; }
.text h1, .text h2, .text h3, .text h4, .text h5, .text h6 { font-size: 1.05rem; line-height: 1.3; }
.text ul, .text ol { padding-inline-start: 1.4rem; }
.text ul { list-style: disc; }
.text pre { position: relative; padding: .75rem; padding-inline-end: 2.75rem; overflow-x: auto; border: 1px solid var(--edge); border-radius: .5rem; background: var(--soft); direction: ltr; text-align: left; }
.text pre .copy { position: absolute; top: .25rem; right: .25rem; }
.text code { font: .9em/1.45 ui-monospace, monospace; }
.text :not(pre) > code { padding: .1em .3em; border-radius: .25rem; background: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { border: 1px solid var(--edge); padding: .3rem .6rem; text-align: start; overflow-wrap: normal; }
hr { border: 0; border-block-start: 1px solid var(--edge); }
blockquote { border-inline-start: 3px solid var(--accent); padding-inline-start: .75rem; color: var(--quiet); }
.user blockquote { margin-block-end: .4rem; font-size: .9rem; max-block-size: 9rem; overflow-y: auto; white-space: pre-wrap; }
.correction { padding: .6rem .9rem; border: 1px solid var(--accent); border-radius: .5rem; }
.correction .title { font-weight: 600; font-size: .85rem; }
details { font-size: .9rem; color: var(--quiet); }
summary { cursor: pointer; }
.foot { margin-block-start: .25rem; }
.note { font-size: .85rem; color: var(--quiet); }
.failure { color: var(--alarm); }
.retry { margin-block-start: .4rem; }
.judging { display: flex; gap: .25rem; margin-inline-start: -.5rem; color: var(--quiet); }
.comment { display: flex; gap: .5rem; align-items: end; }
.waiting { display: inline-block; inline-size: .6rem; block-size: .6rem; border-radius: 50%; background: var(--quiet); animation: waiting 1s ease-in-out infinite alternate; }
@keyframes waiting { to { opacity: .2; } }

.status { padding: .3rem 1rem; font-size: .85rem; color: var(--quiet); }
.status:empty { display: none; }
.confirmation { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; padding: .6rem 1rem; border-block-start: 1px solid var(--edge); }
.confirmation p { flex: 1 1 100%; }
.danger { color: var(--alarm); border-color: var(--alarm); }
.composer { padding: .6rem; border-block-start: 1px solid var(--edge); }
.chip { display: flex; align-items: start; gap: .25rem; margin-block-end: .5rem; }
.chip blockquote { flex: 1; font-size: .9rem; max-block-size: 5.5rem; overflow-y: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
.line { display: flex; align-items: end; gap: .4rem; }
textarea { flex: 1; min-inline-size: 0; resize: none; max-block-size: 10rem; padding: .45rem .7rem; border: 1px solid var(--quiet); border-radius: .6rem; background: var(--page); }
textarea:focus-visible { outline-offset: 0; }
.line textarea, .line .icon { min-block-size: 2.5rem; }
textarea::placeholder { color: var(--quiet); opacity: 1; }
.send, .stop { background: var(--accent); color: var(--on-accent); }
.send:hover, .stop:hover { background: var(--accent); filter: brightness(1.1); }

@media (prefers-contrast: more) { :host { --quiet: var(--ink); --edge: var(--ink); } }
@media (forced-colors: active) { .message.user .text, .icon, .opener, .offer { border: 1px solid; } .icon[aria-pressed=true] { border: 3px solid Highlight; } }
@media (prefers-reduced-motion: reduce) { .waiting { animation: none; } }
@media print { :host(:not(.page)) { display: none; } }
`;

/** A sheet of its own, and no <style>: that, a strict page would not let pass. */
export function sheet() {
  const made = new CSSStyleSheet();
  made.replaceSync(css);
  return made;
}
