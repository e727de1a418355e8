// How the chat looks. It follows the page's `color-scheme`, light or dark, unless the script tag sets one.

import { sourcesCss } from "./style-sources.js";

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
}
/* The element itself takes no place in the page's layout, even where the page's styles give it a box. */
:host(:not(.page)) {
  display: contents;
  position: fixed !important;
  inset: 0 auto auto 0 !important;
  z-index: 2147483000 !important;
  inline-size: 0 !important;
  block-size: 0 !important;
  min-inline-size: 0 !important;
  min-block-size: 0 !important;
  margin: 0 !important;
  border: 0 !important;
  padding: 0 !important;
  overflow: visible !important;
  opacity: 1 !important;
  clip-path: none !important;
  mask: none !important;
  contain: none !important;
  container-type: normal !important;
  will-change: auto !important;
  transform: none !important;
  translate: none !important;
  rotate: none !important;
  scale: none !important;
  perspective: none !important;
  filter: none !important;
  backdrop-filter: none !important;
}
/* Nothing is inherited from the page's styles. */
/* Sizes are in em: letters are as large as in the reader's browser settings. */
:where(.opener, .panel, .offer) {
  all: initial;
  color-scheme: inherit;
  font:
    400 medium / 1.5 system-ui,
    sans-serif;
  color: var(--ink);
  user-select: text;
}
dialog:not([open]) {
  display: none;
}
:host(.page) {
  display: block;
  block-size: 100%;
}
*,
::before,
::after {
  box-sizing: border-box;
}
[hidden] {
  display: none !important;
}
.hidden {
  position: absolute;
  inline-size: 1px;
  block-size: 1px;
  margin: -1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}
h1,
h2,
h3,
p,
ol,
ul,
blockquote,
pre {
  margin: 0;
  padding: 0;
}
:where(.panel) :is(button, textarea) {
  font: inherit;
  color: inherit;
}
button {
  cursor: pointer;
  border: 1px solid var(--edge);
  border-radius: 0.5em;
  padding: 0.4em 0.8em;
  background: var(--page);
  min-block-size: 2.25em;
}
button:hover {
  background: var(--soft);
}
:focus-visible {
  outline: 3px solid var(--accent);
  outline-offset: 2px;
}
a[href] {
  color: var(--accent);
}
svg {
  inline-size: 1.25em;
  block-size: 1.25em;
  fill: none;
  stroke: currentColor;
  stroke-width: 2;
  stroke-linecap: round;
  stroke-linejoin: round;
  display: block;
}
.icon {
  display: inline-grid;
  place-items: center;
  inline-size: 2.25em;
  block-size: 2.25em;
  padding: 0;
  border-color: transparent;
  background: transparent;
  flex: none;
}
.icon[aria-pressed="true"] {
  color: var(--accent);
  border-color: var(--accent);
}

.opener {
  position: fixed;
  inset-block-end: 1.25em;
  right: 1.25em;
  inline-size: 3.5em;
  block-size: 3.5em;
  border-radius: 50%;
  z-index: 2147483000;
  background: var(--accent);
  color: var(--on-accent);
  border: 1px solid var(--on-accent);
  box-shadow: 0 2px 12px rgb(0 0 0 / 0.3);
}
.opener:hover {
  background: var(--accent);
  filter: brightness(1.1);
}
.opener svg {
  inline-size: 1.6em;
  block-size: 1.6em;
}
:host(.left) .opener {
  left: 1.25em;
  right: auto;
}
.offer {
  position: fixed;
  z-index: 2147483001;
  background: var(--accent);
  color: var(--on-accent);
  border-color: var(--on-accent);
  box-shadow: 0 2px 12px rgb(0 0 0 / 0.3);
}
.offer:hover {
  background: var(--accent);
  filter: brightness(1.1);
}

.panel {
  color: var(--ink);
  background: var(--page);
  flex-direction: column;
}
.panel[open],
section.panel {
  display: flex;
}
dialog.panel {
  position: fixed;
  inset: auto 1.25em 5.5em auto;
  margin: 0;
  padding: 0;
  inline-size: min(26em, 100vw - 2.5em);
  block-size: min(42em, 100dvh - 7em);
  max-inline-size: none;
  max-block-size: none;
  z-index: 2147483000;
  border: 1px solid var(--edge);
  border-radius: 1em;
  box-shadow: 0 8px 40px rgb(0 0 0 / 0.3);
  overflow: hidden;
}
:host(.left) dialog.panel {
  inset-inline: auto;
  left: 1.25em;
  right: auto;
}
:host(:not(.left)) dialog.panel {
  left: auto;
  right: 1.25em;
}
section.panel {
  block-size: 100%;
  max-inline-size: 52em;
  margin-inline: auto;
}
@media (max-width: 30rem) {
  dialog.panel,
  :host(.left) dialog.panel,
  :host(:not(.left)) dialog.panel {
    inset: 0;
    inline-size: 100%;
    block-size: 100dvh;
    border: 0;
    border-radius: 0;
  }
}
header {
  display: flex;
  flex-wrap: wrap;
  justify-content: end;
  align-items: center;
  gap: 0.25em;
  padding: 0.5em 0.5em 0.5em 1em;
  border-block-end: 1px solid var(--edge);
}
:host([dir="rtl"]) header {
  padding: 0.5em 1em 0.5em 0.5em;
}
header h1,
header h2 {
  flex: 1 1 7em;
  font-size: 1.05em;
  overflow-wrap: anywhere;
}
.demonstration {
  padding: 0.5em 1.2em;
  font-size: 0.85em;
  background: var(--soft);
  border-block-end: 1px solid var(--edge);
}

.scroller {
  flex: 1;
  overflow-y: auto;
  overflow-anchor: none;
  overscroll-behavior: contain;
  padding: 1em;
  min-block-size: 0;
  outline-offset: -3px;
}
.greeting {
  color: var(--quiet);
}
.suggestions {
  display: flex;
  flex-wrap: wrap;
  gap: 0.5em;
  margin-block-start: 0.75em;
  color: var(--ink);
}
.suggestions button {
  border-radius: 1.25em;
  text-align: start;
}
.older {
  display: block;
  margin: 0 auto 1em;
}
.messages {
  list-style: none;
  display: flex;
  flex-direction: column;
  gap: 1em;
}
.message {
  overflow-wrap: anywhere;
}
.user .text {
  padding: 0.6em 0.9em;
  border-radius: 1em 1em 0.25em 1em;
  background: var(--soft);
  max-inline-size: 88%;
  white-space: pre-wrap;
}
.text > * + *,
.correction > * + * {
  margin-block-start: 0.6em;
}
.text h1,
.text h2,
.text h3,
.text h4,
.text h5,
.text h6 {
  font-size: 1.05em;
  line-height: 1.3;
}
/* A line after a line break has a direction of its own; code at the start of a line does not count. */
.text :is(blockquote, h1, h2, h3, h4, h5, h6, li, p, td, th)[dir],
.chip blockquote {
  unicode-bidi: plaintext;
}
[dir="rtl"] > li[dir="ltr"],
[dir="ltr"] > li[dir="rtl"] {
  margin-inline-start: 1.4em;
}
.text code {
  direction: ltr;
  unicode-bidi: isolate;
}
.text ul,
.text ol {
  padding-inline-start: 1.4em;
}
.text ul {
  list-style: disc;
}
.code {
  display: flex;
  direction: ltr;
  border: 1px solid var(--edge);
  border-radius: 0.5em;
  background: var(--soft);
}
.text pre {
  flex: 1;
  min-inline-size: 0;
  font: inherit;
  padding: 0.75em;
  overflow-x: auto;
  text-align: left;
}
.text code {
  font:
    0.9em / 1.45 ui-monospace,
    monospace;
}
.text :not(pre) > code {
  padding: 0.1em 0.3em;
  border-radius: 0.25em;
  background: var(--soft);
}
.wide {
  overflow-x: auto;
}
table {
  border-collapse: collapse;
  font-size: 0.9em;
}
th,
td {
  border: 1px solid var(--edge);
  padding: 0.3em 0.6em;
  text-align: start;
  overflow-wrap: normal;
}
hr {
  border: 0;
  border-block-start: 1px solid var(--edge);
}
blockquote {
  border-inline-start: 3px solid var(--accent);
  padding-inline-start: 0.75em;
  color: var(--quiet);
}
.user blockquote {
  margin-block-end: 0.4em;
  font-size: 0.9em;
  max-block-size: 9em;
  overflow-y: auto;
  white-space: pre-wrap;
}
.correction {
  padding: 0.6em 0.9em;
  border: 1px solid var(--accent);
  border-radius: 0.5em;
}
.correction .title {
  font-weight: 600;
  font-size: 0.85em;
}
details {
  font-size: 0.9em;
  color: var(--quiet);
}
summary {
  cursor: pointer;
}
.foot {
  margin-block-start: 0.25em;
}
.note {
  font-size: 0.85em;
  color: var(--quiet);
}
.failure {
  color: var(--alarm);
}
.retry {
  margin-block-start: 0.4em;
}
.actions {
  display: flex;
  gap: 0.25em;
  margin-inline-start: -0.5em;
  color: var(--quiet);
}
.comment {
  margin-block-start: 0.4em;
  display: flex;
  gap: 0.5em;
  align-items: end;
}
.waiting {
  display: inline-block;
  inline-size: 0.6em;
  block-size: 0.6em;
  border-radius: 50%;
  background: var(--quiet);
  animation: waiting 1s ease-in-out infinite alternate;
}
@keyframes waiting {
  to {
    opacity: 0.2;
  }
}

.status {
  padding: 0.35em 1.2em;
  font-size: 0.85em;
  color: var(--quiet);
}
.status:empty {
  display: none;
}
.confirmation {
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 0.5em;
  padding: 0.6em 1em;
  border-block-start: 1px solid var(--edge);
}
.confirmation p {
  flex: 1 1 100%;
}
.danger {
  color: var(--alarm);
  border-color: var(--alarm);
}
.composer {
  padding: 0.6em;
  border-block-start: 1px solid var(--edge);
}
.chip {
  display: flex;
  align-items: start;
  gap: 0.25em;
  margin-block-end: 0.5em;
}
.editing {
  display: flex;
  margin-block-end: 0.4em;
  align-items: center;
  gap: 0.25em;
  font-size: 0.85em;
  color: var(--quiet);
}
.editing p {
  flex: 1;
}
.user {
  display: flex;
  flex-direction: row-reverse;
  align-items: center;
  gap: 0.25em;
}
.user .foot {
  margin: 0;
  color: var(--quiet);
}
/* An answer that is being written can be stopped, but not replaced; only the last one can be. */
.answering :is(.edit, .again),
.message:not(:last-child) .again {
  display: none;
}
.chip blockquote {
  flex: 1;
  font-size: 0.9em;
  max-block-size: 5.5em;
  overflow-y: auto;
  white-space: pre-wrap;
  overflow-wrap: anywhere;
}
.line {
  display: flex;
  align-items: end;
  gap: 0.4em;
}
textarea {
  flex: 1;
  min-inline-size: 0;
  resize: none;
  max-block-size: 10em;
  padding: 0.45em 0.7em;
  border: 1px solid var(--quiet);
  border-radius: 0.6em;
  background: var(--page);
}
textarea:focus-visible {
  outline-offset: 0;
}
.line textarea,
.line .icon {
  min-block-size: 2.5em;
}
textarea::placeholder {
  color: var(--quiet);
  opacity: 1;
}
.send,
.stop {
  background: var(--accent);
  color: var(--on-accent);
}
.send:hover,
.stop:hover {
  background: var(--accent);
  filter: brightness(1.1);
}

@media (prefers-contrast: more) {
  :host {
    --quiet: var(--ink);
    --edge: var(--ink);
  }
}
@media (forced-colors: active) {
  .message.user .text,
  .icon,
  .opener,
  .offer {
    border: 1px solid;
  }
  .icon[aria-pressed="true"] {
    border: 3px solid Highlight;
  }
  .waiting {
    background: CanvasText;
    forced-color-adjust: none;
  }
}
@media (prefers-reduced-motion: reduce) {
  .waiting {
    animation: none;
  }
}
@media print {
  :host(:not(.page)) {
    display: none !important;
  }
  :host {
    color-scheme: light !important;
    block-size: auto !important;
  }
  section.panel {
    display: block;
    block-size: auto;
    max-inline-size: none;
  }
  .scroller,
  .wide,
  .text pre,
  .user blockquote {
    overflow: visible;
    max-block-size: none;
  }
  .text pre {
    white-space: pre-wrap;
  }
  th,
  td {
    overflow-wrap: anywhere;
  }
  .user .text {
    border: 1px solid var(--edge);
  }
  details::details-content {
    content-visibility: visible;
    block-size: auto;
  }
  button,
  .composer,
  .confirmation,
  .comment,
  .status,
  .greeting {
    display: none !important;
  }
}
`;

/** A constructed style sheet: a strict policy of the page would block a <style> element. */
export function createStyleSheet() {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css + sourcesCss);
  return sheet;
}
