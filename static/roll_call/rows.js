// The rows of a roll call. Every row comes through the swap style "rows": of an answer, of the stream, drawn on this
// phone, of the page fetched anew. Over what the server said lies what was decided here and not yet answered.
import * as outbox from "./outbox.js";
import { count, filterOne, nameOf, put } from "./list.js";
import { clock, data, list } from "./page.js";
import { standing as standingOf, touched } from "./rules.js";

/** @typedef {import("./rules.js").Entry} Entry */
/** @typedef {{li: HTMLElement, at: number}} Row what the server said last, and when it was read */
/** @typedef {{book: string, name: string, find: string, card: string}} Other who may walk in */

const NOBODY = "00000000-0000-0000-0000-000000000000";

export const table = {
  /** @type {Map<string, Row>} */ server: new Map(),
  /** @type {Map<string, Other>} */ others: new Map(),
  /** @type {Set<string>} whose marks of this page have arrived */ sent: new Set(),
  /** @type {Entry[]} the outbox of this camp, oldest first */ entries: [],
  closed: data.closed,
  /** who is on the list and not on this page, which may be of a search */ offPage: { present: 0, total: 0 },
};
const { server, others, sent } = table;

export const idOf = (/** @type {HTMLElement} */ li) => li.id.slice("person-".length);
export const rowOf = (/** @type {string} */ person) => document.getElementById(`person-${person}`);

/** @param {string} person */
export function knownOf(person) {
  const li = server.get(person)?.li;
  if (!li) return undefined;
  const { state = "", role = "", left } = li.dataset;
  return { state, role, left, signedUp: "signedUp" in li.dataset, presumed: "presumed" in li.dataset };
}

export const standing = (/** @type {string} */ person) => standingOf(person, knownOf(person), table.entries);

/** Whom the closing of the list may concern, and its opening again. */
const undecided = () => [...server.keys()].filter((person) => {
  const known = knownOf(person);
  return known?.state === "expected" || known?.presumed;
});

/** The people whose rows the outbox lies over. */
export const waitingFor = (entries = table.entries) => touched(entries, undecided);

/** @type {Set<string>} people whose entries were answered, until their rows are drawn again */
let awaited = new Set();

export const awaitRedraw = (/** @type {Set<string>} */ people) => { awaited = people; };

/** Draw those anew whom the answer brought no row of. */
export function redrawAwaited() {
  for (const person of awaited) if (server.has(person) || rowOf(person)) render(person);
  awaited = new Set();
  count();
}

// --- the swap style ---

/**
 * htmx calls it for each fragment. Of a row, what is newer is kept; the waiting state is laid over it again.
 * @param {string} style
 * @param {Element} _target
 * @param {DocumentFragment} fragment
 * @param {{camp?: string, at?: number, again?: boolean, whole?: boolean, drawn?: boolean}} spec
 */
export function swap(style, _target, fragment, spec) {
  if (style !== "rows") return false;
  if (spec.camp && spec.camp !== data.camp) return []; // of a batch that was of several camps
  const at = spec.at ?? Number(fragment.querySelector("#rows")?.getAttribute("data-at"));
  const rows = /** @type {NodeListOf<HTMLElement>} */ (fragment.querySelectorAll("li.person"));
  const people = new Set();
  if (spec.whole) table.offPage = { present: 0, total: 0 };
  for (const li of rows) {
    people.add(idOf(li));
    awaited.delete(idOf(li));
    if (spec.drawn) place(li);
    else take(li, at, spec);
  }
  if (spec.whole) forgetOthersThan(people, at);
  const closing = fragment.querySelector(".closing");
  if (closing) hearClosing(closing.textContent, at);
  count();
  return []; // rows have nothing that htmx would have to prepare
}

// Versions are instants of the server; who is off the list has none (0), and then the time of reading counts. `again`
// takes the same version anew: the answer to a mark shows the badges that it brought.
/** @param {HTMLElement} li @param {number} at @param {{again?: boolean, kept?: boolean}} [options] */
export function take(li, at, { again = false, kept = false } = {}) {
  const person = idOf(li);
  const known = server.get(person);
  const version = Number(li.dataset.version);
  // Who is not on a page that shows a search is counted, and nothing new while they stay as they were.
  if (!known && table.offPage.total && version && version <= Number(list.dataset.at)) return;
  if (known) {
    const [old, fresh] = [Number(known.li.dataset.version), version];
    const isOld = old && fresh ? fresh < old || (fresh === old && !again) : known.at > at;
    if (isOld) return again && render(person);
  }
  server.set(person, { li, at });
  if (!li.dataset.state) others.set(person, otherOf(li));
  if (!kept) outbox.keepRow(data.camp, person, { at, html: li.outerHTML });
  render(person);
}

/** @param {HTMLElement} li @returns {Other} */
const otherOf = (li) => {
  const { book = "", find = "", card = "" } = li.dataset;
  return { book, name: nameOf(li), find, card };
};

/** @param {Set<string>} people who are on the list @param {number} at */
function forgetOthersThan(people, at) {
  for (const [person, row] of server) {
    if (!row.li.dataset.state || row.at > at || people.has(person)) continue;
    server.delete(person);
    others.set(person, otherOf(row.li));
    render(person);
  }
}

/** @param {string} line @param {number} at */
function hearClosing(line, at) {
  table.closed = line;
  outbox.keep(`closed ${data.camp}`, { line, at }).catch(() => {});
}

/** @param {string} html */
export function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return /** @type {HTMLElement} */ (template.content.querySelector("li"));
}

// --- drawing ---

const templates = new Map([...document.querySelectorAll("template")].map((template) =>
  [template.dataset.row, template.content.querySelector("li")]));

export const render = (/** @type {string} */ person) => place(make(person));

/** The partial by which rows that this phone drew are swapped. @param {Iterable<string>} people */
export function partial(people) {
  const rows = [...people].map((person) => make(person).outerHTML);
  return `<hx-partial hx-target="#rows" hx-swap="rows drawn:true">${rows.join("\n")}</hx-partial>`;
}

/** @param {string} person @returns {HTMLElement} */
export function make(person) {
  const now = standing(person);
  const known = server.get(person)?.li;
  const li = now.waiting || !known ? draw(person, now) : known;
  if (!now.waiting && !now.open && !sent.has(person)) return li;
  const marked = /** @type {HTMLElement} */ (li === known ? li.cloneNode(true) : li);
  if (now.waiting || sent.has(person)) note(marked, now.waiting);
  if (now.open?.question) marked.querySelector(".line")?.insertAdjacentHTML("beforeend", now.open.question);
  if (now.open?.order.action === "add") marked.querySelector(".primary")?.remove(); // the server knows nobody to mark
  return marked;
}

/** @param {HTMLElement} li @param {boolean} waiting */
function note(li, waiting) {
  const chip = document.createElement("span");
  chip.className = waiting ? "sync waiting" : "sync";
  chip.textContent = waiting ? "Waiting" : "Sent";
  li.querySelector(".state")?.append(chip);
}

/** A row as the server would render it, of its own template for the state. @param {string} person @param {any} now */
function draw(person, now) {
  const li = /** @type {HTMLElement} */ (templates.get(now.state)?.cloneNode(true));
  const { book, name, find, card } = aboutOf(person);
  li.id = `person-${person}`;
  Object.assign(li.dataset, { role: now.role, book, find, card, version: server.get(person)?.li.dataset.version ?? "0" });
  fill(li, ".name", name);
  fill(li, ".number", book === "0" ? "book number follows" : book);
  fill(li, ".facts", factsOf(now));
  for (const part of li.querySelectorAll("[formaction], [href], [aria-label]")) {
    for (const attribute of part.attributes) {
      attribute.value = attribute.value.replace(NOBODY, person).replace("%NAME%", () => name);
    }
  }
  return li;
}

/** @param {HTMLElement} li @param {string} selector @param {string} text */
function fill(li, selector, text) {
  const part = li.querySelector(selector);
  if (part) part.textContent = text;
}

/** Who somebody is. @param {string} person @returns {Other} */
export function aboutOf(person) {
  const known = server.get(person)?.li;
  const added = table.entries.find(({ order }) => order.action === "add" && order.person === person);
  if (known) return otherOf(known);
  if (others.has(person)) return /** @type {Other} */ (others.get(person));
  const row = rowOf(person); // somebody new whose adding was just taken back
  return added || !row ? { book: "0", name: added?.order.name ?? "", find: "", card: "" } : otherOf(row);
}

/** @param {import("./rules.js").Standing} now */
function factsOf({ state, role, left, reason }) {
  const facts = [];
  if (state === "present" && role && role !== "volunteer") facts.push(role);
  if (state === "present" && left) facts.push(`left ${clock(left)}`);
  if (state === "excused" && reason) facts.push(`“${reason}”`);
  return facts.join(" · ");
}

/** Put a row in the place of the person's present one, or, where there is none, into the list. @param {HTMLElement} li */
function place(li) {
  const person = idOf(li);
  const old = rowOf(person);
  if (!server.has(person) && !others.has(person) && !table.entries.some(({ order }) => order.person === person)) {
    old?.remove(); // somebody new whose adding was taken back, or refused
  } else if (old && old !== li) {
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    old.replaceWith(li);
    const label = focused?.getAttribute("aria-label") ?? "";
    const same = /** @type {HTMLElement | null} */ (label && li.querySelector(`[aria-label="${CSS.escape(label)}"]`));
    if (focused) (same || li).focus();
  } else if (!old && (li.dataset.state || li.querySelector(".asked"))) put(li);
  filterOne(li);
}

/** @param {string} digest of a card @returns {string | null} whose it is, as far as this phone knows */
export function byCard(digest) {
  const li = [...list.querySelectorAll("li.person")].find((each) => /** @type {HTMLElement} */ (each).dataset.card === digest);
  if (li) return idOf(/** @type {HTMLElement} */ (li));
  for (const [person, known] of others) if (known.card === digest) return person;
  return null;
}
