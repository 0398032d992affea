// What is decided on this page: a form is read, its order stored in the outbox, and answered with rows drawn here. The
// same online and offline, so that a slow network never freezes a row.
import { byId, data, list, said, sheet } from "./page.js";
import * as outbox from "./outbox.js";
import { aboutOf, idOf, knownOf, partial, standing, table, waitingFor } from "./rows.js";

/** @typedef {import("./rules.js").Order} Order */

const WORDS = /** @type {Record<string, string>} */ ({ present: "Present", excused: "Excused", absent: "Absent", expected: "Expected" });
const ADDRESS = /\/roll-call\/[0-9a-f-]+\/(?:people(?:\/([0-9a-f-]+))?|(everyone|close|reopen))$/;
const NOTHING = { state: "", role: "" };

/** The fetch of a form of the roll call. @param {any} ctx htmx's */
export async function decide(ctx) {
  const { action, body } = ctx.request;
  const order = orderOf(new URL(action, location.href).pathname, body);
  ctx.isUnsaid = order.at === "" || order.state === "" && !body.has("answer"); // Enter in a field says nothing
  if (order.at === "") byId("leaving-time").focus();
  const people = ctx.isUnsaid ? [] : await carryOut(order, body.get("answer"), ctx);
  return new Response(partial(people), { headers: { "Content-Type": "text/html" } });
}

/** What is said of some fields: those that are not empty. @param {Record<string, string | undefined>} fields */
const given = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value));

/** @param {string} path @param {URLSearchParams} body @returns {Partial<Order>} */
export function orderOf(path, body) {
  const [, person, whole] = path.match(ADDRESS) ?? [];
  const text = (/** @type {string} */ name) => (body.get(name) ?? "").trim();
  const order = { camp: data.camp, person };
  if (whole) return { camp: data.camp, action: whole };
  if (!person) return { camp: data.camp, action: "add", name: text("name").replace(/\s+/g, " ") };
  const [state, camp_role] = text("state").split(":");
  if (state === "left-at") return { ...order, action: "leave", at: text("at") };
  if (state === "left" || state === "stayed") return { ...order, action: "leave", at: state === "left" ? "now" : null };
  return { ...order, action: "mark", state, ...given({ camp_role, reason: text("reason"), card: text("card") }) };
}

/**
 * Store an order.
 * @param {Partial<Order>} order @param {string | null} answer to a question on the row @param {any} ctx
 * @returns {Promise<Iterable<string>>} the people whose rows it changes
 */
async function carryOut(order, answer, ctx) {
  const person = order.person ?? "";
  if (answer) await answered(person, answer);
  else if (order.action === "mark") await mark(order);
  else if (order.action === "leave") await leave(order);
  else if (order.action === "add") return addSomebody(order, ctx);
  else return wholeList(order);
  return [person];
}

/** @param {Partial<Order>} order */
async function mark(order) {
  const { person = "", state = "", camp_role } = order;
  const now = standing(person);
  const stands = state === now.state && (!camp_role || camp_role === now.role);
  if (stands && !now.open && state !== "excused") return;
  await outbox.mark(order, now.open ? knownOf(person) ?? NOTHING : now);
  said.textContent = `${aboutOf(person).name}: ${WORDS[state]}.`;
}

/** @param {Partial<Order>} order */
async function leave(order) {
  await outbox.leave(order);
  const { name } = aboutOf(order.person ?? "");
  said.textContent = order.at ? `${name}: left${order.at === "now" ? "" : ` at ${order.at}`}.` : `${name}: has not left.`;
}

/** @param {Partial<Order>} order @param {any} ctx */
async function addSomebody(order, ctx) {
  if (!order.name) return [];
  const person = outbox.uuid();
  await outbox.add({ ...order, person });
  said.textContent = `${order.name}: ${WORDS.present}.`;
  ctx.shows = person; // once it is in the list, whatever was searched for
  return [person];
}

/** @param {Partial<Order>} order */
async function wholeList(order) {
  const expected = /** @type {NodeListOf<HTMLElement>} */ (list.querySelectorAll('li.person[data-state="expected"]'));
  await outbox.add(order.action === "everyone" ? { ...order, people: [...expected].map(idOf) } : order);
  return waitingFor();
}

/** @param {string} person @param {string} answer "theirs" or "mine" */
async function answered(person, answer) {
  const open = table.entries.filter((entry) => entry.order.person === person && entry.status !== "waiting");
  const last = open.at(-1)?.order;
  const name = byId("new-name");
  if (last?.action === "add" && name instanceof HTMLInputElement) name.value = last.name ?? ""; // to be mended
  if (answer === "theirs" || !last) return outbox.drop(open);
  const { action, camp, state, camp_role, reason, card } = last;
  return outbox.mark({ action, camp, person, state, ...given({ camp_role, reason, card }) }, knownOf(person) ?? NOTHING);
}

/** What is rarer than "here", for the person of a row. @param {HTMLElement} li */
export function openSheet(li) {
  const { name } = aboutOf(idOf(li));
  const form = /** @type {HTMLFormElement} */ (sheet.querySelector("form"));
  form.reset();
  form.action = /** @type {HTMLAnchorElement} */ (li.querySelector(".more")).href;
  byId("sheet-name").textContent = name;
  /** @type {HTMLAnchorElement} */ (sheet.querySelector(".sheet-cabinet")).href = `/people/${idOf(li)}`;
  for (const each of /** @type {NodeListOf<HTMLButtonElement>} */ (sheet.querySelectorAll("button[value^='present:']"))) {
    each.ariaPressed = String(li.dataset.state === "present" && each.value === `present:${li.dataset.role}`);
  }
  /** @type {HTMLElement} */ (sheet.querySelector(".leaving")).hidden = li.dataset.state !== "present";
  sheet.showPopover();
  sheet.focus(); // so that the keyboard goes on in it
}
