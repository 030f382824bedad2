// Ids and what people call them: lists of keys, teams, users and so on, remembered for a short while.

import { get, list } from "./api.js";

const FRESH = 20_000;
const known = new Map();

/** All of a kind that the one who is signed in may see. */
export function all(kind) {
  const found = known.get(kind);
  if (found && Date.now() - found.at < FRESH) return found.rows;
  const rows = list(kind).catch((error) => {
    known.delete(kind);
    if (error.status === 403) return [];
    throw error;
  });
  known.set(kind, { at: Date.now(), rows });
  return rows;
}

/** Forget a kind: something was changed. */
export const forget = (kind) => known.delete(kind);
export const forgetAll = () => known.clear();

/** What people call one. */
export function called(kind, row) {
  const alias = row[`${kind}_alias`] || row.alias;
  return alias || row.user_email || row.key_name || row[`${kind}_id`];
}

/** Id -> name, of a kind. What was deleted keeps its id. */
export async function namesOf(kind) {
  const rows = await all(kind);
  const found = new Map(rows.map((row) => [row[`${kind}_id`], called(kind, row)]));
  return (id) => found.get(id) ?? id;
}

/** Options of a choice: none, then all of a kind. */
export async function options(kind, none) {
  const rows = await all(kind);
  const pairs = rows.map((row) => [row[`${kind}_id`], called(kind, row)]);
  return [["", none], ...pairs.sort((a, b) => a[1].localeCompare(b[1], "en", { numeric: true }))];
}

/** The models that may be asked for. */
export async function models() {
  return (await get("v1/models")).data.map((one) => one.id);
}
