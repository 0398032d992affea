// The outbox: what was decided on this phone, kept until the server has said what became of it.
// An entry is {seq, owner, camp, order, status: waiting | refused | asked, tried, said}. Only its owner's
// session ever sends it. An order that may have reached the server is never changed, only followed.
"use strict";

window.outbox = (() => {
  const BATCH = 25;
  const LONGEST_WAIT = 30_000;
  const PATIENCE = 20_000; // for one answer
  const channel = new BroadcastChannel("outbox");
  let database;
  let owner;
  let addresses;
  let csrf;
  let told = () => {};
  let timer;
  let wait = 1000;
  let sending = false;
  let again = false;
  let reachable = false; // whether the last request got through

  // `tell(what, detail)` hears "result" ({entry, result}), "status" (see `flush`) and "changed".
  async function open(options) {
    ({ owner, addresses, csrf, tell: told } = options);
    database = await idb.openDB("camp-badges", 1, {
      upgrade(db) {
        db.createObjectStore("outbox", { keyPath: "seq", autoIncrement: true });
        db.createObjectStore("rows"); // "camp person" -> {at, html}: what the server said since the page was kept
        db.createObjectStore("kept"); // what else a page needs without a network
      },
      blocking: () => database.close(), // a newer version of the app wants to change it
    });
    if (localStorage.getItem("viewer") !== owner) {
      await Promise.all([database.clear("rows"), database.clear("kept")]); // another person's lists
      localStorage.setItem("viewer", owner);
    }
    addEventListener("online", () => soon(0));
    document.addEventListener("visibilitychange", () => document.hidden || soon(0));
    channel.addEventListener("message", () => told("changed")); // from another tab
  }

  const all = async () => (await database.getAll("outbox")).filter((entry) => entry.owner === owner);
  const of = async (camp) => (await all()).filter((entry) => entry.camp === camp);

  // Do `work` with the store and the owner's entries of a camp in one transaction, then say that it changed.
  async function change(camp, work) {
    const transaction = database.transaction("outbox", "readwrite", { durability: "strict" });
    const entries = (await transaction.store.getAll()).filter((entry) => entry.owner === owner && entry.camp === camp);
    await work(transaction.store, entries);
    await transaction.done;
    await changed();
  }

  async function changed() {
    localStorage.setItem(`unsent ${owner}`, (await all()).length); // for whoever signs out, on any page
    channel.postMessage("changed");
    await told("changed");
  }

  const fresh = (camp, order) => ({
    owner, camp, status: "waiting", tried: false, said: "",
    order: { ...order, camp, id: uuid(), made_at: new Date().toISOString() },
  });

  // crypto.randomUUID is there over https only; a camp's own network may have none.
  function uuid() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  }

  // A mark takes the place of the person's last one, as long as that has not been sent: a changed mind
  // arrives as it ended, and not at all where it ended as it began.
  const mark = (camp, order, standing) => change(camp, async (store, entries) => {
    const own = entries.filter((entry) => entry.order.person === order.person);
    for (const entry of own) if (entry.status !== "waiting") await store.delete(entry.seq);
    const waiting = own.filter((entry) => entry.status === "waiting");
    const added = waiting.find((entry) => entry.order.action === "add" && !entry.tried);
    if (added && order.state === "expected") { // nobody has heard of them yet
      for (const entry of waiting) await store.delete(entry.seq);
      return;
    }
    if (order.state !== "present") {
      for (const entry of waiting) if (entry.order.action === "leave" && !entry.tried) await store.delete(entry.seq);
    }
    const marks = waiting.filter((entry) => entry.order.action === "mark");
    const last = marks.at(-1);
    const whole = entries.filter((entry) => entry.status === "waiting" && !entry.order.person); // done to the whole list
    if (last && !last.tried && !whole.some((entry) => entry.seq > last.seq)) {
      const { base, base_role, unconfirmed } = last.order;
      const began = { state: base ?? "expected", role: base_role };
      const back = order.state === "expected" && began.state === "excused" && !unconfirmed; // as they had said themselves
      const same = back || order.state === began.state && (order.state !== "present" || (order.camp_role ?? began.role) === began.role);
      if (same && order.state !== "excused") await store.delete(last.seq);
      else await store.put({ ...fresh(camp, { ...order, base, base_role, unconfirmed }), seq: last.seq });
    } else {
      const base = { base: standing.state || null, base_role: standing.role || null };
      if (last || whole.length) base.unconfirmed = true; // it stands on a mark of our own that may not have arrived as such
      await store.add(fresh(camp, { ...order, ...base }));
    }
  });

  const leave = (camp, order) => change(camp, async (store, entries) => {
    const last = entries.filter((entry) => entry.order.action === "leave" && entry.order.person === order.person).at(-1);
    const entry = fresh(camp, order);
    if (last && !last.tried) await store.put({ ...entry, seq: last.seq });
    else await store.add(entry);
  });

  const add = (camp, order) => change(camp, (store) => store.add(fresh(camp, order)));
  const drop = (camp, seqs) => change(camp, (store) => Promise.all(seqs.map((seq) => store.delete(seq))));

  function soon(after = 0) {
    clearTimeout(timer);
    timer = setTimeout(flush, after);
  }

  // Send what waits, oldest first, until there is nothing more or something is in the way. The status is
  // "sent", "sending", "offline", "signed-out", "someone-else", "forbidden" or "trouble".
  async function flush() {
    if (sending) {
      again = true;
      return;
    }
    sending = true;
    let status;
    try {
      // One tab at a time. Two could do no harm, each operation being done once, but would ask for it twice.
      status = navigator.locks ? await navigator.locks.request("outbox", sendAll) : await sendAll();
    } catch (error) {
      console.warn(error);
      status = "trouble";
    } finally {
      sending = false;
    }
    reachable = status === "sent";
    told("status", status);
    if (again) {
      again = false;
      wait = 1000;
      soon(0);
    } else if (status === "offline" || status === "trouble") {
      soon(wait);
      wait = Math.min(2 * wait, LONGEST_WAIT);
    } else {
      wait = 1000;
    }
  }

  async function sendAll() {
    let size = BATCH;
    let renewed = false;
    if (!reachable && (await all()).some((entry) => entry.status === "waiting")) {
      // Ask first whether anybody is there: what is not sent can still be changed.
      const session = await renew();
      if (session !== "ok") return session;
    }
    for (;;) {
      const batch = await take(size);
      if (!batch.length) return "sent";
      told("status", "sending");
      const response = await post(batch);
      if (!response) return "offline";
      if (response.ok) {
        const answer = await response.json().catch(() => null);
        if (!answer) return "offline"; // cut off half way
        await settle(batch, answer);
        renewed = false;
      } else if (response.status === 400 && !renewed) {
        const session = await renew(); // the page may be of an earlier session
        if (session !== "ok") return session;
        renewed = true;
      } else if (response.status === 401) return "signed-out";
      else if (response.status === 403) return "forbidden";
      else if (response.status === 409) return "someone-else";
      else if (response.status === 413 && batch.length > 1) size = 1;
      else if (response.status >= 500 || response.status === 429) return "offline";
      else return "trouble";
    }
  }

  // The oldest that wait. From here on they may have reached the server, so they are not changed any more.
  async function take(number) {
    const transaction = database.transaction("outbox", "readwrite", { durability: "strict" });
    const waiting = (await transaction.store.getAll()).filter((entry) => entry.owner === owner && entry.status === "waiting");
    const batch = waiting.slice(0, number).map((entry) => ({ ...entry, tried: true }));
    for (const entry of batch) await transaction.store.put(entry);
    await transaction.done;
    return batch;
  }

  async function settle(batch, answer) {
    const results = new Map(answer.results.map((result) => [result.id, result]));
    const transaction = database.transaction("outbox", "readwrite", { durability: "strict" });
    const heard = [];
    for (const entry of batch) {
      const result = results.get(entry.order.id);
      const stored = await transaction.store.get(entry.seq);
      if (!result || stored?.order.id !== entry.order.id) continue;
      if (result.outcome === "done") await transaction.store.delete(entry.seq);
      else await transaction.store.put({ ...stored, status: result.outcome, said: result.said });
      heard.push({ entry, result });
    }
    await transaction.done;
    for (const each of heard) told("result", each);
    if (answer.clock_off) told("clock", answer.clock_off);
    await changed();
  }

  const ask = (address, options) =>
    fetch(address, {
      ...options,
      headers: { Accept: "application/json", "Content-Type": "application/json", "X-CSRFToken": csrf },
      signal: AbortSignal.timeout(PATIENCE),
      redirect: "manual",
    }).catch(() => null);

  const post = (batch) =>
    ask(addresses.sync, {
      method: "POST",
      body: JSON.stringify({ owner, sent_at: new Date().toISOString(), operations: batch.map((entry) => entry.order) }),
    });

  async function renew() {
    const response = await ask(addresses.session);
    if (!response || response.status >= 500) return "offline";
    if (response.status === 401) return "signed-out";
    if (!response.ok) return "forbidden";
    const session = await response.json();
    if (session.person !== owner) return "someone-else";
    csrf = session.csrf_token;
    return "ok";
  }

  // What the server said of a row is kept too, so that a page opened without a network shows it.
  const keepRow = (camp, person, row) => database.put("rows", row, `${camp} ${person}`);
  async function rowsSince(camp, at) {
    const range = IDBKeyRange.bound(`${camp} `, `${camp} ~`);
    const [keys, rows] = await Promise.all([database.getAllKeys("rows", range), database.getAll("rows", range)]);
    const newer = new Map();
    keys.forEach((key, place) => {
      if (rows[place].at > at) newer.set(key.split(" ")[1], rows[place]);
      else database.delete("rows", key);
    });
    return newer;
  }
  const keep = (key, value) => database.put("kept", value, key);
  const kept = (key) => database.get("kept", key);

  // Who is signed in now, as far as it matters: see the statuses of `flush`.
  async function check() {
    const session = await renew();
    told("status", session === "ok" ? "sent" : session);
    if (session === "ok") soon(0);
  }

  const isSending = () => sending;

  return { isSending, open, of, all, check, mark, leave, add, drop, flush: () => { wait = 1000; soon(0); }, ask, keepRow, rowsSince, keep, kept, uuid };
})();
