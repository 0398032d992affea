// htmx for this bundle; its extensions look for it on the window.
// @ts-expect-error -- the module comes without types
import library from "htmx.org/dist/htmx.esm.js";

/** @type {any} */
export const htmx = library;
Object.assign(globalThis, { htmx });
