// Charts: bars that stand on each other, and lines, over time. Each is a picture with a name and a sentence that says
// what it shows, a table of the same numbers below it, and a cursor that a pointer or the arrow keys move.

import { fill, h } from "./dom.js";

const TALL = 200,
  LEFT = 52,
  RIGHT = 8,
  TOP = 10,
  BOTTOM = 24;

/**
 * One chart. `points` are {at, label} in order; `series` {name, tone, values} with one value a point (null: nothing was
 * measured). `kind` is "bars" or "lines"; `show` writes a value; `name` says what it is.
 */
export function chart({ name, points, series, kind, show, axis = show }) {
  const place = h("div", { class: "chart" });
  const readings = h("span", { class: "sr", role: "status" });
  let width = 0;
  const draw = () => {
    const now = Math.max(260, Math.round(place.clientWidth || 560));
    if (now === width) return;
    width = now;
    fill(place, picture({ name, points, series, kind, show, axis, width, readings }), readings);
  };
  draw();
  new ResizeObserver(draw).observe(place);
  return [place, series.length > 1 && legend(series), asTable(name, points, series, show)];
}

function picture({ name, points, series, kind, show, axis, width, readings }) {
  const inner = width - LEFT - RIGHT,
    tall = TALL - TOP - BOTTOM;
  const top = nice(
    Math.max(
      ...points.map((_, i) =>
        kind === "bars" ? sum(series, i) : Math.max(0, ...series.map((one) => one.values[i] ?? 0)),
      ),
      0,
    ),
  );
  const step = inner / Math.max(1, points.length);
  const x = (i) => LEFT + step * (i + 0.5);
  const y = (value) => TOP + tall * (1 - value / top);
  const cursor = h("line", { class: "cursor", y1: TOP, y2: TOP + tall, visibility: "hidden" });
  const tip = h("div", { class: "tip", hidden: true, "aria-hidden": "true" });
  let at = -1;

  function point(i, aloud) {
    at = Math.max(0, Math.min(points.length - 1, i));
    cursor.setAttribute("x1", x(at));
    cursor.setAttribute("x2", x(at));
    cursor.setAttribute("visibility", "visible");
    const lines = series
      .filter((one) => series.length === 1 || one.values[at])
      .map((one) => [one.name, show(one.values[at] ?? 0)]);
    fill(
      tip,
      h("b", {}, points[at].label),
      lines.length ? lines.map(([what, value]) => h("div", {}, h("span", {}, what), h("span", {}, value))) : "nothing",
    );
    tip.hidden = false;
    const far = x(at) > width / 2;
    tip.style.transform = `translate(${far ? `calc(${x(at) - 10}px - 100%)` : `${x(at) + 10}px`}, 4px)`;
    if (aloud)
      readings.textContent = `${points[at].label}: ${lines.map((pair) => pair.join(" ")).join(", ") || "nothing"}`;
  }
  function leave() {
    cursor.setAttribute("visibility", "hidden");
    tip.hidden = true;
  }
  const moves = { ArrowLeft: () => at - 1, ArrowRight: () => at + 1, Home: () => 0, End: () => points.length - 1 };
  const svg = h(
    "svg",
    {
      viewBox: `0 0 ${width} ${TALL}`,
      role: "img",
      tabindex: "0",
      "aria-label": `${name}. ${sentence(points, series, show)} Arrow keys read it.`,
      pointermove: (event) =>
        point(Math.floor((event.clientX - svg.getBoundingClientRect().left - LEFT) / step), false),
      pointerleave: leave,
      blur: leave,
      keydown: (event) => {
        if (event.key === "Escape") return leave();
        const move = moves[event.key];
        if (!move) return;
        event.preventDefault();
        point(at < 0 && event.key === "ArrowLeft" ? points.length - 1 : move(), true);
      },
    },
    h("title", { svg: true }, name),
    [0, 0.5, 1].map((part) => [
      h("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: y(top * part), y2: y(top * part) }),
      h("text", { x: LEFT - 8, y: y(top * part) + 4, "text-anchor": "end" }, axis(top * part)),
    ]),
    marks(points, step).map((i) =>
      h(
        "text",
        { x: x(i), y: TALL - 6, "text-anchor": i === 0 && step < 30 ? "start" : "middle" },
        points[i].tick ?? points[i].label,
      ),
    ),
    kind === "bars" ? bars(points, series, step, y) : lines(points, series, x, y),
    cursor,
  );
  return [svg, tip];
}

function bars(points, series, step, y) {
  const wide = Math.max(1, Math.min(34, step * 0.72));
  return points.map((_, i) => {
    let below = 0;
    return series.map((one) => {
      const value = one.values[i] ?? 0;
      if (value <= 0) return null;
      const from = y(below),
        to = y((below += value));
      return h("rect", {
        class: one.tone,
        x: LEFT + step * (i + 0.5) - wide / 2,
        y: to,
        width: wide,
        height: Math.max(0.75, from - to),
        rx: 1,
      });
    });
  });
}

/** Lines, broken where nothing was measured; a point between two gaps is a dot. */
function lines(points, series, x, y) {
  return series.map((one) => {
    const runs = [];
    points.forEach((_, i) => {
      if (one.values[i] === null || one.values[i] === undefined) return;
      if (i === 0 || one.values[i - 1] === null || one.values[i - 1] === undefined) runs.push([]);
      runs.at(-1).push([x(i), y(one.values[i])]);
    });
    return runs.map((run) =>
      run.length === 1
        ? h("circle", { class: one.tone, cx: run[0][0], cy: run[0][1], r: 2 })
        : h("path", {
            class: `line ${one.tone}`,
            d: `M${run.map(([a, b]) => `${a.toFixed(1)} ${b.toFixed(1)}`).join("L")}`,
          }),
    );
  });
}

const sum = (series, i) => series.reduce((all, one) => all + (one.values[i] ?? 0), 0);

/** The next round number that holds a value. */
export function nice(value) {
  if (!(value > 0)) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((n) => n * size).find((n) => n >= value * 0.999);
}

/** Which points are named below the axis: as many as there is room for, evenly. */
function marks(points, step) {
  const every = Math.max(1, Math.ceil(64 / step));
  return points.map((_, i) => i).filter((i) => i % every === 0);
}

function sentence(points, series, show) {
  if (!points.length) return "Nothing yet.";
  return series
    .map((one) => {
      const known = one.values.filter((v) => v !== null && v !== undefined);
      return known.length
        ? `${one.name}: last ${show(known.at(-1))}, highest ${show(Math.max(...known))}.`
        : `${one.name}: nothing.`;
    })
    .join(" ");
}

export const swatch = (tone) =>
  h("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, h("rect", { width: 10, height: 10, rx: 2, class: tone }));
const legend = (series) =>
  h(
    "ul",
    { class: "legend" },
    series.map((one) => h("li", {}, swatch(one.tone), one.name)),
  );

function asTable(name, points, series, show) {
  const body = h("tbody");
  const details = h(
    "details",
    {
      class: "numbers",
      toggle: () => {
        if (details.open && !body.childElementCount) {
          fill(
            body,
            points.map((point, i) =>
              h(
                "tr",
                {},
                h("th", { scope: "row" }, point.label),
                series.map((one) =>
                  h(
                    "td",
                    { class: "right" },
                    one.values[i] === null || one.values[i] === undefined ? "–" : show(one.values[i]),
                  ),
                ),
              ),
            ),
          );
        }
      },
    },
    h("summary", {}, "Numbers"),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": `${name}, as a table` },
      h(
        "table",
        {},
        h("caption", { class: "sr" }, name),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, "Time"),
            series.map((one) => h("th", { scope: "col", class: "right" }, one.name)),
          ),
        ),
        body,
      ),
    ),
  );
  return details;
}

/** Names by how much: the longest bar is the most. Rows: {name, href, value, text}. */
export function ranking(label, rows, tone = "s1") {
  const most = Math.max(...rows.map((row) => row.value), 0);
  return h(
    "ol",
    { class: "bars", "aria-label": label },
    rows.map((row) =>
      h(
        "li",
        {},
        row.href
          ? h("a", { class: "name", href: row.href, title: row.name }, row.name)
          : h("span", { class: "name", title: row.name }, row.name),
        h("span", { class: "num" }, row.text),
        h(
          "span",
          { class: "meter", "aria-hidden": "true" },
          h(
            "svg",
            { viewBox: "0 0 100 4", preserveAspectRatio: "none" },
            h("rect", { width: most ? Math.max(0.5, (100 * row.value) / most) : 0, height: 4, class: tone }),
          ),
        ),
      ),
    ),
  );
}
