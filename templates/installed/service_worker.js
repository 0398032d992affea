{# The addresses of the static files hold their contents, so any change of them makes this a new worker. #}
// Keeps what the roll call needs without a network: static files, the opened roll calls, the offline page.
"use strict";

const CACHE = "camp-badges";
const FILES = {{ files | tojson }}; // for everybody
const ROLL_CALL_FILES = {{ roll_call_files | tojson }}; // for who calls the roll
const OFFLINE = {{ offline | tojson }};
const POLICY = {{ policy | tojson }};
const ROLL_CALL = /^\/roll-call\/[0-9a-f-]{36}$/;
const PATIENCE = 4000; // milliseconds until a kept page is shown instead of one that does not come

const open = () => caches.open(CACHE);
const pathOf = (request) => new URL(request.url).pathname;

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));

async function install() {
  const cache = await open();
  const pages = (await cache.keys()).some((request) => ROLL_CALL.test(pathOf(request)));
  await keepFiles(pages ? [...FILES, ...ROLL_CALL_FILES] : FILES);
  await cache.add(OFFLINE);
  await self.skipWaiting(); // pages come from the network anyway; see "activate" for the kept ones
}

// What is named by its content is never stale, so the browser's own copy will do.
async function keepFiles(files) {
  const cache = await open();
  const request = (file) => new Request(file, { cache: file.includes("?v=") ? "force-cache" : "no-cache" });
  await Promise.all(files.map(async (file) => (await cache.match(file)) ?? cache.add(request(file))));
}

// The kept pages are fetched anew, so that they go with the new files. Where that fails they stay as they
// are, and so do the files they name.
async function activate() {
  await self.clients.claim();
  const cache = await open();
  const keys = await cache.keys();
  const pages = keys.filter((request) => ROLL_CALL.test(pathOf(request)));
  await Promise.all(pages.map((request) => fetch(pathOf(request)).then((page) => keep(pathOf(request), page)).catch(() => {})));
  const texts = await Promise.all(pages.map(async (request) => (await cache.match(request)).text()));
  for (const request of keys) {
    const { pathname, search } = new URL(request.url);
    const named = FILES.concat(ROLL_CALL_FILES).includes(pathname + search) || texts.some((text) => text.includes(pathname + search));
    if (pathname.startsWith("/static/") && !named) await cache.delete(request);
  }
}

async function keep(path, response) {
  if (response.ok && !response.redirected && response.type === "basic") await (await open()).put(path, response.clone());
}

// A roll call is open. It may have been opened before there was a worker to keep it.
self.addEventListener("message", (event) => event.waitUntil(keepGiven(event)));

async function keepGiven({ data: { path, html }, ports: [done] }) {
  const cache = await open();
  const isKept = await cache.match(path);
  if (!isKept && !html) await keep(path, await fetch(path));
  else if (!isKept) {
    const headers = { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY };
    await cache.put(path, new Response(html, { headers }));
  }
  await keepFiles(ROLL_CALL_FILES);
  done.postMessage("kept");
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== location.origin) return;
  // Back to what a form led to: only the browser can ask whether the form is to be sent again.
  if (request.isHistoryNavigation && request.method === "POST") return;
  if (request.mode === "navigate") event.respondWith(navigate(event, url));
  else if (request.method === "GET" && url.pathname.startsWith("/static/")) event.respondWith(file(request));
});

const file = async (request) => (await (await open()).match(request)) ?? fetch(request);

async function navigate(event, url) {
  const cache = await open();
  const kept = ROLL_CALL.test(url.pathname) ? await cache.match(url.pathname) : undefined;
  try {
    const patience = kept ? new Promise((_, fail) => setTimeout(fail, PATIENCE)) : new Promise(() => {});
    const answer = fetch(event.request).then(async (response) => {
      await learn(event.request, url, response);
      return response;
    });
    event.waitUntil(answer.catch(() => {})); // it may still come, and be kept, after the patience has ended
    const response = await Promise.race([answer, patience]);
    return kept && response.status >= 500 ? kept : response;
  } catch {
    if (kept) return kept;
    if (event.request.method === "GET" && ["/", "/roll-call/"].includes(url.pathname)) {
      const last = (await cache.keys()).map(pathOf).filter((path) => ROLL_CALL.test(path)).at(-1);
      if (last) return Response.redirect(last);
    }
    return cache.match(OFFLINE);
  }
}

// What a page from the network means for what is kept. When another person may have come, or the last one
// has gone, the kept lists go.
async function learn(request, url, response) {
  const cache = await open();
  if (request.method === "POST" && ["/sign-in", "/sign-out"].includes(url.pathname) && response.type === "opaqueredirect") {
    for (const each of await cache.keys()) if (ROLL_CALL.test(pathOf(each))) await cache.delete(each);
  } else if (request.method === "GET" && ROLL_CALL.test(url.pathname) && !url.search) {
    await cache.delete(url.pathname); // the last one kept is the last one opened
    await keep(url.pathname, response);
  }
}
