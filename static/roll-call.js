// What htmx leaves to the roll call page: say when a mark was not saved, and keep the keyboard's place.
(() => {
  const unsent = document.getElementById("unsent");
  let byKeyboard = false;

  document.addEventListener("click", (event) => {
    byKeyboard = event.detail === 0;
  }, true);

  document.addEventListener("htmx:error", () => {
    unsent.hidden = false;
  });

  document.addEventListener("htmx:after:swap", (event) => {
    unsent.hidden = true;
    // The button that was pressed is gone with its row; go on from the row rather than from the top.
    const pressed = event.detail?.ctx?.target?.id ?? "";
    if (byKeyboard && pressed.startsWith("person-")) document.getElementById(pressed)?.focus();
  });
})();
