// What is decided elsewhere: htmx's stream swaps it; here is what the stream leaves to the page.
import { htmx } from "./htmx.js";
import { link, showLink } from "./link.js";
import * as outbox from "./outbox.js";
import { byId, data } from "./page.js";
import { table } from "./rows.js";
import { check, sendNow } from "./send.js";

const COME_BACK = 5000; // milliseconds until a stream that could not begin is asked for again
const GRACE = 600; // milliseconds in which the answer to a mark may follow the news of it
const ASKED = 50; // rows asked for at once; their ids make the address

/** Open the stream, and keep it open: hx-sse itself does not repeat a first request that failed. */
export function listen() {
  const live = byId("live");
  const connect = () => htmx.trigger(live, "connect");
  const isOpen = () => Boolean(/** @type {any} */ (live)._htmx?.sse);
  const hear = (/** @type {boolean} */ connected) => {
    link.connected = connected;
    showLink();
  };
  live.addEventListener("htmx:sse:after:connection", () => {
    hear(true);
    if (outbox.isOpen()) sendNow();
  });
  live.addEventListener("htmx:sse:error", (event) => {
    hear(false);
    if (/** @type {CustomEvent} */ (event).detail.status) check();
  });
  live.addEventListener("signed-out", () => check());
  const comeBack = () => setTimeout(() => isOpen() || connect(), COME_BACK);
  live.addEventListener("htmx:sse:close", comeBack);
  live.addEventListener("htmx:finally:request", () => {
    if (isOpen()) return;
    hear(false);
    comeBack();
  });
  setTimeout(connect); // once htmx has looked through the page
}

/**
 * What an event says beside its rows: whom this account marked, here or on another phone, and how long the list is.
 * @param {HTMLTemplateElement} template
 */
export function news(template) {
  const own = [...template.content.querySelectorAll("data")].map((each) => each.value.split(" "));
  const size = Number(template.getAttribute("size"));
  if (own.length) setTimeout(fetchOwn, GRACE, own);
  setTimeout(() => { // once the rows are swapped
    if (listSize() !== size) htmx.trigger(byId("again"), "again"); // somebody left it while this phone was away
  });
}

function listSize() {
  const known = [...table.server.values()].filter((row) => row.li.dataset.state);
  return known.length + table.offPage.total;
}

/** @param {string[][]} own people and the versions of their rows */
async function fetchOwn(own) {
  if (byId("outbox").classList.contains("htmx-request")) return void setTimeout(fetchOwn, GRACE, own); // its answer is still to come
  const missing = own.filter(([person, version]) => !(Number(table.server.get(person)?.li.dataset.version) >= Number(version)));
  for (let first = 0; first < missing.length; first += ASKED) {
    const query = new URLSearchParams(missing.slice(first, first + ASKED).map(([person]) => ["person", person]));
    await htmx.ajax("GET", `${data.rows}?${query}`, { source: byId("again"), select: undefined, swap: "none" });
  }
}
