// The line that says what has reached the server, and what one can do about the rest.
import * as outbox from "./outbox.js";
import { show } from "./list.js";
import { button, byId, data, problem } from "./page.js";
import { rowOf, table } from "./rows.js";

export const link = { status: "sent", connected: true };

let shown = "";

export function showLink() {
  const { status, connected } = link;
  const entries = table.entries.map((entry) => [entry.seq, entry.status]);
  const key = JSON.stringify([status, connected, navigator.onLine, entries]);
  if (key === shown) return; // a button that is being pressed must not be replaced
  shown = key;
  const line = byId("link");
  line.hidden = !outbox.isOpen() && connected; // without an outbox nothing waits
  const waiting = table.entries.filter((entry) => entry.status === "waiting").length;
  const open = table.entries.filter((entry) => entry.status !== "waiting");
  const parts = [...partsOf(status, waiting), ...toAnswer(open)];
  line.classList.toggle("waiting", waiting > 0);
  line.replaceChildren(...parts.flatMap((part) => [part, " "]));
  sayRefusal(open.find((entry) => !entry.order.person));
}

/** @param {string} status @param {number} waiting how many entries @returns {(Node | string)[]} */
function partsOf(status, waiting) {
  const marks = `${waiting} waiting`;
  const isOnline = link.connected && navigator.onLine;
  if (status === "signed-out") return [signIn(waiting ? `Sign in to send (${marks})` : "Sign in again")];
  if (status === "someone-else") return [lines("Somebody else is signed in", `${marks} for you`)];
  if (status === "forbidden") return [lines("Your account may not mark", marks)];
  if (status === "trouble") return [lines("Not accepted", `${marks}, kept here`), sendNow()];
  if (!waiting) return [isOnline ? "All sent" : "No connection"];
  const way = status === "offline" || !isOnline ? "No connection" : "On its way";
  return [lines(way, `${marks}, kept here`), sendNow()];
}

/** @param {import("./rules.js").Entry[]} open */
function toAnswer(open) {
  const first = open.find(({ order }) => order.person)?.order.person;
  const showFirst = () => {
    const row = rowOf(first ?? ""); // as it is then: rows are drawn anew
    if (row) show(row);
  };
  return first ? [button(`${open.length} to answer`, showFirst)] : [];
}

/** Of the whole list there is no row to say it on. @param {import("./rules.js").Entry | undefined} refused */
function sayRefusal(refused) {
  if (!refused) return;
  problem.replaceChildren(`Not done: ${refused.said} `, button("OK", () => {
    problem.replaceChildren();
    outbox.drop([refused]);
  }));
}

function sendNow() {
  const made = document.createElement("button");
  made.setAttribute("form", "outbox");
  Object.assign(made, { className: "quiet", textContent: "Send now" });
  return made;
}

/** @param {...string} texts */
function lines(...texts) {
  const made = document.createElement("span");
  made.append(texts[0], document.createElement("br"), texts[1]);
  return made;
}

/** @param {string} text */
function signIn(text) {
  const made = document.createElement("a");
  made.href = `${data.signIn}?next=${encodeURIComponent(location.pathname)}`;
  made.textContent = text;
  return made;
}
