// Numbers, money, instants and lengths of time as they are read. Times are shown in the reader's zone.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (n) => (n === null || n === undefined ? "–" : whole.format(n));
export const compact = (n) => (Math.abs(n) < 10000 ? whole.format(n) : short.format(n));

/** US dollars: two digits from a dollar on, as many as say something below it. */
export function usd(amount) {
  if (amount === null || amount === undefined) return "–";
  const size = Math.abs(amount);
  if (size === 0) return "$0";
  if (size >= 10000) return `$${whole.format(amount)}`;
  if (size >= 1) return `$${amount.toFixed(2).replace(/\B(?=(\d{3})+(?!\d))/g, ",")}`;
  if (size >= 0.01) return `$${amount.toFixed(3)}`;
  return `$${amount.toFixed(9).replace(/(\.0*[1-9]\d?)\d*$/, "$1")}`;
}

/** Dollars of a limit that somebody set: exactly as set. */
export const exactUsd = (amount) =>
  amount === null || amount === undefined
    ? "–"
    : `$${new Intl.NumberFormat("en", { minimumFractionDigits: Number.isInteger(amount) ? 0 : 2, maximumFractionDigits: 9 }).format(amount)}`;

/** A length of time in seconds. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds === 0) return "0 s";
  if (seconds < 0.0995) return `${(seconds * 1000).toFixed(seconds < 0.00995 ? 1 : 0)} ms`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const parts = [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const place = parts.findIndex(([size]) => seconds >= size);
  const [size, unit] = parts[place];
  const rest = parts[place + 1] ? Math.floor((seconds % size) / parts[place + 1][0]) : 0;
  return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${parts[place + 1][1]}` : ""}`;
}

export const percent = (part, all) =>
  all ? `${((100 * part) / all).toFixed(part / all < 0.1 && part ? 1 : 0)} %` : "–";

const instant = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const instantYear = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
});
const dayOnly = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const dayUtc = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const hourOnly = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

/** An instant in seconds since 1970. */
export const when = (at) => instant.format(at * 1000);
export const whenYear = (at) => instantYear.format(at * 1000);
export const day = (at) => dayOnly.format(at * 1000);
export const utcDay = (at) => dayUtc.format(at * 1000);
export const hour = (at) => hourOnly.format(at * 1000);

/** How long ago, or how long until, in one word or two. */
export function relative(at, now = Date.now() / 1000) {
  const away = Math.abs(at - now);
  if (away < 45) return at > now ? "in a moment" : "just now";
  const [size, unit] = [
    [86400, "day"],
    [3600, "hour"],
    [60, "minute"],
    [1, "second"],
  ].find(([one]) => away >= one * 0.95);
  const n = Math.round(away / size);
  const told = `${n} ${unit}${n === 1 ? "" : "s"}`;
  return at > now ? `in ${told}` : `${told} ago`;
}

/** A window such as 30d or 1mo, in words. */
export function windowWords(text) {
  const words = { s: "second", m: "minute", h: "hour", d: "day", w: "week", mo: "month" };
  const found = /^(\d+)(mo|[smhdw])$/.exec(text ?? "");
  if (!found) return text || "for ever";
  return found[1] === "1" ? `a ${words[found[2]]}`.replace("a hour", "an hour") : `${found[1]} ${words[found[2]]}s`;
}

const ACTIONS = { generate: "Made", create: "Made", update: "Changed", delete: "Deleted", rotate: "New text" };
/** What was done, as the audit log has it, in a word. */
export const action = (word) => ACTIONS[word] ?? (word.charAt(0).toUpperCase() + word.slice(1)).replaceAll("_", " ");
