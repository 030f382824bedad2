// Dialogs: the browser's own <dialog>, which keeps the focus inside and closes by Escape. What opened one gets the focus
// back.

import { fill, h, unique } from "./dom.js";

/**
 * Ask for something and wait for the answer.
 * `content` is nodes, or a function of `close` that returns them; `submit` is called with the form's values, and what it
 * throws is shown in the dialog, which stays. Resolves with what `submit` returned, or undefined if it was closed.
 */
export function ask({ title, content, submit, action = "Save", danger = false, cancel = "Cancel", small = false }) {
  return new Promise((resolve) => {
    const heading = unique("dialog");
    const wrong = h("p", { class: "wrong", role: "alert" });
    const act = submit && h("button", { class: danger ? "btn danger" : "btn main", type: "submit" }, action);
    let result;
    const close = () => box.close();
    const form = h(
      "form",
      {
        method: "dialog",
        novalidate: true,
        submit: (event) => {
          event.preventDefault();
          send();
        },
      },
      h(
        "div",
        { class: "dialog-head" },
        h("h2", { id: heading }, title),
        h("button", { class: "btn quiet tiny", type: "button", "aria-label": "Close", click: close }, "×"),
      ),
      h("div", { class: "dialog-body" }, typeof content === "function" ? content(close) : content, wrong),
      h(
        "div",
        { class: "dialog-foot" },
        h("button", { class: "btn", type: "button", click: close }, submit ? cancel : "Done"),
        act,
      ),
    );
    const box = h("dialog", { class: small ? "small" : null, "aria-labelledby": heading }, form);

    async function send() {
      if (!act || act.disabled) return;
      fill(wrong);
      act.disabled = true;
      try {
        result = await submit(form);
        close();
      } catch (error) {
        fill(wrong, error.message);
        error.field?.focus();
        if (!error.field) wrong.scrollIntoView({ block: "nearest" });
      } finally {
        act.disabled = false;
      }
    }

    const opener = document.activeElement;
    box.addEventListener("close", () => {
      box.remove();
      if (opener?.isConnected) opener.focus();
      resolve(result);
    });
    document.body.append(box);
    box.showModal();
    (
      box.querySelector("[autofocus]") ??
      box.querySelector(".dialog-body :is(input, select, textarea, button)") ??
      box.querySelector(".dialog-foot .btn")
    ).focus();
  });
}

/** Ask whether something is really wanted. With `word`, it must be typed. Resolves to true or false. */
export async function confirm({ title, text, action, word, work }) {
  const input = word && h("input", { id: unique("word"), autocomplete: "off", spellcheck: "false", autofocus: true });
  const done = await ask({
    title,
    action,
    danger: true,
    small: true,
    content: [
      h("p", {}, text),
      input &&
        h(
          "div",
          { class: "field" },
          h("label", { for: input.id }, "Type “", h("span", { class: "mono" }, word), "” to confirm"),
          input,
        ),
    ],
    submit: async () => {
      if (input && input.value.trim() !== word)
        throw Object.assign(new Error(`Type ${word} to confirm.`), { field: input });
      await work();
      return true;
    },
  });
  return done === true;
}
