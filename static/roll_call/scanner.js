// Marking by the QR code of a card, with the phone's camera. The reader is fetched when it is first wanted.
import { htmx } from "./htmx.js";
import { byId, data, list } from "./page.js";
import { aboutOf, byCard, standing } from "./rows.js";

const OURS = "CAMP-BADGES:";
const SAME = 5000; // milliseconds in which the same card before the camera is the same scan

const dialog = /** @type {HTMLDialogElement} */ (byId("scanner"));
const told = /** @type {HTMLElement} */ (dialog.querySelector(".scanned"));
const video = /** @type {HTMLVideoElement} */ (dialog.querySelector("video"));
/** @type {any} */
let reader;
let last = { text: "", at: 0 };
let refusal = "";

/** @param {string} text @param {string} kind */
function say(text, kind = "") {
  told.textContent = text;
  told.dataset.kind = kind;
}

function load() {
  if ("QrScanner" in window) return Promise.resolve();
  return new Promise((done, failed) => {
    const script = document.createElement("script");
    Object.assign(script, { src: data.scanner, onload: done, onerror: failed });
    document.head.append(script);
  });
}

/** What the square on the screen shows. @param {HTMLVideoElement} video */
function square({ videoWidth, videoHeight }) {
  const size = Math.min(videoWidth, videoHeight);
  const scaled = Math.min(size, 640);
  const corner = { x: (videoWidth - size) / 2, y: (videoHeight - size) / 2 };
  return { ...corner, width: size, height: size, downScaledWidth: scaled, downScaledHeight: scaled };
}

async function open() {
  dialog.showModal();
  last = { text: "", at: 0 };
  say("Hold the card’s code in front of the camera.");
  const settings = { preferredCamera: "environment", returnDetailedScanResult: true, maxScansPerSecond: 10, calculateScanRegion: square };
  try {
    await load();
    const { QrScanner } = /** @type {any} */ (window);
    reader ??= new QrScanner(video, (/** @type {{data: string}} */ scan) => scanned(scan.data), settings);
    await reader.start().catch(() => reader.start()); // a camera that another app just let go may need a second try
  } catch {
    say("The camera cannot be used here. Close this, and type the book number from the card instead.", "refused");
  }
}

/** @param {string} text */
async function scanned(text) {
  const isSame = text === last.text && Date.now() - last.at < SAME;
  last = { text, at: Date.now() };
  if (isSame) return;
  if (!text.startsWith(OURS)) return say("This is not a Camp Badges card.", "refused");
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const hex = [...new Uint8Array(digest).slice(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const person = byCard(hex) ?? (await ask(text, hex));
  if (!person) return say(refusal, "refused");
  const before = standing(person).state;
  await htmx.ajax("POST", `${data.people}${person}`, { source: list.querySelector("form"), values: { state: "present", card: text } });
  const { name } = aboutOf(person);
  say(before === "present" ? `${name} is present already.` : `${name} is present.`, "done");
  navigator.vibrate?.(80);
}

/** A card this phone does not know: somebody's of elsewhere, a replaced one, or none of ours. @param {string} card @param {string} hex */
async function ask(card, hex) {
  refusal = "This phone does not know this card, and there is no connection to ask. Mark by name or book number.";
  await htmx.ajax("POST", data.cards, { source: told, values: { card }, swap: "none" });
  return byCard(hex);
}

if ("mediaDevices" in navigator) { // no camera, or no https; the book number does it
  byId("scan").hidden = false;
  byId("scan").addEventListener("click", open);
  dialog.addEventListener("close", () => reader?.stop());
  told.addEventListener("htmx:response:error", (event) => {
    const { response, text } = /** @type {CustomEvent} */ (event).detail.ctx;
    if (response.status < 500) refusal = text;
  });
}
