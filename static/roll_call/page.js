// The page's own elements and what it was rendered with; null only where the markup lacks what it must have.

/** @template {HTMLElement} [T=HTMLElement] @param {string} id @returns {T} */
export const byId = (id) => /** @type {T} */ (document.getElementById(id));

export const page = byId("roll-call");
export const list = byId("rows");
export const search = /** @type {HTMLInputElement} */ (byId("q"));
export const sheet = byId("sheet");
export const problem = byId("problem");
export const said = byId("said");
/** @type {Record<string, string>} */
export const data = /** @type {any} */ (page.dataset);

const time = new Intl.DateTimeFormat("en-GB", { timeZone: data.timeZone, hour: "2-digit", minute: "2-digit" });

/** An instant on the camp's clock, "14:05"; such a time as it is. @param {string} instant */
export const clock = (instant) => (instant.includes("T") ? time.format(new Date(instant)) : instant);

/** @param {string} text @param {() => void} pressed */
export function button(text, pressed) {
  const made = document.createElement("button");
  Object.assign(made, { type: "button", className: "quiet", textContent: text });
  made.addEventListener("click", pressed);
  return made;
}
