// What the entries of an outbox mean. Nothing here knows the page or the database.

/**
 * @typedef {{id: string, camp: string, made_at: string, action: string, person?: string, people?: string[],
 *   name?: string, state?: string, camp_role?: string, reason?: string, card?: string, at?: string | null,
 *   base?: string | null, base_role?: string | null, unconfirmed?: boolean}} Order
 * @typedef {{seq?: number, owner: string, camp: string, order: Order, tried: boolean, said: string,
 *   status: "waiting" | "refused" | "asked", question?: string}} Entry
 *   An order that may have reached the server (`tried`) is never changed, only followed.
 * @typedef {{state: string, role: string, signedUp?: boolean, presumed?: boolean, left?: string | null}} Known what the
 *   server said last
 * @typedef {Known & {waiting: boolean, reason?: string, open?: Entry}} Standing
 */

const isWaiting = (/** @type {Entry} */ entry) => entry.status === "waiting";

/**
 * Where somebody stands when everything in the outbox is counted in.
 * @param {string} person
 * @param {Known | undefined} known
 * @param {Entry[]} entries of the camp, oldest first
 * @returns {Standing}
 */
export function standing(person, known, entries) {
  /** @type {Standing} */
  const now = { state: "", role: "", ...known, waiting: false };
  for (const entry of entries) {
    const own = entry.order.person === person;
    if (isWaiting(entry)) {
      const effect = own ? effectOfOwn(entry.order, now) : effectOfWhole(entry.order, person, now);
      if (effect) Object.assign(now, effect, { waiting: true });
    } else if (own) now.open = entry;
  }
  return now;
}

/** @param {Order} order @param {Standing} now @returns {Partial<Standing>} */
function effectOfOwn(order, now) {
  if (order.action === "leave") return { left: order.at === "now" ? order.made_at : order.at };
  if (order.action === "add") return { state: "present", role: order.camp_role ?? "volunteer" };
  const state = order.state === "expected" && !now.signedUp ? "" : order.state;
  const role = order.state === "present" ? order.camp_role || now.role || "volunteer" : now.role;
  return { state, role, reason: order.reason };
}

/** @param {Order} order @param {string} person @param {Standing} now @returns {Partial<Standing> | null} */
function effectOfWhole({ action, people }, person, now) {
  if (action === "everyone" && now.state === "expected" && people?.includes(person)) return { state: "present" };
  if (action === "close" && now.state === "expected") return { state: "absent", presumed: true };
  if (action === "reopen" && now.presumed && now.state === "absent") return { state: "expected", presumed: false };
  return null;
}

/**
 * What a mark does to the entries of its camp. It takes the place of the person's last one, as long as that has not
 * been sent: a changed mind arrives as it ended, and not at all where it ended as it began.
 * @param {Entry[]} entries of the camp, oldest first
 * @param {Partial<Order>} order
 * @param {Known} stands what the phone believes to stand
 * @returns {{remove: Entry[], replace?: Entry, order?: Partial<Order>}} with an `order`, it is put in place of
 *   `replace`, or else added
 */
export function afterMark(entries, order, stands) {
  const own = entries.filter((entry) => entry.order.person === order.person);
  const waiting = own.filter(isWaiting);
  const remove = own.filter((entry) => !isWaiting(entry));
  const isAdded = waiting.some((entry) => entry.order.action === "add" && !entry.tried);
  if (isAdded && order.state === "expected") return { remove: own }; // nobody has heard of them yet
  if (order.state !== "present") {
    remove.push(...waiting.filter((entry) => entry.order.action === "leave" && !entry.tried));
  }
  const last = waiting.findLast((entry) => entry.order.action === "mark");
  const whole = entries.filter((entry) => isWaiting(entry) && !entry.order.person); // done to the whole list
  if (!last || last.tried || whole.some((entry) => Number(entry.seq) > Number(last.seq))) {
    const base = { base: stands.state || null, base_role: stands.role || null };
    // It may stand on a mark of our own that has not arrived as such.
    return { remove, order: { ...order, ...base, ...(last || whole.length ? { unconfirmed: true } : {}) } };
  }
  if (endsAsItBegan(order, last.order)) return { remove: [...remove, last] };
  const { base, base_role, unconfirmed } = last.order;
  return { remove, replace: last, order: { ...order, base, base_role, unconfirmed } };
}

/** @param {Partial<Order>} order @param {Order} last the waiting mark that it replaces */
function endsAsItBegan(order, last) {
  if (order.state === "excused") return false; // the reason may differ
  const began = last.base ?? "expected";
  const isBack = order.state === "expected" && began === "excused" && !last.unconfirmed; // as they had said themselves
  const isSameRole = order.state !== "present" || (order.camp_role ?? last.base_role) === last.base_role;
  return isBack || (order.state === began && isSameRole);
}

/**
 * Whose rows entries lie over.
 * @param {Entry[]} entries
 * @param {() => string[]} everybody whom the closing of the list may concern
 */
export function touched(entries, everybody) {
  const people = new Set();
  for (const { order } of entries) {
    if (order.person) people.add(order.person);
    else for (const person of order.people ?? everybody()) people.add(person);
  }
  return people;
}
