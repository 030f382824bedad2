// Before anything is painted: the theme that was chosen here, if one was. Only that is kept in the browser.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("polyport-theme");
  } catch {
    /* storage may be off; the system's theme it is */
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
