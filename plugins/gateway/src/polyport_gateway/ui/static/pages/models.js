// Models and their health: groups, the deployments behind each, and how those are.

import * as api from "../api.js";
import { fill, h } from "../dom.js";
import * as format from "../format.js";
import { say, trying } from "../notices.js";
import { ago, empty, head, into, pill, table } from "../view.js";

const STATES = {
  ok: ["good", "Ready"],
  failing: ["warn", "Failing of late"],
  full: ["warn", "At its limit"],
  resting: ["bad", "Resting"],
};

export async function render({ signal }) {
  const body = h("div", { class: "stack" });
  const draw = async () => {
    const told = await api.get("health/models", {}, { signal });
    return groups(told, again);
  };
  const again = () => into(body, draw, { quiet: true });
  fill(body, await draw());
  const tick = setInterval(() => {
    if (!document.hidden) again();
  }, 15_000);
  signal.addEventListener("abort", () => clearInterval(tick));
  return h(
    "div",
    {},
    head({
      title: "Models",
      text: "Each group is a name that programs ask for; behind it stand one or more deployments, of which the router takes the best.",
      actions:
        api.isAdmin() &&
        h(
          "button",
          { class: "btn", type: "button", click: (event) => ask({}, again, event.currentTarget) },
          "Check all now",
        ),
    }),
    body,
  );
}

/** Have deployments asked something small, now. */
async function ask(which, again, button) {
  if (button.getAttribute("aria-disabled")) return; // it keeps the focus, which a disabled one would lose
  button.setAttribute("aria-disabled", "true");
  if (await trying(() => api.post("health/models/check", which))) say("Checked.");
  button.removeAttribute("aria-disabled");
  await again();
}

function groups(told, again) {
  const found = Map.groupBy ? Map.groupBy(told.deployments, (one) => one.group) : byGroup(told.deployments);
  if (!found.size)
    return h(
      "div",
      { class: "card" },
      empty("No models are configured", "Name them in the configuration's model_list, then reload it."),
    );
  const worst = (all) =>
    all.every((one) => one.state === "resting")
      ? pill("bad", "None can be used")
      : all.some((one) => one.state !== "ok")
        ? pill("warn", `${all.filter((one) => one.state === "ok").length} of ${all.length} ready`)
        : pill("good", all.length === 1 ? "Ready" : `${all.length} ready`);
  return [...found].map(([group, all]) =>
    h(
      "section",
      { class: "card flush", "aria-label": group },
      h(
        "div",
        { class: "card-head" },
        h("h2", { class: "wrap" }, group),
        h(
          "span",
          { class: "actions" },
          h("a", { class: "small", href: `#/requests?model=${encodeURIComponent(group)}` }, "Requests"),
          worst(all),
        ),
      ),
      table(columns(again), all, { label: `Deployments of ${group}`, fixed: true }),
    ),
  );
}

function byGroup(rows) {
  const found = new Map();
  for (const row of rows) found.set(row.group, [...(found.get(row.group) ?? []), row]);
  return found;
}

const columns = (again) => [
  {
    head: "Deployment",
    cell: (one) => [
      h("strong", { class: "wrap" }, one.id),
      h("span", { class: "under" }, `${one.provider}/${one.model}`),
    ],
  },
  {
    head: "State",
    cell: (one) => {
      const [tone, words] = STATES[one.state] ?? ["", one.state];
      return [
        pill(tone, words),
        one.cooling_until && h("span", { class: "under" }, "until ", ago(one.cooling_until)),
        one.busy > 0 && h("span", { class: "under" }, `${one.busy} running`),
      ];
    },
  },
  {
    head: "Last minutes",
    cell: (one) =>
      one.recent.successes + one.recent.failures
        ? [
            `${format.count(one.recent.successes)} answered, ${format.count(one.recent.failures)} failed`,
            one.recent.last_error &&
              h("span", { class: "under" }, one.recent.last_error, " ", ago(one.recent.last_error_at)),
          ]
        : one.recent.last_success_at
          ? ["Last used ", ago(one.recent.last_success_at)]
          : null,
  },
  { head: "Last check", cell: (one) => check(one.check) },
  { head: "Latency", right: true, cell: (one) => (one.latency ? format.span(one.latency) : null) },
  { head: "Limits", cell: (one) => limits(one) },
  { head: "Price", right: true, cell: (one) => price(one.price) },
  {
    head: h("span", { class: "sr" }, "Actions"),
    class: "right",
    cell: (one) =>
      api.isAdmin()
        ? h(
            "button",
            {
              class: "btn tiny",
              type: "button",
              "aria-label": `Check ${one.id} now`,
              click: (event) => ask({ id: one.id }, again, event.currentTarget),
            },
            "Check",
          )
        : "",
  },
];

function check(found) {
  if (!found) return null;
  if (found.ok === null) return h("span", { class: "soft wrap" }, `Not asked: ${found.error}`);
  return [
    found.ok ? `Answered in ${format.span(found.seconds)}` : h("span", { class: "wrong wrap" }, found.error),
    h("span", { class: "under" }, ago(found.at)),
  ];
}

function limits(one) {
  const known = [
    ["rpm", "rpm"],
    ["tpm", "tpm"],
    ["parallel", "at a time"],
  ].filter(([name]) => one.limits[name] !== null && one.limits[name] !== undefined);
  return known.length
    ? known.map(([name, words]) => h("div", {}, `${format.compact(one.limits[name])} ${words}`))
    : null;
}

/** USD for a million tokens, read and written. */
function price(found) {
  if (!found) return null;
  return [
    `${format.exactUsd(found.input)} in`,
    found.output !== null && h("div", {}, `${format.exactUsd(found.output)} out`),
    h("span", { class: "under" }, "a million tokens"),
  ];
}
