// The request log: single requests by time, model, key, team, user, status or id; and one request's whole story.

import * as api from "../api.js";
import { ranking } from "../charts.js";
import { h } from "../dom.js";
import * as format from "../format.js";
import { models, namesOf, options } from "../names.js";
import { card, copying, empty, facts, folding, growing, head, into, named, pill, table, tags, time } from "../view.js";

const PAGE = 50;
const SPANS = [
  ["3600", "The last hour"],
  ["86400", "The last 24 hours"],
  ["604800", "The last 7 days"],
  ["2592000", "The last 30 days"],
  ["", "All that is kept"],
  ["own", "From … to …"],
];
const STATUSES = [
  ["", "Any"],
  ["ok", "Answered"],
  ["failed", "Failed"],
  ["4xx", "4xx: refused"],
  ["429", "429: too many"],
  ["499", "499: caller left"],
  ["5xx", "5xx: failed here or behind"],
];
const WORDS = {
  400: "Refused",
  401: "Not let in",
  403: "Not allowed",
  404: "Not found",
  408: "Too slow",
  429: "Too many",
  499: "Caller left",
  502: "No answer",
  503: "Not available",
  504: "Too slow",
};

export const render = ({ id, values, signal }) => (id ? story(id, signal) : log(values, signal));

/** A status in a word. */
export const told = (row) =>
  row.status < 400
    ? pill("good", row.cache_hit ? "Cached" : "OK")
    : pill(
        row.status === 499 ? "warn" : "bad",
        `${row.status} ${WORDS[row.status] ?? (row.status >= 500 ? "Failed" : "Refused")}`,
      );

// --- the log ---

/** What is asked for by a link alone. */
const RARE = [
  ["customer", "Customer"],
  ["project", "Project"],
  ["provider", "Provider"],
  ["deployment", "Deployment"],
  ["tag", "Tag"],
];

async function log(values, signal) {
  const [known, keys, teams, users, names] = await Promise.all([
    models().catch(() => []),
    options("key", "Any"),
    options("team", "Any"),
    options("user", "Any"),
    Promise.all(["key", "team", "user"].map(namesOf)),
  ]);
  const body = h("div", { class: "card flush" });
  const count = h("p", { class: "sr", role: "status" });
  const choose = (name, label, pairs) => {
    const own = values[name];
    const all = own && !pairs.some(([one]) => one === own) ? [...pairs, [own, own]] : pairs;
    const node = h(
      "select",
      { id: `f-${name}`, name, change: apply },
      all.map(([one, words]) =>
        h("option", { value: one, selected: one === (own ?? (name === "span" ? "86400" : "")) }, words),
      ),
    );
    return h("div", { class: "field" }, h("label", { for: node.id }, label), node);
  };
  const type = (name, label, kind, props = {}) => {
    const node = h("input", {
      id: `f-${name}`,
      name,
      type: kind,
      value: values[name] ?? "",
      autocomplete: "off",
      spellcheck: "false",
      change: apply,
      ...props,
    });
    return h("div", { class: "field" }, h("label", { for: node.id }, label), node);
  };
  const from = type("from", "From", "datetime-local"),
    to = type("to", "To", "datetime-local");
  const form = h(
    "form",
    {
      class: "filters",
      role: "search",
      "aria-label": "Filter requests",
      submit: (event) => {
        event.preventDefault();
        apply();
      },
    },
    choose("span", "Time", SPANS),
    from,
    to,
    choose("model", "Model", [["", "Any"], ...known.map((one) => [one, one])]),
    choose("key", "Key", keys),
    choose("team", "Team", teams),
    choose("user", "User", users),
    choose("status", "Status", STATUSES),
    type("request_id", "Request id", "search", { placeholder: "Its beginning" }),
    RARE.filter(([name]) => values[name]).map(([name, label]) => type(name, label, "text")),
    h("button", { class: "sr", type: "submit" }, "Filter"),
  );
  const file = h("a", { class: "btn", download: "requests.csv" }, "Export as CSV");

  const given = () => Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
  function asked() {
    const { span, from: first, to: last, ...rest } = given();
    const own = span === "own";
    const at = (text) => (text ? new Date(text).getTime() / 1000 : undefined);
    return {
      ...rest,
      start: own ? at(first) : span ? Math.floor(Date.now() / 1000 - Number(span)) : undefined,
      end: own ? at(last) : undefined,
    };
  }
  function apply() {
    from.hidden = to.hidden = form.elements.span.value !== "own";
    file.href = api.address("spend/logs", { ...asked(), format: "csv" });
    history.replaceState(null, "", `#/requests?${new URLSearchParams(given())}`);
    return into(body, rows, { quiet: body.childElementCount > 0 });
  }
  const rows = () =>
    growing(
      async (cursor) => {
        const answer = await api.get("spend/logs", { ...asked(), limit: PAGE, cursor }, { signal });
        return { rows: answer.results, next: answer.next };
      },
      (found) => {
        count.textContent = `${found.length} requests shown`;
        return table(columns(names), found, { label: "Requests" });
      },
      empty(
        "No request fits",
        "Take a longer time, or fewer filters. A request is here about a second after its answer.",
      ),
    );
  await apply();
  return h(
    "div",
    {},
    head({
      title: "Requests",
      text: "Every answered request, once: who asked for what, what answered, and what it cost.",
      actions: file,
    }),
    folding(
      form,
      Object.keys(values).some((name) => name !== "span"),
    ),
    count,
    body,
  );
}

const columns = ([key, team, user]) => [
  { head: "Time", cell: (row) => named(`#/requests/${row.id}`, format.when(row.at), row.id.slice(0, 12)) },
  {
    head: "Model",
    cell: (row) => [
      h("span", { class: "wrap" }, row.model || "–"),
      h(
        "span",
        { class: "under" },
        [row.operation, row.upstream && row.upstream !== row.model ? row.upstream : row.provider]
          .filter(Boolean)
          .join(" · "),
      ),
    ],
  },
  {
    head: "Who",
    cell: (row) => [
      h("span", { class: "wrap" }, row.key_id ? key(row.key_id) : row.user_id ? user(row.user_id) : "Master key"),
      h("span", { class: "under" }, [row.team_id && team(row.team_id), row.customer_id].filter(Boolean).join(" · ")),
    ],
  },
  { head: "Status", cell: (row) => [told(row), row.error && h("span", { class: "under" }, row.error)] },
  {
    head: "Tokens",
    right: true,
    cell: (row) =>
      row.prompt + row.completion
        ? [
            format.count(row.prompt + row.completion),
            h("span", { class: "under" }, `${format.compact(row.prompt)} in, ${format.compact(row.completion)} out`),
          ]
        : null,
  },
  {
    head: "Cost",
    right: true,
    cell: (row) => [format.usd(row.spend), row.estimated && h("span", { class: "under" }, "estimated")],
  },
  {
    head: "Took",
    right: true,
    cell: (row) => [
      format.span(row.seconds),
      row.first_byte !== null && h("span", { class: "under" }, `first byte ${format.span(row.first_byte)}`),
    ],
  },
];

// --- one request ---

async function story(id, signal) {
  const told = await api.get("spend/story", { request_id: id }, { signal });
  const row = told.request;
  return h(
    "div",
    {},
    head({
      title: row.model || row.operation || "Request",
      crumb: ["Requests", "#/requests"],
      badge: toldOf(row),
      text: h("span", {}, format.whenYear(row.at - row.seconds), " · ", h("span", { class: "mono wrap" }, row.id)),
      actions: copying(row.id, "Copy id"),
    }),
    numbers(row),
    h("div", { class: "grid" }, happened(row), h("div", { class: "stack" }, error(row), tokens(row), asked(row, told))),
    changed(row),
    content(told.content),
  );
}

const toldOf = told;

/** What was asked and answered, where the gateway is set to keep that, and an admin looks. */
function content(kept) {
  if (!kept) return null;
  const part = (title, value) =>
    value &&
    h(
      "details",
      {},
      h("summary", {}, title),
      h(
        "pre",
        { class: "code", tabindex: "0", role: "region", "aria-label": title },
        typeof value === "string" ? value : JSON.stringify(value, null, 2),
      ),
    );
  return card("What was said", h("div", { class: "form" }, part("Asked", kept.asked), part("Answered", kept.answer)));
}

function numbers(row) {
  const rate =
    row.stream && row.first_byte !== null && row.completion
      ? `${Math.round(row.completion / Math.max(0.001, row.seconds - row.first_byte))} tokens a second`
      : "";
  return h(
    "dl",
    { class: "tiles" },
    [
      [
        "Cost",
        format.usd(row.spend),
        row.cache_hit
          ? "from the cache"
          : row.status >= 400 && !row.spend
            ? "nothing was used"
            : row.estimated
              ? "estimated"
              : row.reserved
                ? `${format.usd(row.reserved)} was reserved`
                : "by the price list",
      ],
      [
        "Tokens",
        format.count(row.prompt + row.completion),
        `${format.count(row.prompt)} in, ${format.count(row.completion)} out`,
      ],
      [
        "Took",
        format.span(row.seconds),
        row.first_byte !== null
          ? `first byte after ${format.span(row.first_byte)}`
          : row.stream
            ? "a stream"
            : "one answer",
      ],
      ["Attempts", format.count(row.attempts), rate],
    ].map(([name, value, under]) =>
      h("div", { class: "tile" }, h("dt", {}, name), h("dd", {}, value), h("dd", {}, under)),
    ),
  );
}

/** What happened, in order. Attempts that failed took the time before the last one. */
function happened(row) {
  const steps = [
    [
      "good",
      "Asked",
      0,
      [
        row.surface && `${row.surface} interface, `,
        row.operation,
        row.stream ? ", as a stream" : "",
        row.model && ` for ${row.model}`,
      ],
    ],
  ];
  let at = 0;
  for (const one of row.failures ?? []) {
    at += one.seconds ?? 0;
    steps.push([
      "bad",
      `${one.deployment || one.provider || "A deployment"} failed`,
      at,
      [
        `${one.error}${one.status ? ` (${one.status})` : ""} after ${format.span(one.seconds)}`,
        one.message && h("div", { class: "small soft wrap" }, one.message),
      ],
    ]);
  }
  for (const one of row.guardrails ?? [])
    steps.push([
      one.outcome === "passed" ? "good" : "warn",
      `Guardrail ${one.guardrail}`,
      null,
      `${one.mode}: ${one.outcome}`,
    ]);
  if (row.cache_hit) steps.push(["good", "Answered from the cache", null, "No provider was asked."]);
  else if (row.provider && row.status < 400)
    steps.push([
      "good",
      `${row.deployment || row.provider} answered`,
      null,
      [
        row.upstream && `${row.provider} ${row.upstream}`,
        row.attempts > 1 && `, attempt ${row.attempts}`,
        row.upstream_id &&
          h("div", { class: "small soft wrap" }, "its id: ", h("span", { class: "mono" }, row.upstream_id)),
      ],
    ]);
  if (row.first_byte !== null) steps.push(["good", "First byte sent", row.first_byte, null]);
  steps.push([
    row.status < 400 ? "good" : row.status === 499 ? "warn" : "bad",
    row.status < 400 ? "Done" : `Ended with ${row.status}`,
    row.seconds,
    row.status === 499 ? "The caller left before the answer was complete. What was used counts." : row.error,
  ]);
  return card(
    "What happened",
    h(
      "ol",
      { class: "timeline" },
      steps.map(([tone, what, when, more]) =>
        h(
          "li",
          {},
          h("span", { class: "at" }, when === null ? "" : when === 0 ? "0 ms" : `+${format.span(when)}`),
          h("span", { class: `dot ${tone}`, "aria-hidden": "true" }),
          h("div", { class: "what" }, h("strong", {}, what), more && h("div", { class: "soft wrap" }, more)),
        ),
      ),
    ),
  );
}

const error = (row) =>
  row.status >= 400 && (row.error || row.message)
    ? card(
        "What went wrong",
        h("p", {}, h("strong", {}, row.error || row.status)),
        row.message && h("p", { class: "wrap" }, row.message),
      )
    : null;

const BUCKETS = {
  input: "Read",
  cached_input: "Read from the provider's cache",
  cache_write: "Written into its cache",
  output: "Written",
  reasoning: "Thought",
  audio: "Heard",
  audio_input: "Heard",
  audio_output: "Spoken",
  image: "Seen",
  image_input: "Seen",
  image_output: "Drawn",
};
function tokens(row) {
  const parts = Object.entries(row.usage ?? {})
    .filter(([, n]) => n > 0)
    .sort((a, b) => b[1] - a[1]);
  if (!parts.length) return null;
  return card(
    "Tokens",
    ranking(
      "Tokens by kind",
      parts.map(([name, n]) => ({ name: BUCKETS[name] ?? name, value: n, text: format.count(n) })),
    ),
  );
}

function asked(row, told) {
  const link = (kind, word) =>
    row[`${kind}_id`] &&
    h(
      "a",
      { href: `#/${word}/${encodeURIComponent(row[`${kind}_id`])}` },
      told[kind]?.alias || told[kind]?.key_name || told[kind]?.email || row[`${kind}_id`],
    );
  return card(
    "Who asked",
    facts([
      ["Key", link("key", "keys") || (row.user_id ? null : "Master key")],
      ["User", link("user", "users")],
      ["Team", link("team", "teams")],
      ["Project", link("project", "projects")],
      [
        "Customer",
        row.customer_id && h("a", { href: `#/customers/${encodeURIComponent(row.customer_id)}` }, row.customer_id),
      ],
      ["Tags", tags(row.tags, 50)],
      ["Ended", time(row.at)],
    ]),
  );
}

function changed(row) {
  if (!row.adaptations?.length) return null;
  return h(
    "section",
    { class: "card flush" },
    h("div", { class: "card-head" }, h("h2", {}, "What the provider could not take as it was")),
    table(
      [
        { head: "Parameter", cell: (one) => h("code", {}, one.parameter) },
        { head: "What was done", cell: (one) => one.action },
        { head: "Why", cell: (one) => one.why },
      ],
      row.adaptations,
      { label: "Adaptations" },
    ),
  );
}
