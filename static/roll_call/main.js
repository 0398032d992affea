// The roll call: htmx makes every request and every swap; this file tells htmx what lies under it.
import { htmx } from "./htmx.js";
import "htmx.org/dist/ext/hx-sse.js";
import { decide, openSheet } from "./decide.js";
import { showLink } from "./link.js";
import { filter, know, learnOffPage, learnOthers, show, watchSearch } from "./list.js";
import { listen, news } from "./live.js";
import * as outbox from "./outbox.js";
import { button, byId, data, list, page, problem, search, sheet } from "./page.js";
import { idOf, parse, partial, redrawAwaited, rowOf, swap, table, take, waitingFor } from "./rows.js";
import "./scanner.js";
import { askJson, check, send, sendNow } from "./send.js";

// The page as it arrived, for a service worker that was not there yet to keep it.
const arrived = navigator.serviceWorker && !navigator.serviceWorker.controller && `<!doctype html>${document.documentElement.outerHTML}`;
const channel = new BroadcastChannel("outbox");

const opened = begin();

htmx.registerExtension("roll-call", {
  handle_swap: swap,
  htmx_process_news: news,
  htmx_before_request(/** @type {Element} */ element, /** @type {{ctx: any}} */ { ctx }) {
    if (element.id === "outbox") ctx.fetch = send;
    if (!element.matches("[data-outbox]")) return;
    ctx.fetch = async (/** @type {string} */ address, /** @type {any} */ request) => {
      await opened;
      // A browser that stores nothing (some do not in private windows) marks at once or not at all.
      return outbox.isOpen() ? decide(ctx) : fetch(address, request);
    };
  },
  htmx_before_response(/** @type {Element} */ _element, /** @type {{ctx: any}} */ { ctx }) {
    if (ctx.response.status !== 401 || !outbox.isOpen()) return;
    delete ctx.hx.redirect; // who leaves the page now would leave their marks
    check();
  },
  htmx_after_swap(/** @type {Element} */ element, /** @type {{ctx: any}} */ { ctx }) {
    if (element.id === "outbox") redrawAwaited();
    const row = ctx.shows && rowOf(ctx.shows);
    if (row) show(row);
    if (!element.matches("[data-outbox]")) return;
    finish(element, ctx);
    if (outbox.isOpen()) sendNow(); // now that it is seen
  },
});

async function begin() {
  const at = Number(list.dataset.at);
  for (const li of /** @type {NodeListOf<HTMLElement>} */ (list.querySelectorAll("li.person"))) table.server.set(idOf(li), { li, at });
  learnOffPage();
  try {
    await outbox.open(data.viewer, changedHere);
    await recall(at);
  } catch (error) {
    console.warn("marks are sent at once, without an outbox", error);
    // @ts-expect-error -- an ordinary script; it says what was not saved
    await import("../page.js");
  }
  watchPage();
  watchSearch(askJson);
  if (search.value) filter();
  listen();
  page.dataset.ready = ""; // for whoever waits for it
  if (outbox.isOpen()) sendNow();
  learnOthers(askJson).catch(() => {});
  keepPage();
}

/** A form whose answer is on the page is done with. @param {Element} form @param {any} ctx */
function finish(form, { response, isUnsaid }) {
  if (response.status >= 400 || isUnsaid) return;
  if (form.id === "add") {
    /** @type {HTMLFormElement} */ (form).reset();
    byId("same-name").hidden = true;
  }
  /** @type {HTMLElement | null} */ (form.closest("[popover]"))?.hidePopover();
}

/** What this phone knows beside the page. @param {number} at when the page was read */
async function recall(at) {
  if (localStorage.getItem("viewer") !== data.viewer) await outbox.forgetLists(); // another person's
  localStorage.setItem("viewer", data.viewer);
  if (location.search.includes("q=")) {
    history.replaceState(null, "", location.pathname);
    setTimeout(() => htmx.trigger(byId("again"), "again")); // the rest of the list, once htmx has looked through the page
  }
  know(await outbox.kept(`others ${data.camp}`));
  learn(await outbox.all());
  for (const row of await outbox.rowsSince(data.camp, at)) take(parse(row.html), row.at, { kept: true });
  const closing = await outbox.kept(`closed ${data.camp}`);
  if (closing?.at > at) table.closed = closing.line;
  channel.addEventListener("message", changedElsewhere);
  await drawWaiting();
}

/** The outbox has changed on this page, which draws what follows from it. @param {import("./rules.js").Entry[]} entries */
function changedHere(entries) {
  channel.postMessage("changed");
  learn(entries);
}

/** @param {import("./rules.js").Entry[]} entries the owner's */
function learn(entries) {
  localStorage.setItem(`unsent ${data.viewer}`, String(entries.length)); // for whoever signs out, on any page
  table.entries = entries.filter((entry) => entry.camp === data.camp);
  showLink();
}

/** Another tab has changed something. */
async function changedElsewhere() {
  const before = waitingFor();
  learn(await outbox.all());
  await drawWaiting(before);
}

/** Draw whom the outbox lies over, and whom it lay over `before`. @param {Iterable<string>} before */
async function drawWaiting(before = []) {
  const text = partial(new Set([...before, ...waitingFor()]));
  await htmx.swap({ text, sourceElement: byId("outbox"), target: byId("outbox"), swap: "none" });
}

function watchPage() {
  document.addEventListener("click", (event) => {
    const more = /** @type {Element} */ (event.target).closest("#rows .more");
    const row = /** @type {HTMLElement | null} */ (more && more.closest("li"));
    if (!row) return;
    event.preventDefault();
    openSheet(row);
  });
  sheet.addEventListener("keydown", (event) => {
    const isField = /** @type {Element} */ (event.target).matches("input");
    if (event.key === "Enter" && isField) event.preventDefault(); // it would press the first button there is
  });
  document.addEventListener("htmx:error", (event) => {
    if (!outbox.isOpen() || !/** @type {Element} */ (event.target).matches("[data-outbox]")) return;
    problem.textContent = "This phone could not save the mark. Reload the page and try again.";
  });
  let isNewer = false;
  addEventListener("new-version", () => {
    isNewer = true;
    problem.replaceChildren("A newer version of this page is ready. ", button("Reload", () => location.reload()));
  });
  document.addEventListener("visibilitychange", () => {
    if (isNewer && document.hidden) location.reload(); // nobody looks, and the outbox is kept
  });
}

/** The service worker may not have this page: it was opened before there was one. */
async function keepPage() {
  if (!navigator.serviceWorker) return;
  const { active } = await navigator.serviceWorker.ready;
  const kept = new MessageChannel();
  kept.port1.onmessage = () => { page.dataset.kept = ""; };
  active?.postMessage({ path: location.pathname, html: arrived }, [kept.port2]);
}
