// What is said in passing: what was done, politely; what went wrong, at once. Both regions are in the page from the
// beginning, so that screen readers hear what is put into them.

import { h } from "./dom.js";

/** Say what was done; it goes away by itself. */
export const say = (text) => show("notices", text, 6000);

/** Say what went wrong; it stays until it is closed. */
export const complain = (text) => show("alerts", text, 0);

function show(region, text, after) {
  const place = document.getElementById(region);
  const close = () => note.remove();
  const note = h(
    "div",
    { class: "notice" },
    h("span", {}, text),
    h("button", { type: "button", "aria-label": "Close this message", click: close }, "×"),
  );
  while (place.childElementCount >= 3) place.firstChild.remove();
  place.append(note);
  if (after) setTimeout(close, after);
}

/** Do something, and say it if it fails. Returns whether it went well. */
export async function trying(work) {
  try {
    await work();
    return true;
  } catch (error) {
    complain(error.message);
    return false;
  }
}
