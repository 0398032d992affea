// The roll call on a phone. What the server said of a row is HTML it rendered; what this phone decided since
// lies over it until the server has said what became of it.
"use strict";

window.rollCall = (() => {
  const arrived = navigator.serviceWorker ? `<!doctype html>${document.documentElement.outerHTML}` : "";
  const page = document.getElementById("roll-call");
  const { camp, viewer: owner, timeZone } = page.dataset;
  const list = document.getElementById("rows");
  const search = document.getElementById("q");
  const sheet = document.getElementById("sheet");
  const link = document.getElementById("link");
  const said = document.getElementById("said");
  const NOBODY = "00000000-0000-0000-0000-000000000000";
  const WORDS = { present: "Present", excused: "Excused", absent: "Absent", expected: "Expected" };
  const GRACE = 600; // milliseconds in which the answer to a mark may follow the news of it
  const MOST_FOUND = 20; // people beyond the list that a search shows

  const server = new Map(); // person -> {html, at, version, state, role, signedUp, presumed}: what the server said last
  const others = new Map(); // person -> {book, name, find, card}: who may walk in
  const sent = new Set(); // whose marks of this page have arrived
  let allOthersKnown = false;
  let entries = []; // the outbox of this camp, oldest first
  let closed = page.dataset.closed;
  let status = "sent";
  let connected = true;

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
  function take(html, at, { keep = true } = {}) {
    const li = parse(html);
    const person = idOf(li);
    const known = server.get(person);
    if (known && (known.at > at || (known.version === li.dataset.version && known.version !== "0"))) return;
    server.set(person, facts(li, at));
    if (!li.dataset.state) others.set(person, walkIn(li));
    if (keep) window.outbox.keepRow(camp, person, { at, html }).catch(() => {});
    render(person);
  }

  const walkIn = (li) => ({ book: li.dataset.book, name: nameOf(li), find: li.dataset.find ?? "", card: li.dataset.card ?? "" });

  function blank(person) {
    const known = others.get(person);
    const added = entries.find((entry) => entry.order.action === "add" && entry.order.person === person);
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
    for (const entry of entries) {
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
    } else if (li.dataset.state) {
      put(li);
    }
    filterOne(li);
  }

  // --- sections ---

  const sectionOf = (li) => list.querySelector(`[data-section="${li.dataset.state}"]`);
  const keyOf = (li) => `${fold(nameOf(li))} ${li.dataset.book.padStart(10)}`;

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
      if (li.dataset.state) put(li);
      else li.remove();
    }
  }

  function filterOne(li, wanted = words(search.value)) {
    li.hidden = !matches(wanted, fold(nameOf(li)), li.dataset.find ?? "", li.dataset.book);
  }

  function filter() {
    const wanted = words(search.value);
    const strangers = list.querySelector('[data-section=""] ul');
    strangers.replaceChildren();
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
    const closing = entries.findLast((entry) => entry.status === "waiting" && ["close", "reopen"].includes(entry.order.action));
    const line = closing ? (closing.order.action === "close" ? "Closed on this phone, not sent yet." : "") : closed;
    document.getElementById("closed").textContent = line;
    document.getElementById("to-reopen").hidden = !line;
    document.getElementById("to-close").hidden = Boolean(line) && !sizes.expected;
    document.getElementById("while-open").hidden = !sizes.expected;
  }

  // --- what has reached the server ---

  let shown;
  function showLink() {
    const key = JSON.stringify([status, connected, navigator.onLine, entries.map((entry) => [entry.seq, entry.status])]);
    if (key === shown) return; // a button that is being pressed must not be replaced
    shown = key;
    const waiting = entries.filter((entry) => entry.status === "waiting").length;
    const open = entries.filter((entry) => entry.status !== "waiting");
    const marks = `${waiting} waiting`;
    const parts = [];
    const away = `${page.dataset.signIn}?next=${encodeURIComponent(location.pathname)}`;
    if (status === "signed-out") parts.push(anchor(away, waiting ? `Sign in to send (${marks})` : "Sign in again"));
    else if (status === "someone-else") parts.push(lines("Somebody else is signed in", `${marks} for you`));
    else if (status === "forbidden") parts.push(lines("Your account may not mark", marks));
    else if (status === "trouble") parts.push(lines("Not accepted", `${marks}, kept here`), button("Send now", sendNow));
    else if (waiting) {
      const away = status === "offline" || !connected || !navigator.onLine;
      parts.push(lines(away ? "No connection" : "On its way", `${marks}, kept here`), button("Send now", sendNow));
    } else parts.push(connected && navigator.onLine ? "All sent" : "No connection");
    if (open.length) {
      const first = rowOf(open[0].order.person);
      if (first) parts.push(button(`${open.length} to answer`, () => show(first)));
    }
    link.hidden = false;
    link.classList.toggle("waiting", waiting > 0);
    link.replaceChildren(...parts.flatMap((part) => [part, " "]));
    const refused = open.filter((entry) => !entry.order.person); // of the whole list: there is no row to say it on
    const problem = document.getElementById("problem");
    if (refused.length) {
      problem.replaceChildren(`Not done: ${refused[0].said} `, button("OK", () => {
        problem.replaceChildren();
        window.outbox.drop(camp, [refused[0].seq]);
      }));
    }
  }

  const sendNow = () => window.outbox.flush();

  // A row that somebody wants to see, whatever was searched for.
  function show(li) {
    search.value = "";
    tidy();
    filter();
    li.closest("details").open = true;
    li.scrollIntoView({ block: "center" });
    li.focus({ preventScroll: true });
  }

  function lines(...texts) {
    const made = document.createElement("span");
    made.append(texts[0], document.createElement("br"), texts[1]);
    return made;
  }

  function button(text, pressed) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "quiet";
    made.textContent = text;
    made.addEventListener("click", pressed);
    return made;
  }

  function anchor(href, text) {
    const made = document.createElement("a");
    made.href = href;
    made.textContent = text;
    return made;
  }

  async function heard(what, detail) {
    if (what === "status") {
      if (detail === "sending") return; // it takes a moment, and what was the case before is shown meanwhile
      status = detail;
      showLink();
    } else if (what === "clock") {
      const hours = Math.round(Math.abs(detail) / 360) / 10;
      document.getElementById("problem").textContent =
        `This phone’s clock is ${hours} hours ${detail > 0 ? "ahead" : "behind"}. Marks are kept with the server’s time.`;
    } else if (what === "result") result(detail);
    else await changed();
  }

  // The rows of an answer are shown once the outbox no longer holds what they answer ("changed" follows).
  function result({ entry, result, at }) {
    if (entry.camp !== camp) return;
    entries = entries.filter((each) => each.order.id !== entry.order.id);
    if (result.closed !== undefined) told(result.closed, at);
    for (const html of result.rows) {
      const person = idOf(parse(html));
      if (result.outcome === "done") sent.add(person);
      server.delete(person); // the same version again, with the badges it brought
      take(html, at);
    }
    if (result.outcome === "done") said.textContent = result.said;
  }

  function told(line, at) {
    closed = line;
    window.outbox.keep(`closed ${camp}`, { line, at }).catch(() => {});
  }

  async function changed() {
    const before = new Set(touched(entries));
    entries = await window.outbox.of(camp);
    for (const person of new Set([...before, ...touched(entries)])) render(person);
    count();
    showLink();
  }

  // Whose rows entries lie over.
  function touched(some) {
    const people = [];
    for (const { order } of some) {
      if (order.person) people.push(order.person);
      else if (order.people) people.push(...order.people);
      else people.push(...[...server].filter(([, row]) => row.state === "expected" || row.presumed).map(([person]) => person));
    }
    return people;
  }

  // --- what is decided here ---

  async function mark(person, wanted, { reason, card } = {}) {
    const [state, camp_role] = wanted.split(":");
    const now = standing(person);
    if (state === now.state && !now.open && (!camp_role || camp_role === now.role) && state !== "excused") return;
    const order = { action: "mark", person, state };
    if (camp_role) order.camp_role = camp_role;
    if (reason) order.reason = reason;
    if (card) order.card = card;
    await window.outbox.mark(camp, order, now.open ? server.get(person) ?? {} : now);
    said.textContent = `${nameOf(rowOf(person) ?? blank(person))}: ${WORDS[state]}.`;
    window.outbox.flush();
  }

  async function decide(form, submitter) {
    const value = submitter?.value ?? "";
    const row = submitter?.closest("li.person");
    const person = row ? idOf(row) : form.closest("#sheet") ? sheet.dataset.person : null;
    if (form.id === "add") await addSomebody(form);
    else if (form.dataset.action) await wholeList(form.dataset.action);
    else if (value === "left" || value === "stayed") {
      const at = value === "stayed" ? null : (submitter.matches("input ~ button") && form.elements.at.value) || "now";
      await window.outbox.leave(camp, { action: "leave", person, at });
    } else await mark(person, value, { reason: form.elements.reason?.value.trim() });
    form.closest("[popover]")?.hidePopover();
    window.outbox.flush();
  }

  async function addSomebody(form) {
    const name = form.elements.name.value.trim().replace(/\s+/g, " ");
    if (!name) return;
    const person = window.outbox.uuid();
    form.reset();
    document.getElementById("same-name").hidden = true;
    search.value = "";
    tidy();
    await window.outbox.add(camp, { action: "add", person, name });
    const li = rowOf(person);
    if (li) show(li);
  }

  async function wholeList(action) {
    const people = [...list.querySelectorAll('li.person[data-state="expected"]')].map(idOf);
    await window.outbox.add(camp, action === "everyone" ? { action, people } : { action });
  }

  function openSheet(li) {
    sheet.dataset.person = idOf(li);
    sheet.querySelector("form").reset();
    sheet.querySelector("form").action = li.querySelector(".more").href;
    sheet.querySelector(".sheet-name").textContent = nameOf(li);
    for (const each of sheet.querySelectorAll("button[value^='present:']")) {
      each.setAttribute("aria-pressed", li.dataset.state === "present" && each.value === `present:${li.dataset.role}`);
    }
    sheet.querySelector("fieldset.leaving").hidden = li.dataset.state !== "present";
    sheet.showPopover();
  }

  async function answered(li, value) {
    const person = idOf(li);
    const open = entries.filter((entry) => entry.order.person === person && entry.status !== "waiting");
    const last = open.at(-1);
    if (value === "theirs") await window.outbox.drop(camp, open.map((entry) => entry.seq));
    else if (last) {
      const { state, camp_role, reason, card } = last.order;
      const known = server.get(person) ?? {};
      const order = { action: "mark", person, state };
      for (const [key, found] of Object.entries({ camp_role, reason, card })) if (found) order[key] = found;
      await window.outbox.mark(camp, order, known);
    }
    window.outbox.flush();
  }

  // --- what is decided elsewhere ---

  let stream;
  function listen(address = page.dataset.live) {
    stream = new EventSource(address);
    stream.onopen = () => {
      connected = true;
      window.outbox.flush();
      showLink();
    };
    stream.onerror = () => {
      connected = false;
      showLink();
      if (stream.readyState !== EventSource.CLOSED) return; // it tries again by itself
      window.outbox.check();
      setTimeout(() => listen(), 5000);
    };
    stream.onmessage = ({ data }) => {
      const news = JSON.parse(data);
      for (const html of news.rows) take(html, news.at);
      if (news.own.length) setTimeout(fetchOwn, GRACE, news.own);
      told(news.closed, news.at);
      count();
      const known = [...server.values()].filter((row) => row.state).length;
      if (known !== news.size) refresh(); // somebody left the list while this phone was away
    };
  }

  // What was marked with this account: here, and the answer has brought the row; or on another phone.
  async function fetchOwn(own) {
    const missing = own.filter(([person, version]) => !(Number(server.get(person)?.version) >= Number(version)));
    for (let first = 0; first < missing.length; first += 100) {
      const query = new URLSearchParams(missing.slice(first, first + 100).map(([person]) => ["person", person]));
      const response = await window.outbox.ask(`${page.dataset.rows}?${query}`);
      if (!response?.ok) return; // the stream begins anew with the network, and tells it again
      const answer = await response.json();
      for (const html of answer.rows) take(html, answer.at);
    }
    count();
  }

  let refreshing = false;
  async function refresh() {
    if (refreshing) return;
    refreshing = true;
    try {
      const response = await fetch(location.pathname, { redirect: "error" });
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      const at = Number(fresh.getElementById("roll-call").dataset.at);
      const found = new Set();
      for (const li of fresh.querySelectorAll("#rows li.person")) {
        found.add(idOf(li));
        take(li.outerHTML, at);
      }
      for (const [person, row] of server) {
        if (row.state && row.at <= at && !found.has(person)) {
          server.delete(person);
          others.set(person, walkIn(parse(row.html)));
          render(person);
        }
      }
      count();
    } catch {
      // The network went again; the stream asks once more when it is back.
    } finally {
      refreshing = false;
    }
  }

  // Who may walk in: kept on this phone, renewed when the page is opened.
  async function learnOthers() {
    const response = await window.outbox.ask(page.dataset.others);
    if (!response?.ok) return;
    const answer = await response.json();
    know(answer);
    await window.outbox.keep(`others ${camp}`, answer);
    if (search.value) filter();
  }

  function know(answer) {
    for (const [hex, book, name, find, card] of answer?.people ?? []) {
      const person = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
      others.set(person, { book, name, find, card });
    }
    if (answer && "whole" in answer) allOthersKnown ||= answer.whole;
  }

  let asking;
  function askForOthers() {
    clearTimeout(asking);
    const query = search.value.trim();
    if (allOthersKnown || query.length < 2) return;
    asking = setTimeout(async () => {
      const response = await window.outbox.ask(`${page.dataset.others}?q=${encodeURIComponent(query)}`);
      if (!response?.ok) return;
      know(await response.json());
      if (search.value.trim() === query) filter();
    }, 250);
  }

  // Somebody by the digest of their card.
  function byCard(digest) {
    const li = [...list.querySelectorAll("li.person")].find((each) => each.dataset.card === digest);
    if (li) return idOf(li);
    for (const [person, known] of others) if (known.card === digest) return person;
    return null;
  }

  // --- the page ---

  function watchSearch() {
    search.addEventListener("input", () => {
      tidy();
      filter();
      if (page.getBoundingClientRect().top < 0) page.scrollIntoView(); // what was found begins below the bar
      askForOthers();
    });
    search.addEventListener("focus", () => search.select()); // the next person's name takes the last one's place
    search.form.addEventListener("submit", (event) => {
      event.preventDefault();
      list.querySelector("li.person:not([hidden]) .primary")?.focus();
    });
    const name = document.getElementById("new-name");
    name?.addEventListener("input", () => {
      const wanted = fold(name.value);
      const same = document.getElementById("same-name");
      const known = wanted && ([...list.querySelectorAll("li.person")].map((li) => [nameOf(li), li.dataset.book])
        .concat([...others.values()].map((each) => [each.name, each.book]))).find(([each]) => fold(each) === wanted);
      same.hidden = !known;
      if (known) same.textContent = `${known[0]} is known already, with book number ${known[1]}. Is it somebody else?`;
    });
  }

  function takeOver() {
    document.addEventListener("submit", (event) => {
      const form = event.target;
      if (!form.closest("#rows, #sheet, #add, #whole")) return;
      event.preventDefault();
      event.stopImmediatePropagation(); // htmx would send it now or never
      decide(form, event.submitter).catch((error) => {
        console.error(error);
        document.getElementById("problem").textContent = "This phone could not save the mark. Reload the page and try again.";
      });
    }, true);
    document.addEventListener("click", (event) => {
      const more = event.target.closest("#rows .more");
      const given = event.target.closest("[data-answer]");
      if (more) {
        event.preventDefault();
        openSheet(more.closest("li"));
      } else if (given) answered(given.closest("li"), given.dataset.answer);
    });
  }

  let newVersion = false;
  addEventListener("new-version", () => {
    newVersion = true;
    const problem = document.getElementById("problem");
    problem.replaceChildren("A newer version of this page is ready. ", button("Reload", () => location.reload()));
  });
  document.addEventListener("visibilitychange", () => {
    if (newVersion && document.hidden) location.reload(); // nobody looks, and the outbox is kept
  });

  async function begin() {
    const at = Number(page.dataset.at);
    for (const li of list.querySelectorAll("li.person")) server.set(idOf(li), facts(li, at));
    if (new URLSearchParams(location.search).has("q")) history.replaceState(null, "", location.pathname);
    await window.outbox.open({
      owner,
      csrf: document.querySelector("input[name=csrf_token]").value,
      addresses: { sync: page.dataset.sync, session: page.dataset.session },
      tell: heard,
    });
    takeOver();
    know(await window.outbox.kept(`others ${camp}`));
    entries = await window.outbox.of(camp);
    for (const [, { html, at: since }] of await window.outbox.rowsSince(camp, at)) take(html, since, { keep: false });
    const closing = await window.outbox.kept(`closed ${camp}`);
    if (closing?.at > at) closed = closing.line;
    await changed();
    watchSearch();
    if (search.value) filter();
    page.dataset.ready = ""; // for whoever waits for it
    listen();
    window.outbox.flush();
    learnOthers().catch(() => {});
    keepPage();
  }

  // The first time there was no service worker yet that could have kept this page. It is given the page as
  // it arrived, which is cheaper than to fetch it again.
  async function keepPage() {
    if (!navigator.serviceWorker) return;
    const { active } = await navigator.serviceWorker.ready;
    const kept = new MessageChannel();
    kept.port1.onmessage = () => { page.dataset.kept = ""; };
    active.postMessage({ path: location.pathname, html: arrived }, [kept.port2]);
  }

  // A browser that stores nothing (some do not in private windows) marks through htmx, at once or not at all.
  begin().catch((error) => {
    console.warn("marks are sent at once, without an outbox", error);
    const script = document.createElement("script");
    script.src = page.dataset.htmx;
    document.head.append(script);
  });

  return { mark, take, byCard, nameOf, standing, rowOf };
})();
