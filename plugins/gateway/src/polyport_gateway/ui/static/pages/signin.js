// Signing in: with a key, with a name and a password where there is a directory, or at somebody else's door.

import * as api from "../api.js";
import { fill, h, mark } from "../dom.js";

export function render({ providers, entered, theme }) {
  const people = providers.filter((one) => one.kind === "ldap");
  const doors = providers.filter((one) => one.kind === "oidc");
  return h(
    "main",
    { class: "sign", id: "main", tabindex: "-1" },
    h(
      "div",
      {},
      h("div", { class: "sign-head" }, h("span", { class: "brand" }, mark(), "polyport"), theme),
      h(
        "div",
        { class: "card" },
        h("h1", {}, "Sign in"),
        doors.length > 0 &&
          h(
            "div",
            { class: "form" },
            doors.map((one) => h("a", { class: "btn", href: api.oidcAddress(one.id) }, `Continue with ${one.title}`)),
          ),
        doors.length > 0 && h("hr"),
        people.map((one) => [
          form(
            `Sign in with ${one.title}`,
            [
              ["username", "User name", "text", "username"],
              ["password", "Password", "password", "current-password"],
            ],
            entered,
            { provider: one.id },
          ),
          h("hr"),
        ]),
        form(
          "Sign in with a key",
          [
            [
              "key",
              "Key",
              "password",
              "off",
              "A master key, or a virtual key with a role. It is exchanged for a session and not kept in this browser.",
            ],
          ],
          entered,
        ),
      ),
    ),
  );
}

function form(label, inputs, entered, more = {}) {
  const wrong = h("p", { class: "wrong", role: "alert" });
  const button = h("button", { class: "btn main", type: "submit" }, label);
  const fields = inputs.map(([name, title, type, complete, hint]) => {
    const input = h("input", {
      id: more.provider ? `sign-${name}-${more.provider}` : `sign-${name}`,
      name,
      type,
      autocomplete: complete,
      required: true,
      spellcheck: "false",
      autocapitalize: "none",
      "aria-describedby": hint ? `sign-${name}-hint` : null,
    });
    return h(
      "div",
      { class: "field" },
      h("label", { for: input.id }, title),
      input,
      hint && h("span", { class: "hint", id: `sign-${name}-hint` }, hint),
    );
  });
  return h(
    "form",
    {
      class: "form",
      "aria-label": label,
      submit: async (event) => {
        event.preventDefault();
        fill(wrong);
        button.disabled = true;
        const given = Object.fromEntries(
          [...new FormData(event.target)].map(([name, value]) => [name, name === "password" ? value : value.trim()]),
        );
        try {
          await api.signIn({ ...given, ...more });
          await entered();
        } catch (error) {
          fill(wrong, error.status === 401 ? `That did not work: ${error.message}` : error.message);
          event.target.querySelector("input").focus();
        } finally {
          button.disabled = false;
        }
      },
    },
    fields,
    wrong,
    button,
  );
}
