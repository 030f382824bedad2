// Budgets: what is spent of each, and when it begins anew; and the shared ones that others go by.

import * as api from "../api.js";
import { fill, h } from "../dom.js";
import { listing, page } from "../entities.js";
import * as format from "../format.js";
import { limits } from "../kinds.js";
import { namesOf } from "../names.js";
import { ago, empty, head, meter, named, pill, table } from "../view.js";

const WORDS = {
  gateway: ["Whole gateway", "settings"],
  key: ["Key", "keys"],
  user: ["User", "users"],
  team: ["Team", "teams"],
  project: ["Project", "projects"],
  customer: ["Customer", "customers"],
  provider: ["Provider"],
  deployment: ["Deployment"],
  tag: ["Tag"],
};

const KINDS = Object.keys(WORDS).filter((kind) => kind !== "gateway");
/** What is nobody's, and is shown by its requests. */
const UNKEPT = ["provider", "deployment", "tag"];
const NONE = { max_budget: null, rpm_limit: null, tpm_limit: null, max_parallel_requests: null };

export async function render({ id, values, signal }) {
  if (id) return page("budget").render({ id, values, signal });
  const [{ results, more, gateway }, shared] = await Promise.all([
    api.get("budget/usage", {}, { signal }),
    listing("budget", {}, { nested: true }),
  ]);
  const names = Object.fromEntries(
    await Promise.all(KINDS.map(async (kind) => [kind, UNKEPT.includes(kind) ? (id) => id : await namesOf(kind)])),
  );
  const whole = limits({ ...NONE, ...gateway, max_budget: null });
  return h(
    "div",
    {},
    head({
      title: "Budgets",
      text: "What is spent of every budget in the window that runs now. A request that would go beyond one is refused before it is sent.",
    }),
    h(
      "div",
      { class: "stack" },
      more && h("p", { class: "note warn" }, "Of each kind the first 1,000 are shown."),
      whole &&
        h(
          "p",
          { class: "note" },
          "The whole gateway may take, as its configuration says: ",
          h("strong", {}, whole),
          ".",
        ),
      standing(results, { gateway: () => WORDS.gateway[0], ...names }),
      shared,
    ),
  );
}

function standing(rows, names) {
  if (!rows.length)
    return h(
      "div",
      { class: "card" },
      empty(
        "No budgets yet",
        "Give a key, team, user, project or customer a budget, or a provider, a deployment or a tag in the configuration, and it stands here with what is spent of it.",
      ),
    );
  const kind = h(
    "select",
    { id: "budget-kind", change: () => draw() },
    [["", "All"], ["gateway", WORDS.gateway[0]], ...KINDS.map((one) => [one, `${WORDS[one][0]}s`])].map(
      ([one, words]) => h("option", { value: one }, words),
    ),
  );
  const place = h("div", { class: "card flush" });
  const draw = () => {
    const some = rows.filter((row) => !kind.value || row.kind === kind.value);
    fill(
      place,
      some.length
        ? table(columns(names), some, { label: "Budgets", sort: [2, true] })
        : empty("None of them", "Nothing of this kind has a budget."),
    );
  };
  draw();
  return h(
    "section",
    { "aria-label": "What is spent" },
    h("div", { class: "filters" }, h("div", { class: "field" }, h("label", { for: kind.id }, "Whose"), kind)),
    place,
  );
}

const share = (row) => (row.max_budget > 0 ? row.spend / row.max_budget : 1);
const address = (row) =>
  UNKEPT.includes(row.kind)
    ? `#/requests?${row.kind}=${encodeURIComponent(row.id)}&span=2592000`
    : `#/${[WORDS[row.kind][1], encodeURIComponent(row.id)].filter(Boolean).join("/")}`;
const columns = (names) => [
  {
    head: "Whose",
    cell: (row) =>
      named(
        address(row),
        row.user_id ? names.user(row.user_id) : names[row.kind](row.id),
        [
          row.user_id ? `Member of ${names.team(row.id)}` : row.id ? WORDS[row.kind][0] : "As its configuration says",
          row.model && `on ${row.model}`,
          row.budget_id && `by ${row.budget_id}`,
        ]
          .filter(Boolean)
          .join(" "),
      ),
    sort: (row) => names[row.kind](row.id),
  },
  {
    head: "Window",
    cell: (row) => (row.budget_duration ? format.windowWords(row.budget_duration) : "for ever"),
    sort: (row) => row.resets_at,
  },
  {
    head: "Spent",
    cell: (row) =>
      h(
        "div",
        { class: "field" },
        h("span", { class: "num" }, `${format.usd(row.spend)} of ${format.exactUsd(row.max_budget)}`),
        meter(row.spend, row.max_budget),
      ),
    sort: share,
  },
  {
    head: "State",
    cell: (row) =>
      row.spend >= row.max_budget
        ? pill("bad", "Used up")
        : row.soft_budget !== null && row.spend >= row.soft_budget
          ? pill("warn", "Warned")
          : share(row) > 0.8
            ? pill("warn", "Nearly used up")
            : pill("good", `${format.usd(row.max_budget - row.spend)} left`),
    sort: share,
  },
  {
    head: "Begins anew",
    cell: (row) =>
      row.resets_at ? [ago(row.resets_at), h("span", { class: "under" }, format.whenYear(row.resets_at))] : "Never",
    sort: (row) => row.resets_at,
  },
];
