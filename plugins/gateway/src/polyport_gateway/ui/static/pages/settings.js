// Settings: the configuration that runs, what a reload would change, and the reload.

import * as api from "../api.js";
import { confirm } from "../dialog.js";
import { fill, h } from "../dom.js";
import { say } from "../notices.js";
import { ago, card, empty, facts, head, into, table } from "../view.js";

export async function render({ signal }) {
  const body = h("div", { class: "stack" });
  const draw = async () => {
    const [running, diff] = await Promise.all([
      api.get("config", {}, { signal }),
      api.get("config/diff", {}, { signal }),
    ]);
    button.hidden = !api.isAdmin() || !running.files.length;
    return [
      state(running),
      difference(running, diff),
      notes(running, diff),
      card(
        "What runs",
        h("p", { class: "soft small" }, "Every secret is hidden."),
        h(
          "pre",
          { class: "code", tabindex: "0", role: "region", "aria-label": "The configuration that runs" },
          yaml(running.config),
        ),
      ),
    ];
  };
  const again = () => into(body, draw, { quiet: true });
  const button = h("button", { class: "btn main", type: "button", click: () => reload(again) }, "Reload the file");
  fill(body, await draw());
  return h(
    "div",
    {},
    head({
      title: "Settings",
      text: "The gateway serves by one configuration. A file that cannot be used never takes its place.",
      actions: button,
    }),
    body,
  );
}

async function reload(again) {
  let answer;
  const sure = await confirm({
    title: "Reload the configuration?",
    text: "The file is checked first. Requests on their way finish by the old configuration.",
    action: "Reload",
    work: async () => {
      answer = await api.post("config/reload");
    },
  });
  if (!sure) return;
  say(
    answer.changes.length
      ? `Reloaded: ${answer.changes.length} ${answer.changes.length === 1 ? "change" : "changes"}.`
      : "Reloaded; nothing is different.",
  );
  await again();
}

const state = (running) =>
  card(
    "State",
    facts([
      [
        "File",
        running.files.length
          ? h("span", { class: "mono" }, running.files.join(", "))
          : "None: started with models named on the command line",
      ],
      ["Loaded", ago(running.loaded_at)],
      [
        "Watched",
        running.watched ? "Yes: a change of the file is taken by itself" : "No: reload it here, or by SIGHUP",
      ],
    ]),
    running.error &&
      h("div", { class: "trouble" }, h("strong", {}, "The last reload did not come about: "), running.error),
  );

function difference(running, diff) {
  if (!running.files.length) return null;
  if (diff.error)
    return card("The file on disk", h("div", { class: "trouble" }, h("strong", {}, "It cannot be used: "), diff.error));
  if (!diff.changes.length) return card("The file on disk", h("p", { class: "note good" }, "It says what runs."));
  return h(
    "section",
    { class: "card flush" },
    h(
      "div",
      { class: "card-head" },
      h("h2", {}, "What a reload would change"),
      h(
        "span",
        { class: "soft small" },
        `${diff.changes.length} ${diff.changes.length === 1 ? "difference" : "differences"}`,
      ),
    ),
    table(
      [
        { head: "Where", cell: (one) => h("code", { class: "wrap" }, one.path) },
        {
          head: "Runs and file",
          cell: (one) =>
            h(
              "div",
              { class: "diff mono small" },
              one.before !== null && one.before !== undefined && h("span", { class: "del" }, `− ${plain(one.before)}`),
              one.after !== null && one.after !== undefined && h("span", { class: "add" }, `+ ${plain(one.after)}`),
            ),
        },
      ],
      diff.changes,
      { label: "What a reload would change" },
    ),
  );
}

const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));

function notes(running, diff) {
  const waiting = [...new Set([...(running.needs_restart ?? []), ...(diff.needs_restart ?? [])])];
  return [
    waiting.length > 0 && h("p", { class: "note warn" }, `These wait for a restart: ${waiting.join(", ")}.`),
    running.notes?.length > 0 &&
      card(
        "Notes",
        h(
          "ul",
          {},
          running.notes.map((one) => h("li", { class: "wrap" }, one)),
        ),
      ),
  ];
}

/** Plain data as YAML, as people write it. */
export function yaml(value, depth = 0) {
  const pad = "  ".repeat(depth);
  if (Array.isArray(value)) {
    if (!value.length) return "[]";
    return value.map((one) => `${pad}- ${yaml(one, depth + 1).replace(/^\s+/, "")}`).join("\n");
  }
  if (value && typeof value === "object") {
    const names = Object.keys(value);
    if (!names.length) return "{}";
    return names
      .map((name) => {
        const inner = value[name];
        const nested = inner && typeof inner === "object" && Object.keys(inner).length;
        return `${pad}${scalar(name)}:${nested ? `\n${yaml(inner, depth + 1)}` : ` ${yaml(inner)}`}`;
      })
      .join("\n");
  }
  return scalar(value);
}

const scalar = (value) =>
  typeof value === "string" &&
  (value === "" || /[:#{}[\],&*?|>'"%@`\n]|^[\s-]|\s$|^(true|false|null|yes|no|~|[\d.+-]+)$/i.test(value)) &&
  !/^[\w./-]+:\/\/[\w./-]*$/.test(value)
    ? JSON.stringify(value)
    : String(value);
