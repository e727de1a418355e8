// How sources look: numbers in the text, the list below an answer, the card, what a reply rests on.

export const sourcesCss = `
sup {
  line-height: 0;
}
.number {
  padding: 0.35em 0.1em;
  border-radius: 0.25em;
  text-decoration: none;
  white-space: nowrap;
  unicode-bidi: isolate;
}
/* Joined to the word before it. */
.number::before {
  content: "\\2060";
}
.number:hover,
.number[aria-describedby] {
  background: var(--soft) content-box; /* not over the line above */
  text-decoration: underline;
}
.head:empty {
  display: none;
}
.head {
  margin-block-end: 0.4em;
}
.grounding {
  padding: 0.35em 0.75em;
  border-inline-start: 3px solid var(--quiet);
  background: var(--soft);
  font-size: 0.85em;
  color: var(--quiet);
}
.sources {
  margin-block: 0.6em 0.4em;
  padding-block-start: 0.5em;
  border-block-start: 1px solid var(--edge);
  font-size: 0.85em;
}
.sources ul {
  list-style: disc;
}
.foot .grounding {
  margin-block: 0.6em;
}
.sources p {
  color: var(--quiet);
}
.sources :is(ol, ul) {
  padding-inline-start: 1.6em;
}
.sources li {
  padding-block: 0.15em;
}
.sources li::marker {
  color: var(--quiet);
}
.sources a {
  display: inline-block;
  vertical-align: top;
  max-inline-size: 100%;
  text-decoration: none;
}
.sources a:hover {
  text-decoration: underline;
}
.card {
  position: fixed;
  inset: auto;
  inline-size: max-content;
  max-inline-size: min(22em, 100vw - 1em);
  max-block-size: min(20em, 100dvh - 1em);
  margin: 0;
  padding: 0.7em 0.9em;
  overflow-wrap: anywhere;
  font-size: 0.9em;
  line-height: 1.45;
  color: var(--ink);
  background: var(--page);
  border: 1px solid var(--edge);
  border-radius: 0.6em;
  box-shadow: 0 4px 24px rgb(0 0 0 / 0.3);
}
.card:popover-open {
  display: flex;
  flex-direction: column;
}
.card .title {
  font-weight: 600;
}
.card .path {
  color: var(--quiet);
}
.card blockquote {
  margin-block: 0.5em;
  overflow: auto;
  color: inherit;
  white-space: pre-line;
}
.card code {
  font: 0.9em ui-monospace, monospace;
}
.card .show {
  padding-block: 0.2em;
}
@media (prefers-reduced-motion: no-preference) {
  .card {
    animation: appearing 0.12s ease-out;
  }
  @keyframes appearing {
    from {
      opacity: 0;
    }
  }
}
@media (forced-colors: active) {
  .number[aria-describedby] {
    outline: 1px solid;
  }
}
@media print {
  .card {
    display: none !important;
  }
  .sources a::after {
    content: " (" attr(data-address) ")";
    unicode-bidi: isolate;
  }
}
`;
