// Listeners that last as long as the page. `document.open()` removes all listeners of the window, the
// document and its nodes, so each is kept to be added again.

/** @type {[EventTarget, string, (event: any) => void, AddEventListenerOptions?][]} */
const listeners = [];

/**
 * Listen for as long as the page lives.
 *
 * @param {EventTarget} target
 * @param {string} type
 * @param {(event: any) => void} listener
 * @param {AddEventListenerOptions} [options]
 */
export function listen(target, type, listener, options) {
  listeners.push([target, type, listener, options]);
  target.addEventListener(type, listener, options);
}

/** Add every listener again; those that are still there are not added twice. */
export function listenAgain() {
  for (const [target, type, listener, options] of listeners) target.addEventListener(type, listener, options);
}
