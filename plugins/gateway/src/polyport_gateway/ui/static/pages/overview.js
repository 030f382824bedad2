// What the gateway did, at a glance.

import * as api from "../api.js";
import { chart, ranking } from "../charts.js";
import { fill, h } from "../dom.js";
import * as format from "../format.js";
import { namesOf } from "../names.js";
import * as spend from "../spend.js";
import { card, empty, head, into, segments } from "../view.js";

const TOP = 6;

export async function render({ values, signal }) {
  let range = values.range in spend.RANGES ? values.range : "24h";
  const body = h("div", { class: "overview" });
  const pick = (chosen) => {
    range = chosen;
    history.replaceState(null, "", `#/overview?range=${range}`);
    into(body, () => content(range, signal), { quiet: true });
  };
  const choices = Object.keys(spend.RANGES).map((one) => [one, one.replace("h", " h").replace("d", " d")]);
  fill(body, await content(range, signal));
  const again = setInterval(() => {
    if (!document.hidden && !body.contains(document.activeElement))
      into(body, () => content(range, signal), { quiet: true });
  }, 60_000);
  signal.addEventListener("abort", () => clearInterval(again));
  return h("div", {}, head({ title: "Overview", actions: segments("Range", choices, range, pick) }), body);
}

async function content(range, signal) {
  const between = spend.span(range);
  const length = spend.RANGES[range].length;
  const [[now], [before], rows, byModel, models, keys, teams, keyName, teamName] = await Promise.all([
    spend.sums(between, {}, { signal }),
    spend.sums({ start: between.start - length, end: between.start }, {}, { signal }),
    spend.series(range, {}, { signal }),
    spend.series(range, { group_by: "model" }, { signal }),
    ...["model", "key", "team"].map((one) => spend.sums(between, { group_by: one }, { signal })),
    namesOf("key"),
    namesOf("team"),
  ]);
  const points = spend.steps(range);
  return [
    tiles(now ?? NOTHING, before ?? NOTHING, range),
    now?.requests ? charts(points, rows, byModel) : quiet(range),
    h(
      "div",
      { class: "grid three" },
      top(
        "Top models",
        models,
        (row) => row.model || "(none)",
        (row) => `#/requests?model=${encodeURIComponent(row.model)}&span=${length}`,
        "s1",
      ),
      top(
        "Top keys",
        keys,
        (row) => (row.key ? keyName(row.key) : "Master key"),
        (row) => row.key && `#/keys/${encodeURIComponent(row.key)}`,
        "s3",
      ),
      top(
        "Top teams",
        teams,
        (row) => (row.team ? teamName(row.team) : "No team"),
        (row) => row.team && `#/teams/${encodeURIComponent(row.team)}`,
        "s4",
      ),
    ),
  ];
}

const NOTHING = { requests: 0, failures: 0, prompt: 0, completion: 0, cost: 0, p50: null, p95: null, p99: null };

function tiles(now, before, range) {
  const past = `the ${spend.RANGES[range].text} before`;
  return h(
    "dl",
    { class: "tiles" },
    [
      ["Spend", format.usd(now.cost), change(now.cost, before.cost, past)],
      [
        "Requests",
        format.compact(now.requests),
        `${format.compact(now.prompt + now.completion)} tokens, ${change(now.requests, before.requests)}`,
      ],
      [
        "Errors",
        now.requests ? format.percent(now.failures, now.requests) : "–",
        `${format.count(now.failures)} failed`,
      ],
      [
        "Latency, median",
        format.span(now.p50),
        now.p95 === null ? "nothing measured" : `p95 ${format.span(now.p95)}, p99 ${format.span(now.p99)}`,
      ],
    ].map(([name, value, under]) =>
      h("div", { class: "tile" }, h("dt", {}, name), h("dd", {}, value), h("dd", {}, under)),
    ),
  );
}

/** How a number stands to the one of the span before. */
function change(now, before, past) {
  if (!before) return past ? `nothing in ${past}` : "none before";
  const part = Math.round((100 * (now - before)) / before);
  const words =
    part === 0
      ? "as many as before"
      : part >= 900
        ? `${Math.round(now / before)} times as much`
        : `${part > 0 ? "+" : "−"}${Math.abs(part)} %`;
  return part === 0 ? (past ? `as in ${past}` : words) : `${words}${past ? ` against ${past}` : ""}`;
}

function charts(points, rows, byModel) {
  const failed = spend.along(points, rows, (row) => row.failures);
  const all = spend.along(points, rows, (row) => row.requests);
  const latency = (name) => spend.along(points, rows, (row) => row[name], null);
  return h(
    "div",
    { class: "grid" },
    card(
      "Spend by model",
      chart({
        name: "Spend by model",
        points,
        kind: "bars",
        show: format.usd,
        series: spend.stacked(
          points,
          byModel,
          "model",
          (row) => row.cost,
          (name) => name || "(none)",
        ),
      }),
    ),
    card(
      "Requests",
      chart({
        name: "Requests",
        points,
        kind: "bars",
        show: format.count,
        axis: format.compact,
        series: [
          { name: "Answered", tone: "s1", values: all.map((n, i) => n - failed[i]) },
          { name: "Failed", tone: "sbad", values: failed },
        ],
      }),
    ),
    card(
      "Latency",
      chart({
        name: "Latency",
        points,
        kind: "lines",
        show: format.span,
        series: [
          { name: "p50", tone: "s1", values: latency("p50") },
          { name: "p95", tone: "s2", values: latency("p95") },
          { name: "p99", tone: "s3", values: latency("p99") },
        ],
      }),
    ),
    card(
      "Error rate",
      chart({
        name: "Error rate",
        points,
        kind: "lines",
        show: (v) => `${(v * 100).toFixed(v && v < 0.1 ? 1 : 0)} %`,
        series: [{ name: "Failed requests", tone: "sbad", values: all.map((n, i) => (n ? failed[i] / n : null)) }],
      }),
    ),
  );
}

const quiet = (range) =>
  h(
    "div",
    { class: "card" },
    empty(
      `No requests in these ${spend.RANGES[range].text}`,
      "As soon as a key is used, what it asks for and costs is shown here.",
      api.mayChange() && h("a", { class: "btn main", href: "#/keys" }, "Make a key"),
    ),
  );

function top(title, rows, name, href, tone) {
  const most = [...rows].sort((a, b) => b.cost - a.cost || b.requests - a.requests).slice(0, TOP);
  const list = most.map((row) => ({
    name: name(row),
    href: href(row),
    value: row.cost,
    text: `${format.usd(row.cost)} · ${format.compact(row.requests)}`,
  }));
  return card(
    h("h2", {}, title),
    h("p", { class: "small faint" }, "Spend · requests"),
    list.length ? ranking(title, list, tone) : h("p", { class: "soft" }, "Nothing yet."),
  );
}
