// What keys, teams, users, projects, customers and budgets have in common and what each has of its own: columns of their
// lists, fields of their forms, facts of their pages.

import * as api from "./api.js";
import { h } from "./dom.js";
import * as format from "./format.js";
import { models, options, namesOf } from "./names.js";
import { ago, named, pill, tags, time } from "./view.js";

const WINDOWS = [
  ["", "For ever: it is never reset"],
  ["1d", "Each day"],
  ["1w", "Each week"],
  ["1mo", "Each month"],
  ["1h", "Each hour"],
  ["3mo", "Each quarter"],
];
const LIVES = [
  ["", "Never"],
  ["1d", "In a day"],
  ["7d", "In a week"],
  ["30d", "In 30 days"],
  ["90d", "In 90 days"],
  ["365d", "In a year"],
];
const ROLES = [
  ["", "None: it calls models and asks about itself"],
  ["member", "Member: manages the keys of its user"],
  ["team_admin", "Team admin: manages its teams"],
  ["viewer", "Viewer: reads everything, calls nothing"],
  ["admin", "Admin: everything"],
];

const MONEY = [
  [
    { name: "max_budget", label: "Budget", kind: "usd", placeholder: "no limit", hint: "US dollars a window" },
    { name: "budget_duration", label: "Begins anew", kind: "choice", options: WINDOWS },
  ],
];
const RATES = [
  [
    { name: "rpm_limit", label: "Requests a minute", kind: "count", placeholder: "no limit" },
    { name: "tpm_limit", label: "Tokens a minute", kind: "count", placeholder: "no limit" },
    { name: "max_parallel_requests", label: "Requests at a time", kind: "count", placeholder: "no limit" },
  ],
];
const soft = {
  name: "soft_budget",
  label: "Warn at",
  kind: "usd",
  placeholder: "no warning",
  hint: "Nothing is refused; whoever watches is told.",
};
const perModel = {
  name: "model_limits",
  label: "Limits of single models",
  kind: "object",
  placeholder: '{"gpt-4o": {"rpm_limit": 10, "max_budget": 5}}',
};
const policy = [
  "How its requests are treated",
  [
    { name: "guardrails", label: "Guardrails that are always on", kind: "names", placeholder: "Only those of all" },
    { name: "allowed_storage", label: "Cloud storage it may have read", kind: "names", placeholder: "None of its own" },
    [
      { name: "num_retries", label: "Most retries", kind: "count", placeholder: "the gateway's" },
      { name: "timeout", label: "Longest wait, seconds", kind: "number", placeholder: "the gateway's" },
    ],
    { name: "disable_cache", label: "Nothing of it is cached", kind: "check" },
    {
      name: "allowed_cache_controls",
      label: "What its requests may say of the cache",
      kind: "names",
      known: ["no-cache", "no-store", "ttl", "s-maxage", "namespace"],
      placeholder: "Everything",
    },
  ],
];
const memberLimits = [
  "Limits of each member",
  [
    [
      { name: "team_member_budget", label: "Budget of a member", kind: "usd", placeholder: "no limit" },
      { name: "team_member_budget_duration", label: "Begins anew", kind: "choice", options: WINDOWS },
    ],
    [
      { name: "team_member_rpm_limit", label: "Requests a minute", kind: "count", placeholder: "no limit" },
      { name: "team_member_tpm_limit", label: "Tokens a minute", kind: "count", placeholder: "no limit" },
    ],
  ],
];
const metadata = { name: "metadata", label: "Metadata", kind: "object", placeholder: '{"cost_center": "42"}' };
const tagField = { name: "tags", label: "Tags", kind: "names", hint: "Requests carry them into reports." };

const modelField = async () => ({
  name: "models",
  label: "Models",
  kind: "names",
  known: await models().catch(() => []),
  placeholder: "All models",
  hint: "Names, or patterns such as openai/*. None means all.",
});
const choice = async (kind, label, none) => ({
  name: `${kind}_id`,
  label,
  kind: "choice",
  options: await options(kind, none),
});
const budgetField = async () => (api.isAdmin() ? [await choice("budget", "Shared budget", "None")] : []);
const limitsFolded = async () => [
  "More limits and details",
  [...RATES, soft, ...(await budgetField()), tagField, perModel, metadata],
];

/** Sections of the form of a kind that has nothing but a name and limits. */
const plain = (name, label) => async () => [
  [null, [{ name, label, kind: "text", needed: true, autofocus: true }, ...MONEY, await modelField()]],
  await limitsFolded(),
  policy,
];

/** The limits of a row in a few words. */
export function limits(row) {
  const found = [];
  if (row.max_budget !== null)
    found.push(
      `${format.exactUsd(row.max_budget)}${row.budget_duration ? ` a ${format.windowWords(row.budget_duration).replace(/^an? /, "")}` : " in all"}`,
    );
  if (row.rpm_limit !== null) found.push(`${format.count(row.rpm_limit)} rpm`);
  if (row.tpm_limit !== null) found.push(`${format.compact(row.tpm_limit)} tpm`);
  if (row.max_parallel_requests !== null) found.push(`${row.max_parallel_requests} at a time`);
  if (row.budget_id) found.push(`budget ${row.budget_id}`);
  return found.join(" · ") || null;
}

/** Whether it can be used, and if not, why. */
export function status(row) {
  const now = Date.now() / 1000;
  if (row.blocked) return pill("bad", "Blocked");
  if (row.expires && row.expires <= now) return pill("warn", "Expired");
  if (row.expires && row.expires - now < 7 * 86400) return pill("warn", "Expires soon");
  return pill("good", "Active");
}

const limitColumn = {
  head: "Limits",
  cell: (row) => {
    const said = limits(row);
    return said && said.split(" · ").map((one, place) => [place ? " · " : "", h("span", { class: "nowrap" }, one)]);
  },
};
const modelColumn = { head: "Models", cell: (row) => tags(row.models, 2) ?? "All" };
const statusColumn = { head: "Status", cell: status, sort: (row) => (row.blocked ? 2 : row.expires ? 1 : 0) };
const limitFacts = (row) => [
  ["Budget", row.max_budget === null ? null : format.exactUsd(row.max_budget)],
  [
    "Begins anew",
    row.max_budget === null
      ? null
      : (WINDOWS.find(([one]) => one === row.budget_duration)?.[1] ??
        `every ${format.windowWords(row.budget_duration)}`),
  ],
  ["Warns at", row.soft_budget === null ? null : format.exactUsd(row.soft_budget)],
  ["Requests a minute", row.rpm_limit === null ? null : format.count(row.rpm_limit)],
  ["Tokens a minute", row.tpm_limit === null ? null : format.count(row.tpm_limit)],
  ["Requests at a time", row.max_parallel_requests],
  ["Shared budget", row.budget_id],
  [
    "Of single models",
    keysOf(row.model_limits)
      ?.map(
        (model) =>
          `${model}: ${limits({ max_budget: null, rpm_limit: null, tpm_limit: null, max_parallel_requests: null, ...row.model_limits[model] }) ?? "none"}`,
      )
      .join("; "),
  ],
];
/** How requests are treated, where that is said. */
const policyFacts = (row) => [
  ["Guardrails", tags(row.guardrails, 50)],
  ["Most retries", row.num_retries],
  ["Longest wait", row.timeout && format.span(row.timeout)],
  ["Cache", row.disable_cache ? "Nothing of it is cached" : null],
  [
    "Each member",
    limits({
      max_budget: row.team_member_budget ?? null,
      budget_duration: row.team_member_budget_duration ?? "",
      rpm_limit: row.team_member_rpm_limit ?? null,
      tpm_limit: row.team_member_tpm_limit ?? null,
      max_parallel_requests: null,
    }),
  ],
];
const keysOf = (object) => (object && Object.keys(object).length ? Object.keys(object) : null);
const link = (word, id, name) => id && h("a", { href: `#/${word}/${encodeURIComponent(id)}` }, name(id));
const asJson = (object) => (keysOf(object) ? JSON.stringify(object) : null);

/** Kind -> what is said and asked of it. `columns` come before those of all; `facts` are of its page. */
export const KINDS = {
  key: {
    word: "keys",
    title: "Keys",
    one: "key",
    text: "Each key calls models in somebody's name and within its limits.",
    make: "Make a key",
    path: "key/generate",
    quiet:
      "Make one for each program or person that calls models; each has its own limits and can be blocked on its own.",
    columns: async () => {
      const [team, user] = await Promise.all([namesOf("team"), namesOf("user")]);
      return [
        {
          head: "Belongs to",
          cell: (row) => {
            const who = [row.team_id && team(row.team_id), row.user_id && user(row.user_id)].filter(Boolean);
            return who.length
              ? [h("span", { class: "wrap" }, who[0]), who[1] && h("span", { class: "under" }, who[1])]
              : null;
          },
          sort: (row) => row.team_id && team(row.team_id),
        },
        modelColumn,
        limitColumn,
        {
          head: "Expires",
          cell: (row) => (row.expires ? h("span", { class: "nowrap" }, ago(row.expires)) : null),
          sort: (row) => row.expires,
        },
      ];
    },
    name: (row) =>
      named(
        `#/keys/${encodeURIComponent(row.key_id)}`,
        row.key_alias || row.key_name,
        row.key_alias ? row.key_name : row.key_id,
      ),
    status: statusColumn,
    fields: async (row) => [
      [
        null,
        [
          { name: "key_alias", label: "Name", kind: "text", autofocus: true, hint: "How people know it again." },
          [await choice("team", "Team", "None"), await choice("user", "User", "None")],
          await modelField(),
          ...MONEY,
          row
            ? { name: "expires", label: "Expires", kind: "instant", hint: "Empty: never." }
            : { name: "duration", label: "Expires", kind: "choice", options: LIVES },
        ],
      ],
      ["More limits", [...RATES, soft, ...(await budgetField()), perModel]],
      [
        "Where and how it may be used",
        [
          ...(api.isAdmin() ? [{ name: "role", label: "Role", kind: "choice", options: ROLES }] : []),
          await choice("project", "Project", "None"),
          {
            name: "allowed_routes",
            label: "Routes",
            kind: "names",
            placeholder: "All routes",
            hint: "Such as /chat/completions or /audio/*",
          },
          {
            name: "allowed_ips",
            label: "Networks",
            kind: "names",
            placeholder: "From anywhere",
            hint: "Such as 10.0.0.0/8",
          },
          { name: "aliases", label: "Other names of models", kind: "object", placeholder: '{"fast": "gpt-4o-mini"}' },
        ],
      ],
      policy,
      ["Tags and metadata", [tagField, metadata]],
    ],
    facts: async (row) => {
      const [team, user, project] = await Promise.all(["team", "user", "project"].map(namesOf));
      return [
        ["Key", row.key_name],
        ["Id", row.key_id],
        ["Team", link("teams", row.team_id, team)],
        ["User", link("users", row.user_id, user)],
        ["Project", link("projects", row.project_id, project)],
        ["Role", row.role && (ROLES.find(([one]) => one === row.role)?.[1] ?? row.role)],
        ["Expires", time(row.expires) ?? "Never"],
        ["Models", tags(row.models, 50) ?? "All"],
        ["Other names", asJson(row.aliases)],
        ["Routes", tags(row.allowed_routes, 50) ?? "All"],
        ["Networks", tags(row.allowed_ips, 50) ?? "From anywhere"],
      ];
    },
  },
  team: {
    word: "teams",
    title: "Teams",
    one: "team",
    text: "People and keys that spend together.",
    make: "Make a team",
    path: "team/new",
    quiet: "A team has members, keys of its own, and limits that hold for all of them together.",
    columns: async () => [
      {
        head: "Members",
        cell: (row) => Object.keys(row.members).length || null,
        right: true,
        sort: (row) => Object.keys(row.members).length,
      },
      modelColumn,
      limitColumn,
    ],
    name: (row) =>
      named(
        `#/teams/${encodeURIComponent(row.team_id)}`,
        row.team_alias || row.team_id,
        row.team_alias ? row.team_id : null,
      ),
    status: statusColumn,
    fields: async () => [
      [
        null,
        [
          { name: "team_alias", label: "Name", kind: "text", needed: true, autofocus: true },
          { name: "members", label: "Members", kind: "members", known: (await options("user", "")).slice(1) },
          ...MONEY,
          await modelField(),
        ],
      ],
      memberLimits,
      await limitsFolded(),
      policy,
    ],
    facts: async (row) => [
      ["Id", row.team_id],
      ["Models", tags(row.models, 50) ?? "All"],
      ["Members", Object.keys(row.members).length || "None yet"],
    ],
  },
  user: {
    word: "users",
    title: "Users",
    one: "user",
    text: "People and service accounts.",
    make: "Add a user",
    path: "user/new",
    quiet: "People who sign in by single sign-on or a directory are added by themselves; others are added here.",
    columns: async () => [
      {
        head: "Role",
        cell: (row) =>
          ({ admin: "Admin", team_admin: "Team admin", member: "Member", viewer: "Viewer" })[row.user_role] ??
          row.user_role,
        sort: (row) => row.user_role,
      },
      modelColumn,
      limitColumn,
    ],
    name: (row) =>
      named(
        `#/users/${encodeURIComponent(row.user_id)}`,
        row.user_alias || row.user_email || row.user_id,
        row.user_alias && row.user_email ? row.user_email : row.user_id,
      ),
    status: statusColumn,
    fields: async () => [
      [
        null,
        [
          [
            { name: "user_alias", label: "Name", kind: "text", autofocus: true },
            { name: "user_email", label: "E-mail", kind: "text" },
          ],
          ...(api.isAdmin() ? [{ name: "user_role", label: "Role", kind: "choice", options: ROLES.slice(1) }] : []),
          ...MONEY,
          await modelField(),
        ],
      ],
      await limitsFolded(),
      policy,
    ],
    facts: async (row) => [
      ["Id", row.user_id],
      ["E-mail", row.user_email],
      ["Role", ROLES.find(([one]) => one === row.user_role)?.[1]],
      ["Models", tags(row.models, 50) ?? "All"],
    ],
  },
  project: {
    word: "projects",
    title: "Projects",
    one: "project",
    text: "Pieces of work of a team, with limits of their own.",
    make: "Make a project",
    path: "project/new",
    quiet: "Keys can belong to a project; what they spend counts for it, and for its team.",
    columns: async () => {
      const team = await namesOf("team");
      return [
        { head: "Team", cell: (row) => (row.team_id ? team(row.team_id) : null), sort: (row) => row.team_id },
        modelColumn,
        limitColumn,
      ];
    },
    name: (row) =>
      named(
        `#/projects/${encodeURIComponent(row.project_id)}`,
        row.project_alias || row.project_id,
        row.project_alias ? row.project_id : null,
      ),
    status: statusColumn,
    fields: async () => [
      [
        null,
        [
          { name: "project_alias", label: "Name", kind: "text", needed: true, autofocus: true },
          await choice("team", "Team", "None"),
          ...MONEY,
          await modelField(),
        ],
      ],
      await limitsFolded(),
      policy,
    ],
    facts: async (row) => {
      const team = await namesOf("team");
      return [
        ["Id", row.project_id],
        ["Team", link("teams", row.team_id, team)],
        ["Models", tags(row.models, 50) ?? "All"],
      ];
    },
  },
  customer: {
    word: "customers",
    title: "Customers",
    one: "customer",
    text: "Your users, as programs name them in a request's “user”.",
    make: "Add a customer",
    path: "customer/new",
    named: true,
    quiet: "Requests may name any customer; one that is added here has limits and can be blocked.",
    columns: async () => [modelColumn, limitColumn],
    name: (row) =>
      named(
        `#/customers/${encodeURIComponent(row.customer_id)}`,
        row.alias || row.customer_id,
        row.alias ? row.customer_id : null,
      ),
    status: statusColumn,
    fields: async (row) => {
      const [first, ...more] = await plain("alias", "Name")();
      first[1][0].needed = false;
      return [
        [
          null,
          [
            ...(row
              ? []
              : [
                  {
                    name: "customer_id",
                    label: "Id",
                    kind: "text",
                    needed: true,
                    autofocus: true,
                    hint: "What programs send as “user”.",
                  },
                ]),
            ...first[1],
          ],
        ],
        ...more,
      ];
    },
    facts: async (row) => [
      ["Id", row.customer_id],
      ["Models", tags(row.models, 50) ?? "All"],
    ],
  },
  budget: {
    word: "budgets",
    title: "Shared budgets",
    one: "budget",
    text: "Limits by a name, for all who name them.",
    make: "Make a shared budget",
    path: "budget/new",
    quiet: "A shared budget is a set of limits that many keys, users or teams can go by; each is counted on its own.",
    columns: async () => [{ ...limitColumn, cell: (row) => limitColumn.cell({ ...row, budget_id: "" }) }],
    name: (row) => named(`#/budgets/${encodeURIComponent(row.budget_id)}`, row.budget_id),
    status: null,
    fields: async (row) => [
      [
        null,
        [
          ...(row ? [] : [{ name: "budget_id", label: "Name", kind: "text", needed: true, autofocus: true }]),
          ...MONEY,
          soft,
          ...RATES,
        ],
      ],
      ["Details", [tagField, perModel, metadata]],
    ],
    facts: async (row) => [["Name", row.budget_id]],
    own: (row) => ({ ...row, budget_id: "" }),
  },
};

export { limitFacts, policyFacts };
