// What pages are made of: a head, cards, tables, and how waiting, emptiness and trouble look.

import { dash, fill, h, icon, unique } from "./dom.js";
import * as format from "./format.js";

/** The head of a page. The main heading gets the focus when the page is opened. */
export const head = ({ title, text, crumb, actions = [], badge }) =>
  h(
    "div",
    { class: "head" },
    h(
      "div",
      {},
      crumb && h("p", { class: "crumb" }, h("a", { href: crumb[1] }, crumb[0])),
      h("h1", { tabindex: "-1" }, title, badge && [" ", badge]),
      text && h("p", {}, text),
    ),
    h("div", { class: "actions" }, actions),
  );

export const card = (title, ...content) =>
  h(
    "section",
    { class: "card" },
    title && h("div", { class: "card-head" }, typeof title === "string" ? h("h2", {}, title) : title),
    ...content,
  );

export const waiting = (text = "Loading …") => h("div", { class: "wait" }, h("p", { role: "status" }, text));

export const empty = (title, text, action) =>
  h("div", { class: "empty" }, h("h2", {}, title), h("p", {}, text), action);

export const trouble = (error, again) =>
  h(
    "div",
    { class: "trouble", role: "alert" },
    h("p", {}, error.status === 403 ? `You may not see this: ${error.message}` : error.message),
    again && h("button", { class: "btn tiny", type: "button", click: again }, "Try again"),
  );

/**
 * Fill a place with what `load` resolves to; until then it waits, and if that fails it says so and offers to try again.
 * `title` is the heading of a whole page until it has its own; `quiet` leaves what is there until the new is.
 */
export async function into(place, load, { title, quiet = false } = {}) {
  place.setAttribute("aria-busy", "true");
  const held = holder(place);
  const above = title && head({ title });
  if (!quiet) fill(place, above, waiting());
  const turn = (place.turn = Symbol("turn"));
  try {
    const found = await load();
    if (place.turn !== turn) return;
    const kept = holder(place) ?? held;
    fill(place, found);
    if (kept && document.activeElement === document.body)
      (like(place, kept) ?? document.querySelector("#main h1"))?.focus({ preventScroll: true });
  } catch (error) {
    if (error.name === "AbortError" || place.turn !== turn) return;
    if (!error.status && error.constructor.name !== "Trouble") console.error(error);
    fill(
      place,
      above,
      trouble(error, () => into(place, load, { title, quiet })),
    );
  } finally {
    if (place.turn === turn) place.removeAttribute("aria-busy");
  }
}

/** What has the focus in a place, in words that hold after it is drawn anew. */
function holder(place) {
  const node = document.activeElement;
  return node !== place && place.contains(node) ? { tag: node.tagName, words: wordsOf(node) } : null;
}
const wordsOf = (node) => node.getAttribute("aria-label") ?? node.textContent;
const like = (place, { tag, words }) => [...place.querySelectorAll(tag)].find((one) => wordsOf(one) === words);

/**
 * A table. Columns: {head, cell(row), right, sort(row)}; a cell that is null is a dash, and is left out of cards.
 * Rows can be sorted by the columns that say how.
 */
export function table(columns, rows, { label, sort, cards = true, fixed = false } = {}) {
  let by = sort ?? null;
  const body = h("tbody", { role: "rowgroup" });
  const heads = columns.map((column, place) =>
    h(
      "th",
      { scope: "col", role: "columnheader", class: column.right ? "right" : null },
      column.sort
        ? h(
            "button",
            { class: "sort", type: "button", click: () => order(place) },
            column.head,
            h("i", { "aria-hidden": "true" }),
          )
        : column.head,
    ),
  );

  function order(place) {
    by = by && by[0] === place ? [place, !by[1]] : [place, Boolean(columns[place].right)];
    draw();
  }

  function draw() {
    heads.forEach((node, place) => {
      const mine = by?.[0] === place;
      if (mine) node.setAttribute("aria-sort", by[1] ? "descending" : "ascending");
      else node.removeAttribute("aria-sort");
      const arrow = node.querySelector("i");
      if (arrow) arrow.textContent = mine ? (by[1] ? "↓" : "↑") : "";
    });
    fill(body, sorted().map(line));
  }

  function sorted() {
    if (!by) return rows;
    const key = columns[by[0]].sort;
    const way = by[1] ? -1 : 1;
    return [...rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === y) return 0;
      if (x === null || x === undefined || x === "") return 1;
      if (y === null || y === undefined || y === "") return -1;
      return (typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y) * way;
    });
  }

  const line = (row) =>
    h(
      "tr",
      { role: "row" },
      columns.map((column) => {
        const value = column.cell(row);
        const none = value === null || value === undefined || value === "";
        const kind = [column.right && "right", none && "none", column.class].filter(Boolean).join(" ");
        return h(
          "td",
          { role: "cell", "data-label": typeof column.head === "string" ? column.head : "", class: kind || null },
          none ? dash() : value,
        );
      }),
    );

  draw();
  const node = h(
    "table",
    { role: "table", class: cards ? "cards" : null, "aria-label": label },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)),
    body,
  );
  return h(
    "div",
    { class: fixed ? "scroll fixed" : "scroll", role: "region", "aria-label": label, tabindex: cards ? null : "0" },
    node,
  );
}

/**
 * A list that grows: `load(mark)` resolves to {rows, next}, the first time without a mark and then with the last `next`;
 * `show(rows)` is all that came so far. Resolves to what stands on the page, or to `none` where nothing came.
 */
export async function growing(load, show, none) {
  const found = [];
  const place = h("div", {}),
    more = h("div", { class: "more" });
  async function page(mark) {
    const { rows, next } = await load(mark);
    found.push(...rows);
    fill(place, show(found));
    fill(
      more,
      next && h("button", { class: "btn", type: "button", click: (event) => older(event, next) }, "Show older ones"),
    );
    more.hidden = !next;
  }
  async function older(event, mark) {
    event.target.disabled = true;
    try {
      await page(mark);
    } catch (error) {
      fill(more, h("p", { class: "wrong", role: "alert" }, error.message));
    }
  }
  await page();
  return found.length ? [place, more] : none;
}

/** A name that leads somewhere, with what tells it from its like below. */
export const named = (href, name, under) => [
  h("a", { class: "name", href }, name),
  under && h("span", { class: "under" }, under),
];

export const pill = (kind, text) => h("span", { class: `pill ${kind}` }, text);
export const tags = (names, most = 3) =>
  !names?.length
    ? null
    : h(
        "span",
        { class: "tags" },
        names.slice(0, most).map((one) => h("span", { class: "tag" }, one)),
        names.length > most &&
          h("span", { class: "tag", title: names.slice(most).join(", ") }, `${names.length - most} more`),
      );

export const time = (at) =>
  at === null || at === undefined
    ? null
    : h(
        "time",
        { datetime: new Date(at * 1000).toISOString(), title: new Date(at * 1000).toString(), class: "nowrap" },
        format.when(at),
      );
export const ago = (at) =>
  at === null || at === undefined
    ? null
    : h(
        "time",
        { datetime: new Date(at * 1000).toISOString(), title: format.whenYear(at), class: "nowrap" },
        format.relative(at),
      );

/** Pairs of a name and what it is; those without a value are left out. */
export const facts = (pairs) =>
  h(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
  );

/** Filters: always there where there is room, folded in on a phone, unless one of them is set. */
export function folding(form, set) {
  const wide = matchMedia("(min-width: 721px)");
  const node = h("details", { class: "fold", open: wide.matches || set }, h("summary", {}, "Filters"), form);
  wide.addEventListener("change", () => {
    if (wide.matches) node.open = true;
  });
  return node;
}

/** A choice of a few, of which one holds. */
export function segments(legend, choices, chosen, pick) {
  const name = unique("seg");
  return h(
    "fieldset",
    { class: "seg" },
    h("legend", { class: "sr" }, legend),
    choices.map(([value, text]) =>
      h(
        "label",
        {},
        h("input", { type: "radio", name, value, checked: value === chosen, change: () => pick(value) }),
        h("span", {}, text),
      ),
    ),
  );
}

/** How much of something is used. Beyond all of it, it is full and red. */
export function meter(part, all, label) {
  const share = all > 0 ? Math.min(1, part / all) : 1;
  const tone = part >= all ? "sbad" : share > 0.8 ? "s2" : "s1";
  return h(
    "div",
    { class: "meter", role: "img", "aria-label": label ?? `${format.percent(part, all)} used` },
    h(
      "svg",
      { viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
      h("rect", { width: share * 100, height: 4, class: tone }),
    ),
  );
}

/** A button that puts a text into the clipboard and says so. */
export function copying(text, label = "Copy") {
  const words = h("span", {}, label);
  const said = h("span", { class: "sr", role: "status" });
  const button = h(
    "button",
    {
      class: "btn",
      type: "button",
      click: async () => {
        try {
          await navigator.clipboard.writeText(text);
          words.textContent = said.textContent = "Copied";
        } catch {
          words.textContent = said.textContent = "Select it and copy by hand";
        }
        setTimeout(() => {
          words.textContent = label;
          said.textContent = "";
        }, 2500);
      },
    },
    icon("copy"),
    words,
  );
  return [button, said];
}
