// What was spent, as pages show it: series over a range, and sums.

import { get } from "./api.js";
import * as format from "./format.js";

const HOUR = 3600,
  DAY = 86400;
/** A range's name -> its length, its step, and what it is called. */
export const RANGES = {
  "24h": { length: DAY, step: "hour", size: HOUR, text: "24 hours" },
  "7d": { length: 7 * DAY, step: "day", size: DAY, text: "7 days" },
  "30d": { length: 30 * DAY, step: "day", size: DAY, text: "30 days" },
};

/** Begin and end of a range: whole steps, the last of which is the one that runs now. */
export function span(range, now = Date.now() / 1000) {
  const { length, size } = RANGES[range];
  const end = (Math.floor(now / size) + 1) * size;
  return { start: end - length, end };
}

/** The steps of a range, named. */
export function steps(range) {
  const { start, end } = span(range);
  const { size } = RANGES[range];
  const found = [];
  for (let at = start; at < end; at += size) {
    found.push(
      size === DAY
        ? { at, label: `${format.utcDay(at)} (UTC)`, tick: format.utcDay(at) }
        : { at, label: `${format.day(at)}, ${format.hour(at)}`, tick: format.hour(at) },
    );
  }
  return found;
}

/** Rows of a range, step by step. */
export const series = async (range, values = {}, options) =>
  (await get("spend/series", { ...span(range), step: RANGES[range].step, ...values }, options)).results;

/** Sums of a span, one row a group. */
export const sums = async (between, values = {}, options) =>
  (await get("spend/series", { ...between, step: "all", ...values }, options)).results;

/** One value a step, of rows that may be missing. `none` stands where there is no row. */
export function along(points, rows, read, none = 0) {
  const found = new Map(rows.map((row) => [row.at, row]));
  return points.map((point) => (found.has(point.at) ? read(found.get(point.at)) : none));
}

/** Series of the groups that have most, and one for all others. */
export function stacked(points, rows, group, read, name, most = 5) {
  const totals = new Map();
  for (const row of rows) totals.set(row[group], (totals.get(row[group]) ?? 0) + read(row));
  const order = [...totals]
    .filter(([, value]) => value > 0)
    .sort((a, b) => b[1] - a[1])
    .map(([one]) => one);
  const found = order.slice(0, most).map((one, place) => ({
    name: name(one),
    tone: `s${place + 1}`,
    values: along(
      points,
      rows.filter((row) => row[group] === one),
      read,
    ),
  }));
  const rest = new Set(order.slice(most));
  if (rest.size) {
    const values = points.map((point) =>
      rows.filter((row) => row.at === point.at && rest.has(row[group])).reduce((all, row) => all + read(row), 0),
    );
    found.push({ name: `${rest.size} other${rest.size === 1 ? "" : "s"}`, tone: "s6", values });
  }
  return found;
}
