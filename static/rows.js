// The rows of a roll call. What the server said of a row is HTML it rendered; what this phone decided since
// lies over it until the server has said what became of it.
"use strict";

window.rows = (() => {
  const page = document.getElementById("roll-call");
  const { camp, timeZone } = page.dataset;
  const list = document.getElementById("rows");
  const search = document.getElementById("q");
  const NOBODY = "00000000-0000-0000-0000-000000000000";
  const MOST_FOUND = 20; // people beyond the list that a search shows

  const table = {
    server: new Map(), // person -> {html, at, version, state, role, signedUp, presumed}: what the server said last
    others: new Map(), // person -> {book, name, find, card}: who may walk in
    sent: new Set(), // whose marks of this page have arrived
    entries: [], // the outbox of this camp, oldest first
    closed: page.dataset.closed,
  };
  const { server, others, sent } = table;

  // --- names, as one searches them ---

  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().trim();
  const words = (text) => fold(text).split(/\s+/).filter(Boolean);
  const matches = (wanted, name, find, book) =>
    (wanted.length === 1 && /^\d+$/.test(wanted[0]) && String(book).startsWith(wanted[0])) ||
    wanted.every((word) => name.includes(word) || find.includes(word));

  // --- rows ---

  const parse = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content.querySelector("li");
  };
  const idOf = (li) => li.id.slice("person-".length);
  const rowOf = (person) => document.getElementById(`person-${person}`);
  const nameOf = (li) => li.querySelector(".name").textContent;
  const foldedNames = new WeakMap(); // of rows, so that a keystroke does not fold 3,000 names
  const folded = (li) => foldedNames.get(li) ?? foldedNames.set(li, fold(nameOf(li))).get(li);
  const escaped = (text) => {
    const span = document.createElement("span");
    span.textContent = text;
    return span.innerHTML.replaceAll('"', "&quot;");
  };

  function facts(li, at) {
    return {
      html: li.outerHTML, at, version: li.dataset.version, state: li.dataset.state, role: li.dataset.role,
      signedUp: "signedUp" in li.dataset, presumed: "presumed" in li.dataset,
    };
  }

  // What the server says of a row, unless something newer is known.
  // Versions are instants of the server; who is off the list has none (0), and then the time of reading counts.
  // Whether it was news. `again` takes the same version anew: the answer to a mark shows the badges it brought.
  function take(html, at, { keep = true, again = false } = {}) {
    const li = parse(html);
    const person = idOf(li);
    const known = server.get(person);
    const [old, fresh] = [Number(known?.version), Number(li.dataset.version)];
    if (known && (old && fresh ? fresh < old || (fresh === old && !again) : known.at > at)) return false;
    server.set(person, facts(li, at));
    if (!li.dataset.state) others.set(person, walkIn(li));
    if (keep) window.outbox.keepRow(camp, person, { at, html }).catch(() => {});
    render(person);
    return true;
  }

  const walkIn = (li) => ({ book: li.dataset.book, name: nameOf(li), find: li.dataset.find ?? "", card: li.dataset.card ?? "" });

  function blank(person) {
    const known = others.get(person);
    const added = table.entries.find((entry) => entry.order.action === "add" && entry.order.person === person);
    const name = escaped(known?.name ?? added?.order.name ?? "Somebody");
    const html = document.getElementById("blank").innerHTML.replaceAll(NOBODY, person).replaceAll("%NAME%", name);
    const li = parse(html);
    li.dataset.book = known?.book ?? "";
    li.dataset.card = known?.card ?? "";
    if (known?.find) li.dataset.find = known.find;
    li.querySelector(".number").textContent = known?.book ?? "book number follows";
    return li;
  }

  // Where somebody stands when everything in the outbox is counted in.
  function standing(person) {
    const known = server.get(person) ?? { state: "", role: "", signedUp: false, presumed: false };
    const now = { state: known.state, role: known.role, left: undefined, waiting: false, open: null };
    for (const entry of table.entries) {
      const { order } = entry;
      const own = order.person === person;
      if (entry.status !== "waiting") {
        if (own) now.open = entry;
        continue;
      }
      if (own && order.action === "mark") {
        now.state = order.state === "expected" && !known.signedUp ? "" : order.state;
        now.role = order.state === "present" ? order.camp_role || now.role || "volunteer" : now.role;
        now.reason = order.reason;
      } else if (own && order.action === "add") Object.assign(now, { state: "present", role: order.camp_role ?? "volunteer" });
      else if (own && order.action === "leave") now.left = order.at === "now" ? clock(order.made_at) : order.at;
      else if (order.action === "everyone" && now.state === "expected" && order.people.includes(person)) now.state = "present";
      else if (order.action === "close" && now.state === "expected") now.state = "absent";
      else if (order.action === "reopen" && known.presumed && now.state === "absent") now.state = "expected";
      else continue;
      now.waiting = true;
    }
    return now;
  }

  const clock = (instant) =>
    new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit" }).format(new Date(instant));

  function make(person) {
    const known = server.get(person);
    const li = known ? parse(known.html) : blank(person);
    const now = standing(person);
    if (now.waiting) lay(li, now);
    if (now.waiting || sent.has(person)) note(li, now.waiting);
    if (now.open) question(li, now.open);
    return li;
  }

  // Over what the server said, what was decided here since.
  function lay(li, now) {
    const { state } = now;
    const name = nameOf(li);
    if (state !== li.dataset.state || li.querySelector(".takes, .settled")) {
      li.querySelector(".takes")?.remove(); // what the server knew of the old state
      li.querySelector(".settled")?.remove();
    }
    li.classList.replace(li.dataset.state || "unlisted", state || "unlisted");
    li.dataset.state = state;
    li.dataset.role = now.role;
    const part = document.querySelector(`template[data-state="${state || "expected"}"]`).content.cloneNode(true);
    const button = part.querySelector("button");
    if (button) {
      button.setAttribute("aria-label", `${state ? "Mark" : "Add"} ${name} present`);
      button.textContent = state ? "Mark present" : "Add, present";
    }
    li.querySelector(".state").replaceChildren(part);
    const told = [];
    if (state === "present" && now.role && now.role !== "volunteer") told.push(now.role);
    if (state === "present" && now.left) told.push(`left ${now.left}`);
    if (state === "excused" && now.reason) told.push(`“${now.reason}”`);
    li.querySelector(".facts").textContent = told.join(" · ");
    li.querySelector(".undo")?.remove();
    if (state && state !== "expected") {
      const undo = document.getElementById("undo").content.cloneNode(true);
      undo.querySelector("button").setAttribute("aria-label", `Undo for ${name}`);
      li.querySelector(".meta").append(undo);
    }
  }

  function note(li, waiting) {
    const chip = document.createElement("span");
    chip.className = waiting ? "sync waiting" : "sync";
    chip.textContent = waiting ? "Waiting" : "Sent";
    li.querySelector(".state").append(chip);
  }

  // The server did not do what was asked. The row shows what stands there, and what was wanted here.
  function question(li, entry) {
    const { order } = entry;
    const box = document.createElement("div");
    box.className = "refusal asked";
    const wanted = order.action === "mark" ? wish(order) : order.action === "leave" ? "a leaving time" : "added";
    const text = document.createElement("p");
    const asked = entry.status === "asked";
    text.textContent = asked ? `${entry.said} Here: ${wanted} at ${clock(order.made_at)}. Which is right?`
      : `Not saved (${wanted}): ${entry.said}`;
    box.append(text, answer("theirs", asked ? "Leave it so" : "OK"));
    if (asked) box.append(answer("mine", wanted.charAt(0).toUpperCase() + wanted.slice(1)));
    li.querySelector(".line").append(box);
  }

  const wish = (order) => (order.state === "expected" ? "mark taken back" : order.state + (order.camp_role ? ` as ${order.camp_role}` : ""));

  function answer(value, text) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.answer = value;
    button.textContent = text;
    return button;
  }

  function render(person) {
    const old = rowOf(person);
    const li = make(person);
    if (old) {
      const focused = old.contains(document.activeElement) && document.activeElement;
      old.replaceWith(li);
      if (focused) (li.querySelector(`[aria-label="${CSS.escape(focused.getAttribute("aria-label") ?? "")}"]`) ?? li).focus();
    } else if (li.dataset.state || li.querySelector(".asked")) {
      put(li);
    }
    filterOne(li);
  }

  // --- sections ---

  const sectionOf = (li) => list.querySelector(`[data-section="${li.dataset.state}"]`);
  const keyOf = (li) => `${folded(li)} ${li.dataset.book.padStart(10)}`;

  // A new row goes to its place by name.
  function put(li) {
    const rows = sectionOf(li).querySelector("ul");
    const key = keyOf(li);
    rows.insertBefore(li, [...rows.children].find((other) => keyOf(other) > key) ?? null);
  }

  // Sort in what has changed its section. Only when the list changes anyway: nothing moves under a finger.
  function tidy() {
    for (const li of list.querySelectorAll("li.person")) {
      if (li.closest("[data-section]").dataset.section === li.dataset.state) continue;
      if (li.dataset.state || li.querySelector(".asked")) put(li);
      else li.remove();
    }
  }

  function filterOne(li, wanted = words(search.value)) {
    const hidden = !matches(wanted, folded(li), li.dataset.find ?? "", li.dataset.book);
    if (li.hidden !== hidden) li.hidden = hidden;
  }

  function filter() {
    const wanted = words(search.value);
    const strangers = list.querySelector('[data-section=""] ul');
    strangers.replaceChildren(...[...strangers.children].filter((li) => li.querySelector(".asked")));
    for (const li of list.querySelectorAll("li.person")) filterOne(li, wanted);
    if (wanted.length) strangers.append(...walkIns(wanted));
    count();
    suggest();
  }

  function walkIns(wanted) {
    const found = [];
    for (const [person, known] of others) {
      if (rowOf(person) || !matches(wanted, fold(known.name), known.find, known.book)) continue;
      found.push([String(known.book) === wanted[0] ? "" : fold(known.name), person]);
    }
    found.sort(([one], [other]) => (one < other ? -1 : 1));
    return found.slice(0, MOST_FOUND).map(([, person]) => make(person));
  }

  // Who is found nowhere is probably new: their name stands in the form already.
  function suggest() {
    const name = document.getElementById("new-name");
    if (!name || (name.value && name.value !== name.dataset.suggested)) return;
    const text = search.value.trim();
    name.value = !list.querySelector("li.person:not([hidden])") && /\p{L}/u.test(text) ? text : "";
    name.dataset.suggested = name.value;
  }

  function count() {
    const sizes = { present: 0, expected: 0, excused: 0, absent: 0, "": 0 };
    for (const li of list.querySelectorAll("li.person")) sizes[li.dataset.state] += 1;
    const total = sizes.present + sizes.expected + sizes.excused + sizes.absent;
    document.querySelector("#count strong").textContent = `${sizes.present.toLocaleString("en")} of ${total.toLocaleString("en")}`;
    for (const section of list.querySelectorAll("[data-section]")) {
      section.querySelector(".size").textContent = sizes[section.dataset.section].toLocaleString("en");
      section.hidden = !section.querySelector("li:not([hidden])");
    }
    for (const number of document.querySelectorAll(".expected-number")) number.textContent = sizes.expected.toLocaleString("en");
    const nobody = document.getElementById("nobody");
    nobody.hidden = Boolean(list.querySelector("li.person:not([hidden])"));
    nobody.textContent = search.value.trim()
      ? `Nobody matches “${search.value.trim()}”. Try part of the name, or the book number; or add somebody new below.`
      : "Nobody has signed up for this camp yet. Find people above by name or book number, and mark them as they come.";
    const closing = table.entries.findLast((entry) => entry.status === "waiting" && ["close", "reopen"].includes(entry.order.action));
    const line = closing ? (closing.order.action === "close" ? "Closed on this phone, not sent yet." : "") : table.closed;
    document.getElementById("closed").textContent = line;
    document.getElementById("to-reopen").hidden = !line;
    document.getElementById("to-close").hidden = Boolean(line) && !sizes.expected;
    document.getElementById("while-open").hidden = !sizes.expected;
  }

  return {
    table, list, search, fold, parse, idOf, nameOf, rowOf, clock, facts, take, walkIn, blank, standing, render, tidy, filter, count,
  };
})();
