// How the outbox is sent: its form's fetch takes the oldest entries, keeps what the server says of them and hands the
// partials to htmx. Whatever is no answer to marks never reaches htmx, and becomes the line of the link.
import { htmx } from "./htmx.js";
import * as outbox from "./outbox.js";
import { link, showLink } from "./link.js";
import { byId, data, said } from "./page.js";
import { awaitRedraw, table } from "./rows.js";
import { touched } from "./rules.js";

const BATCH = 25;
const LONGEST_WAIT = 30_000; // milliseconds between two tries
const PATIENCE = 20_000; // for one answer

let csrf = /** @type {HTMLInputElement} */ (document.querySelector("input[name=csrf_token]")).value;
let size = BATCH;
let wait = 1000;
/** @type {number} */
let timer;
let reachable = false; // whether the last request got through

/** Ask htmx to send what waits, after so many milliseconds. */
function soon(after = 0) {
  clearTimeout(timer);
  timer = window.setTimeout(() => htmx.trigger(byId("outbox"), "send"), after);
}

export function sendNow() {
  wait = 1000;
  soon();
}

/** @typedef {{status: string, html?: string, again?: boolean}} Sent */

/**
 * The fetch of the outbox's form.
 * @param {string} address @param {any} request htmx's
 */
export async function send(address, request) {
  clearTimeout(timer);
  if (!outbox.isOpen()) return new Response(null, { status: 204 });
  const work = () => sendBatch(address, request);
  /** @type {Sent} */
  let sent;
  try {
    // One tab at a time. Two could do no harm, each operation being done once, but would ask for it twice.
    sent = await (navigator.locks ? navigator.locks.request("outbox", work) : work());
  } catch (error) {
    console.warn(error);
    sent = { status: "trouble" };
  }
  reachable = sent.status === "sent";
  say(sent.status);
  if (sent.again) sendNow();
  else if (sent.status === "offline" || sent.status === "trouble") {
    soon(wait);
    wait = Math.min(2 * wait, LONGEST_WAIT);
  } else wait = 1000;
  return new Response(sent.html ?? null, { status: sent.html ? 200 : 204 });
}

/** @param {string} status "sent", "sending", "offline", "signed-out", "someone-else", "forbidden" or "trouble" */
function say(status) {
  link.status = status;
  showLink();
}

/** @param {string} address @param {any} request @returns {Promise<Sent>} */
async function sendBatch(address, request) {
  if (!(await outbox.all()).some((entry) => entry.status === "waiting")) return { status: "sent" };
  const isRenewed = !reachable;
  if (isRenewed) {
    // Ask first whether anybody is there: what is not sent can still be changed.
    const session = await renew();
    if (session !== "ok") return { status: session };
  }
  const batch = await outbox.take(size);
  if (link.status !== "offline") say("sending"); // what was in the way before is shown meanwhile
  const body = JSON.stringify({
    owner: data.viewer, sent_at: new Date().toISOString(), operations: batch.map((entry) => entry.order),
  });
  const headers = { ...request.headers, "Content-Type": "application/json" };
  const response = await ask(address, { method: "POST", body, headers });
  const html = response?.ok ? await response.text().catch(() => null) : null;
  if (html !== null) return heard(batch, html);
  if (response?.ok) return { status: "offline" }; // cut off half way
  return whatIsInTheWay(response?.status ?? 0, batch.length, isRenewed);
}

/** @param {number} status @param {number} number of operations @param {boolean} isRenewed @returns {Sent} */
function whatIsInTheWay(status, number, isRenewed) {
  const isOld = status === 400 && !isRenewed; // the page may be of an earlier session
  const isLarge = status === 413 && number > 1;
  if (isLarge) size = 1;
  if (isOld || isLarge) return { status: "sending", again: true };
  const known = { 401: "signed-out", 403: "forbidden", 409: "someone-else", 429: "offline", 0: "offline" };
  return { status: status >= 500 ? "offline" : known[/** @type {0} */ (status)] ?? "trouble" };
}

/** @param {import("./rules.js").Entry[]} batch @param {string} html @returns {Promise<Sent>} */
async function heard(batch, html) {
  const recorded = await outbox.record(batch, outcomesOf(html));
  const here = recorded.filter((entry) => entry.camp === data.camp);
  const done = here.filter((entry) => /** @type {string} */ (entry.status) === "done");
  for (const person of touched(done, () => [])) table.sent.add(person);
  const open = recorded.length - done.length;
  if (open) said.textContent = `${open} to answer.`;
  awaitRedraw(touched(here, () => [...table.server.keys()]));
  return { status: recorded.length ? "sent" : "offline", html, again: recorded.length > 0 };
}

/** What became of each operation: they stand last. @param {string} html @returns {import("./outbox.js").Outcome[]} */
export function outcomesOf(html) {
  const part = document.createElement("template");
  const start = html.indexOf("<hx-outcome");
  part.innerHTML = start < 0 ? "" : html.slice(start);
  return [...part.content.querySelectorAll("hx-outcome")].map((each) => {
    const told = (/** @type {string} */ name) => each.getAttribute(name) ?? "";
    return { id: told("for"), outcome: told("outcome"), said: told("said"), question: each.innerHTML.trim() };
  });
}

// --- who is signed in, and what is fetched as data ---

/** @param {string} address @param {RequestInit} [options] */
const ask = (address, options = {}) => fetch(address, {
  ...options,
  headers: { Accept: "application/json", ...options.headers, "X-CSRFToken": csrf },
  signal: AbortSignal.timeout(PATIENCE),
  redirect: "manual",
}).catch(() => null);

/** @param {string} address @returns {Promise<any>} JSON, or nothing without a network */
export async function askJson(address) {
  const response = await ask(address);
  return response?.ok ? response.json().catch(() => undefined) : undefined;
}

async function renew() {
  const response = await ask(data.session);
  if (!response || response.status >= 500) return "offline";
  if (response.status === 401) return "signed-out";
  if (!response.ok) return "forbidden";
  const session = await response.json();
  if (session.person !== data.viewer) return "someone-else";
  csrf = session.csrf_token;
  return "ok";
}

/** Find out who is signed in now. */
export async function check() {
  const session = await renew();
  say(session === "ok" ? "sent" : session);
  if (session === "ok") sendNow();
}
