// The audit log: who changed what, and what was there before and after.

import * as api from "../api.js";
import { h } from "../dom.js";
import * as format from "../format.js";
import { namesOf } from "../names.js";
import { empty, growing, head, into, table, time } from "../view.js";

const PAGE = 50;
const KINDS = [
  ["", "Everything"],
  ["key", "Keys"],
  ["user", "Users"],
  ["team", "Teams"],
  ["project", "Projects"],
  ["customer", "Customers"],
  ["budget", "Budgets"],
  ["session", "Signing in"],
  ["config", "Configuration"],
];

export async function render({ values, signal }) {
  const keyName = await namesOf("key");
  const body = h("div", { class: "card flush" });
  const kind = h(
    "select",
    { id: "audit-kind", change: apply },
    KINDS.map(([one, words]) => h("option", { value: one, selected: one === (values.kind ?? "") }, words)),
  );
  const id = h("input", {
    id: "audit-id",
    type: "search",
    value: values.id ?? "",
    placeholder: "Whole id",
    autocomplete: "off",
    spellcheck: "false",
    change: apply,
  });
  const asked = () =>
    Object.fromEntries(
      [
        ["kind", kind.value],
        ["id", id.value.trim()],
      ].filter(([, value]) => value),
    );
  function apply() {
    history.replaceState(null, "", `#/audit?${new URLSearchParams(asked())}`);
    return into(body, rows, { quiet: body.childElementCount > 0 });
  }
  const rows = () =>
    growing(
      async (before) => {
        const { changes } = await api.get("audit", { ...asked(), limit: PAGE, before }, { signal });
        return { rows: changes, next: changes.length === PAGE && changes.at(-1).id };
      },
      (found) => table(columns(keyName), found, { label: "Changes" }),
      empty("No changes", "What is changed here or over HTTP stands in this list."),
    );
  await apply();
  return h(
    "div",
    {},
    head({
      title: "Audit log",
      text: "Every change: who made it, and what was there before and after. No secret is in it.",
    }),
    h(
      "form",
      {
        class: "filters",
        role: "search",
        "aria-label": "Filter changes",
        submit: (event) => {
          event.preventDefault();
          apply();
        },
      },
      h("div", { class: "field" }, h("label", { for: kind.id }, "About"), kind),
      h("div", { class: "field" }, h("label", { for: id.id }, "Id"), id),
    ),
    body,
  );
}

const columns = (keyName) => [
  { head: "Time", cell: (one) => time(one.at) },
  {
    head: "Who",
    cell: (one) => h("span", { class: "wrap" }, one.by === "master" ? "Master key" : one.by ? keyName(one.by) : "–"),
  },
  {
    head: "What",
    cell: (one) => [
      h("strong", {}, format.action(one.action)),
      h(
        "span",
        { class: "under" },
        [one.kind, one.kind === "key" ? keyName(one.entity_id) : one.entity_id].filter(Boolean).join(" "),
      ),
    ],
  },
  { head: "Before and after", cell: (one) => difference(one.before ?? {}, one.after ?? {}) },
];

const QUIET = new Set(["updated_at", "created_at"]);

/** What is not alike: a few words where there is little, folded where there is much. */
function difference(before, after) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (name) =>
      !QUIET.has(name) &&
      JSON.stringify(before[name]) !== JSON.stringify(after[name]) &&
      !(vacant(before[name]) && vacant(after[name])),
  );
  if (!names.length) return null;
  const lines = h(
    "div",
    { class: "diff small mono" },
    names.map((name) => [
      !vacant(before[name]) && h("span", { class: "del" }, `− ${name}: ${JSON.stringify(before[name])}`),
      !vacant(after[name]) && h("span", { class: "add" }, `+ ${name}: ${JSON.stringify(after[name])}`),
    ]),
  );
  return names.length <= 3 ? lines : h("details", {}, h("summary", {}, `${names.length} values`), lines);
}

const vacant = (value) =>
  value === undefined ||
  value === null ||
  value === "" ||
  value === false ||
  (typeof value === "object" && !Object.keys(value).length);
