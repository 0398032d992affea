// The outbox: what was decided on this phone, kept in IndexedDB until the server has said what became of it. Only
// its owner's session ever sends an entry.
import { openDB } from "idb";
import { afterMark } from "./rules.js";

/** @typedef {import("./rules.js").Entry} Entry @typedef {import("./rules.js").Order} Order */
/** @typedef {{id: string, outcome: any, said: string, question: string}} Outcome */

const STRICT = /** @type {const} */ ({ durability: "strict" });
/** @type {import("idb").IDBPDatabase} */
let database;
let owner = "";
/** @type {(entries: Entry[]) => void} */
let changed = () => {};

/** @param {string} person who is signed in @param {typeof changed} heard is given the owner's entries after each change */
export async function open(person, heard) {
  [owner, changed] = [person, heard];
  database = await openDB("camp-badges", 1, {
    upgrade(db) {
      db.createObjectStore("outbox", { keyPath: "seq", autoIncrement: true });
      db.createObjectStore("rows"); // "camp person" -> {at, html}: what the server said since the page was kept
      db.createObjectStore("kept"); // what else a page needs without a network
    },
    blocking: () => database.close(), // a newer version of the app wants to change it
  });
  await askAgain();
}

// Questions of the former version came without words to show: what was not carried out may be sent again.
async function askAgain() {
  for (const entry of await all()) {
    if (entry.status !== "waiting" && !entry.question) await database.put("outbox", { ...entry, status: "waiting" });
  }
}

/** Another person's lists go from this phone. */
export const forgetLists = () => Promise.all([database.clear("rows"), database.clear("kept")]);

export const isOpen = () => Boolean(database);

/** @returns {Promise<Entry[]>} the owner's, oldest first */
export const all = async () => (await database.getAll("outbox")).filter((entry) => entry.owner === owner);

/** @typedef {{put: (entry: Entry) => Promise<void>, remove: (entries: Entry[]) => void}} Edit */

/**
 * Do `work` with the owner's entries in one transaction, then tell what is left.
 * @template T
 * @param {(entries: Entry[], edit: Edit) => Promise<T>} work
 */
async function change(work) {
  const transaction = database.transaction("outbox", "readwrite", STRICT);
  const { store } = transaction;
  const own = (await store.getAll()).filter((entry) => entry.owner === owner);
  const left = new Map(own.map((entry) => [entry.seq, entry]));
  const result = await work(own, {
    put: async (entry) => {
      const seq = await store.put(entry);
      left.set(seq, { ...entry, seq });
    },
    remove: (entries) => {
      for (const { seq } of entries) store.delete(Number(seq));
      for (const { seq } of entries) left.delete(seq);
    },
  });
  await transaction.done;
  changed([...left.values()]);
  return result;
}

/** @param {Partial<Order>} order @returns {Entry} */
function fresh(order) {
  const complete = /** @type {Order} */ ({ ...order, id: uuid(), made_at: new Date().toISOString() });
  return { owner, camp: complete.camp, status: "waiting", tried: false, said: "", order: complete };
}

/** crypto.randomUUID is there over https only; a camp's own network may have none. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** @param {Partial<Order>} order @param {import("./rules.js").Known} stands */
export const mark = (order, stands) => change(async (entries, edit) => {
  const { remove, replace, order: after } = afterMark(entries.filter((entry) => entry.camp === order.camp), order, stands);
  edit.remove(remove);
  if (after) await edit.put({ ...fresh(after), ...(replace && { seq: replace.seq }) });
});

/** A leaving time takes the place of the person's last one that was not sent. @param {Partial<Order>} order */
export const leave = (order) => change(async (entries, edit) => {
  const last = entries.findLast(({ camp, order: { action, person } }) =>
    camp === order.camp && action === "leave" && person === order.person);
  await edit.put({ ...fresh(order), ...(last && !last.tried && { seq: last.seq }) });
});

/** @param {Partial<Order>} order */
export const add = (order) => change((_, edit) => edit.put(fresh(order)));

/** @param {Entry[]} entries */
export const drop = (entries) => change(async (_, edit) => edit.remove(entries));

/**
 * The oldest that wait. From here on they may have reached the server, so they are not changed any more.
 * @param {number} number
 */
export const take = (number) => change(async (entries, edit) => {
  const waiting = entries.filter((entry) => entry.status === "waiting").slice(0, number);
  const batch = waiting.map((entry) => ({ ...entry, tried: true }));
  for (const entry of batch) await edit.put(entry);
  return batch;
});

/**
 * Keep what the server said of a batch. What it did not speak of goes on waiting.
 * @param {Entry[]} batch
 * @param {Outcome[]} outcomes
 * @returns {Promise<Entry[]>} those that were spoken of, as they are now
 */
export const record = (batch, outcomes) => change(async (entries, edit) => {
  const recorded = [];
  const byId = new Map(outcomes.map((outcome) => [outcome.id, outcome]));
  for (const { order } of batch) {
    const outcome = byId.get(order.id);
    const stored = entries.find((entry) => entry.order.id === order.id);
    if (!outcome || !stored) continue;
    const after = { ...stored, status: outcome.outcome, said: outcome.said, question: outcome.question };
    if (outcome.outcome === "done") edit.remove([stored]);
    else await edit.put(after);
    recorded.push(after);
  }
  return recorded;
});

/** What the server said of a row, so that a page opened without a network shows it. */
export const keepRow = (/** @type {string} */ camp, /** @type {string} */ person, /** @type {{at: number, html: string}} */ row) =>
  database?.put("rows", row, `${camp} ${person}`).catch(() => {});

/** @param {string} camp @param {number} at when the page was read @returns {Promise<{at: number, html: string}[]>} */
export async function rowsSince(camp, at) {
  const range = IDBKeyRange.bound(`${camp} `, `${camp} ~`);
  const [keys, rows] = await Promise.all([database.getAllKeys("rows", range), database.getAll("rows", range)]);
  keys.forEach((key, place) => rows[place].at > at || database.delete("rows", key));
  return rows.filter((row) => row.at > at);
}

export const keep = async (/** @type {string} */ key, /** @type {any} */ value) => database?.put("kept", value, key);
export const kept = (/** @type {string} */ key) => database.get("kept", key);
