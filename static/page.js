// @ts-nocheck -- an ordinary script of every page; the roll call's modules alone are typed
// What htmx leaves to the page: say what went wrong, leave with a session that ended, keep the keyboard's place.
(() => {
  const problem = document.getElementById("problem");
  let byKeyboard = false;

  document.addEventListener("click", (event) => {
    byKeyboard = event.detail === 0;
  }, true);

  // No answer came. What is hidden, such as the live stream, comes back by itself, so its losses are not worth a word.
  document.addEventListener("htmx:error", (event) => {
    if (event.detail?.ctx && !event.target.hidden) {
      problem.textContent = "No connection: the last step was not saved. Please try again.";
    }
  });

  // An answer came that is no success. A 409 is shown where it belongs; ours are short and plain.
  document.addEventListener("htmx:response:error", (event) => {
    const { response, text } = event.detail.ctx;
    if (response.status === 409 || response.status === 401) return;
    const plain = response.headers.get("Content-Type")?.startsWith("text/plain");
    problem.textContent = plain ? text : "The server cannot be reached. Nothing was saved. Please try again.";
  });

  // The session ended, here or on another device: what is private must not stay on the screen.
  document.addEventListener("htmx:sse:error", (event) => {
    if (event.detail.status === 401) location.reload();
  });

  document.addEventListener("htmx:after:swap", (event) => {
    const { response, target } = event.detail?.ctx ?? {};
    if (!response || response.status >= 400 || event.target.hidden) return;
    problem.textContent = "";
    // The button that was pressed is gone with its row; go on from the row rather than from the top.
    if (byKeyboard && target?.id?.startsWith("person-")) document.getElementById(target.id)?.focus();
  });
})();
