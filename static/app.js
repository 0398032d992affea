// On every page: what comes after the first look, the app can be installed, and nobody signs out over marks
// that were not sent.
"use strict";

(() => {
  // Scripts that nobody needs in order to read. Fetched with the page they would share a slow line with what is
  // painted, and run before it. A hidden tab paints nothing and need not wait.
  const fetchScripts = () => {
    for (const { src } of document.querySelectorAll('script[type="after-paint"]')) {
      document.head.append(Object.assign(document.createElement("script"), { src, async: false }));
    }
  };
  if (document.hidden) fetchScripts();
  else {
    new PerformanceObserver((_, observer) => {
      observer.disconnect();
      fetchScripts();
    }).observe({ type: "paint", buffered: true });
  }

  const workers = navigator.serviceWorker; // not there over plain http, but on localhost
  if (workers) {
    const updating = Boolean(workers.controller);
    // After the page has its files: the worker then finds them in the browser's cache.
    addEventListener("load", () => workers.register("/service-worker.js").then((registration) => {
      const look = () => document.hidden || registration.update().catch(() => {});
      document.addEventListener("visibilitychange", look);
      setInterval(look, 30 * 60 * 1000);
    }, () => {})); // without it the app needs the network to be opened, and that is all
    workers.addEventListener("controllerchange", () => {
      if (updating) dispatchEvent(new Event("new-version"));
    });
  }

  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".sign-out")) return;
    const unsent = Number(localStorage.getItem(`unsent ${event.target.dataset.viewer}`));
    const marks = unsent === 1 ? "1 mark is" : `${unsent} marks are`;
    if (unsent && !confirm(`${marks} not sent yet. They stay on this phone until you sign in here again. Sign out anyway?`)) {
      event.preventDefault();
    }
  });

  // The page for no network: which roll calls are on this phone.
  const list = document.getElementById("kept-roll-calls");
  if (list && "caches" in window) {
    caches.open("camp-badges").then(async (cache) => {
      for (const request of await cache.keys()) {
        const { pathname } = new URL(request.url);
        if (!/^\/roll-call\/[0-9a-f-]{36}$/.test(pathname)) continue;
        const page = new DOMParser().parseFromString(await (await cache.match(request)).text(), "text/html");
        const link = document.createElement("a");
        link.href = pathname;
        link.className = "button primary";
        link.textContent = `Roll call: ${page.querySelector("h1").textContent}`;
        list.append(link);
      }
      document.getElementById("no-roll-calls").hidden = list.children.length > 0;
    });
  }
})();
