// A button that copies what a field holds. Browsers allow it over HTTPS and on localhost alone.
(() => {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("[data-copies]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const field = document.getElementById(button.dataset.copies);
      const said = document.getElementById("copied");
      try {
        await navigator.clipboard.writeText(field.value);
        said.textContent = "Copied.";
      } catch {
        field.select();
        said.textContent = "The browser does not allow it; copy the marked text yourself.";
      }
    });
  }
})();
