// The list of a kind, and the page of one of it: made, changed, blocked, removed here. What is special to a kind is in
// kinds.js.

import * as api from "./api.js";
import { chart } from "./charts.js";
import { ask, confirm } from "./dialog.js";
import { fill, h, icon } from "./dom.js";
import * as format from "./format.js";
import { fields } from "./forms.js";
import { KINDS, limitFacts, policyFacts, status } from "./kinds.js";
import { all, called, forget, namesOf } from "./names.js";
import { complain, say, trying } from "./notices.js";
import * as spend from "./spend.js";
import { ago, card, copying, empty, facts, head, into, meter, named, table, tags, time } from "./view.js";

/** Rows that are drawn at once. */
const SHOWN = 200;
/** Keys that the page of their team, user or project shows. */
const MOST_KEYS = 10;
const idOf = (kind, row) => row[`${kind}_id`];
const mayMake = (kind) =>
  api.isAdmin() || (kind === "key" && api.mayChange()) || (kind === "project" && api.session.role === "team_admin");

/** Do something once at a time: a second click while a form is fetched opens no second one. */
function single(work) {
  let running = false;
  return async () => {
    if (running) return;
    running = true;
    try {
      await work();
    } finally {
      running = false;
    }
  };
}

/** The page of a kind: the list, or one of it. */
export const page = (kind) => ({
  render: ({ id, values, signal }) => (id ? one(kind, id, signal) : listing(kind, values)),
});

// --- the list ---

export async function listing(kind, values = {}, { nested = false } = {}) {
  const about = KINDS[kind];
  forget(kind);
  const body = h("div", {});
  const again = () => into(body, () => rowsOf(kind, values, add), { quiet: true });
  const add = single(async () => {
    if (await make(kind)) again();
  });
  fill(body, await rowsOf(kind, values, add));
  const button =
    mayMake(kind) && h("button", { class: "btn main", type: "button", click: add }, icon("plus"), about.make);
  if (nested)
    return h(
      "section",
      { class: "nested" },
      h(
        "div",
        { class: "head" },
        h("div", {}, h("h2", {}, about.title), h("p", {}, about.text)),
        h("div", { class: "actions" }, button),
      ),
      body,
    );
  return h("div", {}, head({ title: about.title, text: about.text, actions: button }), body);
}

async function rowsOf(kind, values, add) {
  const about = KINDS[kind];
  const [rows, columns, spent] = await Promise.all([all(kind), about.columns(), spentBy(kind)]);
  if (!rows.length)
    return h(
      "div",
      { class: "card" },
      empty(
        `No ${about.title.toLowerCase()} yet`,
        about.quiet,
        mayMake(kind) && h("button", { class: "btn", type: "button", click: add }, about.make),
      ),
    );
  const every = [
    { head: "Name", cell: about.name, sort: (row) => called(kind, row) },
    ...columns,
    spent && {
      head: "Spent, 30 days",
      right: true,
      cell: (row) => (spent.has(idOf(kind, row)) ? format.usd(spent.get(idOf(kind, row))) : null),
      sort: (row) => spent.get(idOf(kind, row)) ?? 0,
    },
    about.status,
  ].filter(Boolean);
  const place = h("div", {});
  const told = h("p", { class: "sr", role: "status" });
  let most = SHOWN;
  const search = h("input", {
    type: "search",
    id: `search-${kind}`,
    placeholder: "Name, id or tag",
    value: values.search ?? "",
    autocomplete: "off",
    spellcheck: "false",
    input: () => {
      most = SHOWN;
      draw();
      told.textContent = `${found().length} shown`;
    },
  });
  const state =
    about.status &&
    h(
      "select",
      {
        id: `state-${kind}`,
        change: () => {
          draw();
          told.textContent = `${found().length} shown`;
        },
      },
      [
        ["", "All"],
        ["active", "Active"],
        ["blocked", "Blocked"],
        ...(kind === "key" ? [["expired", "Expired"]] : []),
      ].map(([one, words]) => h("option", { value: one }, words)),
    );
  const found = () =>
    rows.filter(
      (row) => matches(kind, row, search.value.trim().toLowerCase()) && (!state?.value || stateOf(row) === state.value),
    );
  function draw() {
    const some = found();
    fill(
      place,
      some.length
        ? [
            table(every, some.slice(0, most), { label: about.title, sort: [0, false] }),
            some.length > most &&
              h(
                "div",
                { class: "more" },
                h(
                  "button",
                  {
                    class: "btn",
                    type: "button",
                    click: () => {
                      most += SHOWN;
                      draw();
                    },
                  },
                  `Show more of ${format.count(some.length)}`,
                ),
              ),
          ]
        : empty("None of them fits", "Take a part of what you look for, or clear the filters."),
    );
  }
  draw();
  return [
    h(
      "div",
      { class: "filters" },
      h("div", { class: "field" }, h("label", { for: search.id }, "Search"), search),
      state && h("div", { class: "field" }, h("label", { for: state.id }, "Status"), state),
    ),
    told,
    h("div", { class: "card flush" }, place),
  ];
}

const stateOf = (row) =>
  row.blocked ? "blocked" : row.expires && row.expires <= Date.now() / 1000 ? "expired" : "active";
const matches = (kind, row, text) =>
  !text ||
  [idOf(kind, row), called(kind, row), row.key_name, row.user_email, ...(row.tags ?? [])].some((one) =>
    one?.toLowerCase().includes(text),
  );

/** Id -> what was spent in 30 days; null for what no report is about. */
async function spentBy(kind) {
  if (kind === "budget") return null;
  const { start } = spend.span("30d");
  const rows = await spend.sums({ start }, { group_by: kind });
  return new Map(rows.map((row) => [row[kind], row.cost]));
}

// --- making and changing ---

/** Ask for a new one, and make it. Returns it, or undefined. A key's text is shown, this once. */
export async function make(kind) {
  const about = KINDS[kind];
  let form;
  try {
    form = fields(await about.fields(null));
  } catch (error) {
    return complain(error.message);
  }
  const made = await ask({
    title: about.make,
    content: form.nodes,
    action: about.make.replace("Add a user", "Add").replace("Add a customer", "Add"),
    submit: () => api.post(about.path, form.read({ all: true })),
  });
  if (!made) return undefined;
  forget(kind);
  if (kind === "key") await show(made, "Your new key");
  else say(`The ${about.one} ${called(kind, made)} was made.`);
  return made;
}

/** Show a key's text: once, since the gateway does not keep it. */
function show(made, title) {
  return ask({
    title,
    small: true,
    content: [
      h(
        "p",
        {},
        "Copy it now and keep it safe. It is shown this once: the gateway keeps only a digest, and can make a new text, but not show this one again.",
      ),
      h(
        "div",
        { class: "secret" },
        h("code", { id: "new-key", tabindex: "0", "aria-label": "The key" }, made.key),
        copying(made.key),
      ),
    ],
  });
}

async function change(kind, row, done) {
  const about = KINDS[kind];
  const form = fields(await about.fields(row), row);
  const changed = await ask({
    title: `Change ${called(kind, row)}`,
    content: form.nodes,
    submit: async () => {
      const values = form.read();
      if (!Object.keys(values).length) return null;
      return api.post(`${kind}/update`, { [`${kind}_id`]: idOf(kind, row), ...values });
    },
  });
  if (changed) {
    forget(kind);
    say("Saved.");
    done();
  }
}

async function rotate(row, done) {
  const name = called("key", row);
  let made;
  const sure = await confirm({
    title: `Make a new text for ${name}?`,
    text: "The old text is refused from now on. Limits, spending and everything else stay.",
    action: "Make a new text",
    work: async () => {
      made = await api.post("key/rotate", { key_id: row.key_id });
    },
  });
  if (!sure) return;
  await show(made, `The new text of ${name}`);
  done();
}

async function block(kind, row, done) {
  const name = called(kind, row);
  const send = () => api.post(`${kind}/update`, { [`${kind}_id`]: idOf(kind, row), blocked: !row.blocked });
  const sure = row.blocked
    ? await trying(send)
    : await confirm({
        title: `Block ${name}?`,
        text: "Its requests are refused until it is let in again. Nothing is deleted.",
        action: "Block",
        work: send,
      });
  if (!sure) return;
  say(row.blocked ? `${name} is let in again.` : `${name} is blocked.`);
  done();
}

async function remove(kind, row) {
  const name = called(kind, row);
  const sure = await confirm({
    title: `Delete ${name}?`,
    text: `This cannot be undone. What it spent stays in the reports.`,
    action: "Delete",
    word: name.length <= 40 ? name.trim() : idOf(kind, row),
    work: () => api.post(`${kind}/delete`, { [`${kind}_id`]: idOf(kind, row) }),
  });
  if (!sure) return;
  forget(kind);
  say(`${name} was deleted.`);
  location.hash = `#/${KINDS[kind].word}`;
}

// --- one of them ---

async function one(kind, id, signal) {
  const place = h("div", {});
  const draw = async () => {
    const about = KINDS[kind];
    const row = await api.get(`${kind}/info`, { [`${kind}_id`]: id }, { signal });
    const [known, used, money, changes, people, keys] = await Promise.all([
      about.facts(row),
      usage(kind, id, signal),
      spendOf(kind, id, signal),
      history(kind, id, signal),
      membersOf(kind, row, signal),
      keysOf(kind, id, signal),
    ]);
    const again = () => into(place, draw, { quiet: true });
    return [
      head({
        title: called(kind, row),
        crumb: [about.title, `#/${about.word}`],
        badge: about.status && status(row),
        actions: buttons(kind, row, again),
      }),
      money && money.tiles(row),
      h(
        "div",
        { class: "grid" },
        money && money.chart,
        card("Limits", used, limitsOf(about.own?.(row) ?? row)),
        card(
          "Details",
          facts([
            ...known,
            ...policyFacts(row),
            ["Tags", tags(row.tags, 50)],
            [
              "Metadata",
              Object.keys(row.metadata ?? {}).length
                ? h("code", { class: "wrap" }, JSON.stringify(row.metadata))
                : null,
            ],
            ["Made", time(row.created_at)],
            ["Changed", time(row.updated_at)],
          ]),
        ),
        people,
        keys,
        changes,
      ),
    ];
  };
  fill(place, await draw());
  return place;
}

/** Members of a team, and what each spent in its name. */
async function membersOf(kind, row, signal) {
  if (kind !== "team" || !Object.keys(row.members).length) return null;
  const [name, rows] = await Promise.all([
    namesOf("user"),
    spend.sums(spend.span("30d"), { group_by: "user", team: row.team_id }, { signal }),
  ]);
  const spent = new Map(rows.map((one) => [one.user, one.cost]));
  const members = Object.entries(row.members).map(([id, role]) => ({ id, role, cost: spent.get(id) ?? 0 }));
  return h(
    "section",
    { class: "card flush" },
    h("div", { class: "card-head" }, h("h2", {}, "Members")),
    table(
      [
        {
          head: "Member",
          cell: (one) => named(`#/users/${encodeURIComponent(one.id)}`, name(one.id)),
          sort: (one) => name(one.id),
        },
        {
          head: "May",
          cell: (one) => (one.role === "admin" ? "Admin of the team" : "Member"),
          sort: (one) => one.role,
        },
        { head: "Spent here, 30 days", right: true, cell: (one) => format.usd(one.cost), sort: (one) => one.cost },
      ],
      members,
      { label: "Members", sort: [2, true] },
    ),
  );
}

/** The keys of a team, user or project that spent most. */
async function keysOf(kind, id, signal) {
  if (!["team", "user", "project"].includes(kind)) return null;
  const [rows, sums] = await Promise.all([
    api.get("key/list", { [`${kind}_id`]: id, limit: 1000 }, { signal }),
    spend.sums(spend.span("30d"), { group_by: "key", [kind]: id }, { signal }),
  ]);
  const spent = new Map(sums.map((one) => [one.key, one.cost]));
  const keys = rows.keys.sort((a, b) => (spent.get(b.key_id) ?? 0) - (spent.get(a.key_id) ?? 0));
  return h(
    "section",
    { class: "card flush" },
    h(
      "div",
      { class: "card-head" },
      h("h2", {}, "Keys"),
      h("span", { class: "small soft" }, keys.length > MOST_KEYS ? `The first ${MOST_KEYS} of ${keys.length}` : ""),
    ),
    keys.length
      ? table(
          [
            { head: "Key", cell: KINDS.key.name },
            { head: "Spent, 30 days", right: true, cell: (row) => format.usd(spent.get(row.key_id) ?? 0) },
            KINDS.key.status,
          ],
          keys.slice(0, MOST_KEYS),
          { label: "Keys" },
        )
      : h("p", { class: "empty" }, "None yet."),
  );
}

function limitsOf(row) {
  const pairs = limitFacts(row).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return pairs.length
    ? facts(pairs)
    : h("p", { class: "soft" }, "No limits of its own. Those of its team, user and project hold nevertheless.");
}

function buttons(kind, row, again) {
  if (!mayMake(kind)) return [];
  const act = (words, work, kindOf = "btn") =>
    h("button", { class: kindOf, type: "button", click: single(() => trying(work)) }, words);
  return [
    act("Change", () => change(kind, row, again)),
    kind === "key" && act("New text", () => rotate(row, again)),
    KINDS[kind].status && act(row.blocked ? "Let in again" : "Block", () => block(kind, row, again)),
    act("Delete", () => remove(kind, row), "btn danger"),
  ];
}

/** What is used of the budgets that hold for one. */
async function usage(kind, id, signal) {
  if (kind === "budget") return null;
  const rows = (await api.get("budget/usage", { kind, id }, { signal }).catch(() => ({ results: [] }))).results;
  const user = rows.some((row) => row.user_id) && (await namesOf("user"));
  return rows.map((row) =>
    h(
      "div",
      { class: "used" },
      h(
        "div",
        { class: "card-head" },
        h("span", { class: "num" }, [
          `${format.usd(row.spend)} of ${format.exactUsd(row.max_budget)}`,
          row.model && ` on ${row.model}`,
          row.user_id && ` by ${user(row.user_id)}`,
        ]),
        h("span", { class: "small soft" }, row.resets_at ? ["begins anew ", ago(row.resets_at)] : "never reset"),
      ),
      meter(row.spend, row.max_budget),
    ),
  );
}

async function spendOf(kind, id, signal) {
  if (kind === "budget") return null;
  const [rows, [sum]] = await Promise.all([
    spend.series("30d", { [kind]: id }, { signal }),
    spend.sums(spend.span("30d"), { [kind]: id }, { signal }),
  ]);
  const points = spend.steps("30d");
  const all = sum ?? { cost: 0, requests: 0, failures: 0, p50: null };
  return {
    tiles: (row) =>
      h(
        "dl",
        { class: "tiles" },
        [
          ["Spend, 30 days", format.usd(all.cost), `${format.usd(row.spend)} in all`],
          [
            "Requests",
            format.compact(all.requests),
            h("a", { href: `#/requests?${kind}=${encodeURIComponent(id)}&span=2592000` }, "See them"),
          ],
          [
            "Errors",
            all.requests ? format.percent(all.failures, all.requests) : "–",
            `${format.count(all.failures)} failed`,
          ],
          ["Latency, median", format.span(all.p50), all.p95 ? `p95 ${format.span(all.p95)}` : ""],
        ].map(([name, value, under]) =>
          h("div", { class: "tile" }, h("dt", {}, name), h("dd", {}, value), h("dd", {}, under)),
        ),
      ),
    chart: card(
      "Spend by day",
      chart({
        name: "Spend by day",
        points,
        kind: "bars",
        show: format.usd,
        series: [{ name: "Spend", tone: "s1", values: spend.along(points, rows, (row) => row.cost) }],
      }),
    ),
  };
}

async function history(kind, id, signal) {
  if (!api.seesAll()) return null;
  const { changes } = await api.get("audit", { kind, id, limit: 6 }, { signal });
  if (!changes.length) return null;
  return card(
    h(
      "div",
      { class: "card-head" },
      h("h2", {}, "Changes"),
      h("a", { class: "small", href: `#/audit?id=${encodeURIComponent(id)}` }, "All of them"),
    ),
    h(
      "ul",
      {},
      changes.map((one) =>
        h(
          "li",
          {},
          h("span", {}, `${format.action(one.action)} by ${one.by === "master" ? "the master key" : one.by} `),
          h("span", { class: "small faint" }, ago(one.at)),
        ),
      ),
    ),
  );
}
