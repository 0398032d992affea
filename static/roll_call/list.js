// The list as one sees it: its sections, the search, the counts.
import * as outbox from "./outbox.js";
import { byId, data, list, page, search } from "./page.js";
import { make, rowOf, table } from "./rows.js";

const MOST_FOUND = 20; // people beyond the list that a search shows
const numbers = new Intl.NumberFormat("en");
let allOthersKnown = false;

/** @returns {NodeListOf<HTMLElement>} */
const all = () => list.querySelectorAll("li.person");

export const nameOf = (/** @type {HTMLElement} */ li) => li.querySelector(".name")?.textContent ?? "";

// --- names, as one searches them ---

export const fold = (/** @type {string} */ text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/[‘’ʼ]/g, "'").trim();
const words = (/** @type {string} */ text) => fold(text).split(/\s+/).filter(Boolean);
const wanted = () => words(search.value);

/** @param {string[]} asked @param {string} name folded @param {string} find @param {string} book */
const matches = (asked, name, find, book) =>
  (asked.length === 1 && /^\d+$/.test(asked[0]) && book.startsWith(asked[0])) ||
  asked.every((word) => name.includes(word) || find.includes(word));

/** @type {WeakMap<HTMLElement, string>} of rows, so that a keystroke does not fold 3,000 names */
const foldedNames = new WeakMap();

/** @param {HTMLElement} li */
function folded(li) {
  const known = foldedNames.get(li) ?? fold(nameOf(li));
  foldedNames.set(li, known);
  return known;
}

// --- sections ---

const sectionOf = (/** @type {HTMLElement} */ li) => list.querySelector(`[data-section="${li.dataset.state}"]`);
const keyOf = (/** @type {HTMLElement} */ li) => `${folded(li)} ${li.dataset.book?.padStart(10)}`;

/** A new row goes to its place by name. @param {HTMLElement} li */
export function put(li) {
  const key = keyOf(li);
  const section = sectionOf(li);
  const rows = /** @type {HTMLElement[]} */ ([...(section?.querySelectorAll("li.person") ?? [])]);
  const next = rows.find((other) => keyOf(other) > key);
  if (next) next.before(li);
  else section?.querySelector("form:last-of-type ul")?.append(li);
}

/** Sort in what has changed its section. Only when the list changes anyway: nothing moves under a finger. */
export function tidy() {
  for (const li of all()) {
    if (li.closest("[data-section]") === sectionOf(li)) continue;
    if (li.dataset.state || li.querySelector(".asked")) put(li);
    else li.remove();
  }
}

/** @param {HTMLElement} li */
export function filterOne(li, asked = wanted()) {
  const hidden = !matches(asked, folded(li), li.dataset.find ?? "", li.dataset.book ?? "");
  if (li.hidden !== hidden) li.hidden = hidden;
}

export function filter() {
  const asked = wanted();
  const strangers = /** @type {HTMLElement} */ (list.querySelector('[data-section=""] ul'));
  strangers.replaceChildren(...[...strangers.children].filter((li) => li.querySelector(".asked")));
  for (const li of all()) filterOne(li, asked);
  if (asked.length) strangers.append(...walkIns(asked));
  count();
  suggest();
}

/** @param {string[]} asked */
function walkIns(asked) {
  const matching = [];
  for (const [person, known] of table.others) {
    const name = fold(known.name);
    if (rowOf(person) || !matches(asked, name, known.find, known.book)) continue;
    matching.push({ person, key: known.book === asked[0] ? "" : name });
  }
  matching.sort((one, other) => (one.key < other.key ? -1 : 1));
  return matching.slice(0, MOST_FOUND).map(({ person }) => make(person));
}

/** Who is found nowhere is probably new: their name stands in the form already. */
function suggest() {
  const name = byId("new-name");
  if (!(name instanceof HTMLInputElement) || (name.value && name.value !== name.dataset.suggested)) return;
  const text = search.value.trim();
  name.value = !list.querySelector("li.person:not([hidden])") && /\p{L}/u.test(text) ? text : "";
  name.dataset.suggested = name.value;
}

/** A row that somebody wants to see, whatever was searched for. @param {HTMLElement} li */
export function show(li) {
  search.value = "";
  tidy();
  filter();
  /** @type {HTMLDetailsElement} */ (li.closest("details")).open = true;
  li.scrollIntoView({ block: "center" });
  li.focus({ preventScroll: true });
}

// --- counts ---

/** How many rows stand so; asked of the browser, which counts thousands in no time. @param {string} state */
const sizeOf = (state) => list.querySelectorAll(`li.person[data-state="${state}"]`).length;
const listed = () => list.querySelectorAll('li.person:not([data-state=""])').length;

/** What the page was rendered with counts those, too, whom it does not show. */
export function learnOffPage() {
  const [present, total] = (document.querySelector("#count strong")?.textContent?.match(/[\d,]+/g) ?? [])
    .map((number) => Number(number.replaceAll(",", "")));
  table.offPage = { present: present - sizeOf("present"), total: total - listed() };
}

export function count() {
  const { offPage } = table;
  const present = numbers.format(sizeOf("present") + offPage.present);
  say("#count strong", `${present} of ${numbers.format(listed() + offPage.total)}`);
  const expected = sizeOf("expected");
  say(".expected-number", numbers.format(expected));
  for (const section of /** @type {NodeListOf<HTMLElement>} */ (list.querySelectorAll("[data-section]"))) {
    const { id, dataset } = section;
    say(`#${id} .size`, numbers.format(sizeOf(dataset.section ?? "")));
    section.hidden = !section.querySelector("li:not([hidden])");
  }
  sayNobody();
  sayClosing(expected);
}

/** @param {string} selector @param {string} text */
function say(selector, text) {
  for (const part of document.querySelectorAll(selector)) if (part.textContent !== text) part.textContent = text;
}

function sayNobody() {
  const nobody = byId("nobody");
  const text = search.value.trim();
  nobody.hidden = Boolean(list.querySelector("li.person:not([hidden])"));
  const canMark = Boolean(byId("add"));
  const other = canMark ? "; or add somebody new below" : "";
  const empty = canMark ? " yet. Find people above by name or book number, and mark them as they come." : ".";
  nobody.textContent = text
    ? `Nobody matches “${text}”. Try part of the name, or the book number${other}.`
    : `Nobody has signed up for this camp${empty}`;
}

/** @param {number} expected how many still are */
function sayClosing(expected) {
  const waiting = table.entries.filter((entry) => entry.status === "waiting").map((entry) => entry.order.action);
  const last = waiting.findLast((action) => action === "close" || action === "reopen");
  const here = last === "close" ? "Closed on this phone, not sent yet." : "";
  const line = last ? here : table.closed;
  byId("closed").textContent = line;
  byId("to-reopen").hidden = !line;
  byId("to-close").hidden = Boolean(line) && !expected;
  byId("while-open").hidden = !expected;
}

// --- who may walk in: kept on this phone, renewed when the page is opened ---

/** @param {(address: string) => Promise<any>} ask fetches JSON, or nothing without a network */
export async function learnOthers(ask) {
  const answer = await ask(data.others);
  if (!answer) return;
  know(answer);
  await outbox.keep(`others ${data.camp}`, answer);
  if (search.value) filter();
}

/** @param {any} answer */
export function know(answer) {
  for (const [hex, book, name, find, card] of answer?.people ?? []) {
    const person = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
    table.others.set(person, { book: String(book), name, find, card });
  }
  allOthersKnown ||= Boolean(answer?.whole);
}

/** @type {number} */
let asking;

/** @param {(address: string) => Promise<any>} ask */
function askForOthers(ask) {
  clearTimeout(asking);
  const query = search.value.trim();
  if (allOthersKnown || query.length < 2) return;
  asking = window.setTimeout(async () => {
    know(await ask(`${data.others}?q=${encodeURIComponent(query)}`));
    if (search.value.trim() === query) filter();
  }, 250);
}

/** @param {(address: string) => Promise<any>} ask */
export function watchSearch(ask) {
  search.addEventListener("input", () => {
    tidy();
    filter();
    if (page.getBoundingClientRect().top < 0) page.scrollIntoView(); // what was found begins below the bar
    askForOthers(ask);
  });
  search.addEventListener("focus", () => search.select()); // the next person's name takes the last one's place
  search.form?.addEventListener("submit", (event) => {
    event.preventDefault();
    /** @type {HTMLElement | null} */ (list.querySelector("li.person:not([hidden]) .primary"))?.focus();
  });
  byId("new-name")?.addEventListener("input", (event) => sayWhoIsKnown(/** @type {HTMLInputElement} */ (event.target).value));
}

/** @param {string} name of somebody to be added */
function sayWhoIsKnown(name) {
  const same = byId("same-name");
  const rows = [...all()].map((li) => ({ name: nameOf(li), book: li.dataset.book }));
  const known = fold(name) && [...rows, ...table.others.values()].find((each) => fold(each.name) === fold(name));
  same.hidden = !known;
  if (known) same.textContent = `${known.name} is known already, with book number ${known.book}. Is it somebody else?`;
}
