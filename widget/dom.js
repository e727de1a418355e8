// Creating elements. Nothing here parses HTML, so pages with a strict policy allow it.

/**
 * `el("a", { href, onclick, hidden, "aria-label": … }, …children)`: a new element.
 *
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, unknown>} [properties] set as properties where the element has one of that
 *   name, as attributes elsewhere; null and undefined are left out
 * @param {...(Node | string | null | undefined)} children null and undefined are left out
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (key in element && !key.startsWith("aria-")) Object.assign(element, { [key]: value });
    else element.setAttribute(key, String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  again: "M20 11a8 8 0 1 0-2.500 6.500M20 5v6h-6",
  chat: "M4 4h16a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2h-8l-5 4v-4H4a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2z",
  close: "M5 5l14 14M19 5L5 19",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  down: "M10 14H5.2a2 2 0 0 1-2-2.4l1.3-6A2 2 0 0 1 6.500 4H16v10l-3.500 6.500a2 2 0 0 1-2.500-2zM16 4h4v10h-4",
  edit: "M4 20l1-5L16 4l4 4L9 19zM14 6l4 4",
  startOver: "M12 5v14M5 12h14",
  remove: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
  send: "M12 20V4M5 11l7-7 7 7",
  stop: "M7 7h10v10H7z",
  up: "M14 10h4.800a2 2 0 0 1 2 2.400l-1.300 6a2 2 0 0 1-2 1.600H8V10l3.500-6.500a2 2 0 0 1 2.500 2zM8 20H4V10h4",
};

/** @param {keyof typeof ICONS} name */
function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/**
 * A button that shows an icon and has its label as tooltip and accessible name.
 *
 * @param {keyof typeof ICONS} name
 * @param {string} label
 * @param {(() => void) | null} onclick
 * @param {Record<string, unknown>} [properties]
 */
export function iconButton(name, label, onclick, properties = {}) {
  const defaults = { type: "button", className: `icon ${name}`, title: label, "aria-label": label };
  return el("button", { ...defaults, onclick, ...properties }, icon(name));
}

/**
 * @param {string} text
 * @returns {Promise<boolean>} whether the browser allowed it
 */
export async function copyToClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // the page is served over plain HTTP, or the reader refused permission
  }
}
