// Marking by the QR code of a card, with the phone's camera. The reader is fetched when it is first wanted.
"use strict";

(() => {
  const page = document.getElementById("roll-call");
  const dialog = document.getElementById("scanner");
  const open = document.getElementById("scan");
  const video = dialog.querySelector("video");
  const told = dialog.querySelector(".scanned");
  const OURS = "CAMP-BADGES:";
  const SAME = 5000; // milliseconds in which the same card before the camera is the same scan
  let reader;
  let last = { text: "", at: 0 };

  if (!navigator.mediaDevices?.getUserMedia) return; // no camera, or no https; the book number does it
  open.hidden = false;

  const load = () => new Promise((done, failed) => {
    if (window.QrScanner) return done();
    const script = document.createElement("script");
    script.src = page.dataset.scanner;
    script.onload = done;
    script.onerror = failed;
    document.head.append(script);
  });

  const say = (text, kind = "") => {
    told.textContent = text;
    told.dataset.kind = kind;
  };

  // What the square on the screen shows.
  const seen = ({ videoWidth, videoHeight }) => {
    const size = Math.min(videoWidth, videoHeight);
    const scaled = Math.min(size, 640);
    return {
      x: (videoWidth - size) / 2, y: (videoHeight - size) / 2, width: size, height: size,
      downScaledWidth: scaled, downScaledHeight: scaled,
    };
  };

  open.addEventListener("click", async () => {
    dialog.showModal();
    last = { text: "", at: 0 };
    say("Hold the card’s code in front of the camera.");
    try {
      await load();
      reader ??= new window.QrScanner(video, ({ data }) => scanned(data), {
        preferredCamera: "environment", returnDetailedScanResult: true, maxScansPerSecond: 10, calculateScanRegion: seen,
      });
      await reader.start().catch(() => reader.start()); // a camera that another app just let go may need a second try
    } catch {
      say("The camera cannot be used here. Close this, and type the book number from the card instead.", "refused");
    }
  });
  dialog.addEventListener("close", () => reader?.stop());

  async function scanned(text) {
    if (text === last.text && Date.now() - last.at < SAME) {
      last.at = Date.now();
      return;
    }
    last = { text, at: Date.now() };
    if (!text.startsWith(OURS)) return say("This is not a Camp Badges card.", "refused");
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    const hex = [...new Uint8Array(digest).slice(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const person = window.rollCall.byCard(hex) ?? (await ask(text));
    if (!person) return;
    const before = window.rollCall.standing(person).state;
    await window.rollCall.mark(person, "present", { card: text });
    const name = window.rollCall.nameOf(window.rollCall.rowOf(person));
    say(before === "present" ? `${name} is present already.` : `${name} is present.`, "done");
    navigator.vibrate?.(80);
  }

  // A card this phone does not know: somebody's of elsewhere, a replaced one, or none of ours.
  async function ask(text) {
    const response = await window.outbox.ask(page.dataset.cards, { method: "POST", body: JSON.stringify({ card: text }) });
    const answer = await response?.json().catch(() => null);
    if (response?.ok) {
      window.rollCall.take(answer.rows[0], answer.at);
      return answer.person;
    }
    const unknown = "This phone does not know this card, and there is no connection to ask. Mark by name or book number.";
    say(response && response.status < 500 && answer ? answer.detail : unknown, "refused");
    return null;
  }
})();
