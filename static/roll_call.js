// The roll call on a phone: what is decided here goes into the outbox, what is decided elsewhere comes by a
// stream, and the coordinator always sees what has reached the server.
"use strict";

window.rollCall = (() => {
  const arrived = navigator.serviceWorker ? `<!doctype html>${document.documentElement.outerHTML}` : "";
  const page = document.getElementById("roll-call");
  const { camp, viewer: owner } = page.dataset;
  const { table, list, search, fold, parse, idOf, nameOf, rowOf, clock, facts, take, walkIn, blank } = window.rows;
  const { standing, render, tidy, filter, count } = window.rows;
  const { server, others, sent } = table;
  const sheet = document.getElementById("sheet");
  const link = document.getElementById("link");
  const said = document.getElementById("said");
  const WORDS = { present: "Present", excused: "Excused", absent: "Absent", expected: "Expected" };
  const ASKED = 50; // rows asked for at once; their ids make the address
  const GRACE = 600; // milliseconds in which the answer to a mark may follow the news of it

  let allOthersKnown = false;
  let status = "sent";
  let connected = true;

  // --- what has reached the server ---

  let shown;
  function showLink() {
    const key = JSON.stringify([status, connected, navigator.onLine, table.entries.map((entry) => [entry.seq, entry.status])]);
    if (key === shown) return; // a button that is being pressed must not be replaced
    shown = key;
    const waiting = table.entries.filter((entry) => entry.status === "waiting").length;
    const open = table.entries.filter((entry) => entry.status !== "waiting");
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
  function result({ entry, result }) {
    if (entry.camp !== camp) return;
    table.entries = table.entries.filter((each) => each.order.id !== entry.order.id);
    if (result.closed !== undefined) told(result.closed, result.at);
    for (const html of result.rows) {
      const person = idOf(parse(html));
      if (result.outcome === "done") sent.add(person);
      if (!take(html, result.at, { again: true })) render(person); // something newer is known
    }
    if (result.outcome === "done") said.textContent = result.said;
    if (result.outcome === "done" && !entry.order.person) document.getElementById("summary").textContent = result.said;
  }

  function told(line, at) {
    table.closed = line;
    window.outbox.keep(`closed ${camp}`, { line, at }).catch(() => {});
  }

  async function changed() {
    const before = new Set(touched(table.entries));
    table.entries = await window.outbox.of(camp);
    for (const person of new Set([...before, ...touched(table.entries)])) render(person);
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
    else if (value === "left" && submitter.matches("input ~ button") && !form.elements.at.value) {
      form.elements.at.focus(); // which time was not said
      return;
    } else if (value === "left" || value === "stayed") {
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
    sheet.querySelector(".sheet-cabinet").href = `/people/${idOf(li)}`;
    for (const each of sheet.querySelectorAll("button[value^='present:']")) {
      each.setAttribute("aria-pressed", li.dataset.state === "present" && each.value === `present:${li.dataset.role}`);
    }
    sheet.querySelector("fieldset.leaving").hidden = li.dataset.state !== "present";
    sheet.showPopover();
  }

  async function answered(li, value) {
    const person = idOf(li);
    const open = table.entries.filter((entry) => entry.order.person === person && entry.status !== "waiting");
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
    if (window.outbox.isSending()) return void setTimeout(fetchOwn, GRACE, own); // the answer is still to come
    const missing = own.filter(([person, version]) => !(Number(server.get(person)?.version) >= Number(version)));
    for (let first = 0; first < missing.length; first += ASKED) {
      const query = new URLSearchParams(missing.slice(first, first + ASKED).map(([person]) => ["person", person]));
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
    table.entries = await window.outbox.of(camp);
    for (const [, { html, at: since }] of await window.outbox.rowsSince(camp, at)) take(html, since, { keep: false });
    const closing = await window.outbox.kept(`closed ${camp}`);
    if (closing?.at > at) table.closed = closing.line;
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

  // htmx brings the row alone, and the list may be what a search has found: what the row was and what it has
  // become says how the count changes.
  function countSwaps() {
    const number = document.querySelector("#count strong");
    new MutationObserver((swaps) => {
      let [present, total] = number.textContent.match(/[\d,]+/g).map((each) => Number(each.replaceAll(",", "")));
      const add = (nodes, one) => {
        for (const { dataset } of [...nodes].filter((node) => node.matches?.("li.person"))) {
          present += dataset.state === "present" ? one : 0;
          total += dataset.state ? one : 0;
        }
      };
      for (const { addedNodes, removedNodes } of swaps) {
        add(addedNodes, 1);
        add(removedNodes, -1);
      }
      number.textContent = `${present.toLocaleString("en")} of ${total.toLocaleString("en")}`;
    }).observe(list, { childList: true, subtree: true });
  }

  // A browser that stores nothing (some do not in private windows) marks through htmx, at once or not at all.
  begin().catch((error) => {
    console.warn("marks are sent at once, without an outbox", error);
    countSwaps();
    const script = document.createElement("script");
    script.src = page.dataset.htmx;
    document.head.append(script);
  });

  return { mark, take, byCard, nameOf, standing, rowOf };
})();
