// The gateway's routes, asked by the session that somebody signed in with. The cookie is the browser's to keep, and no
// script's to read; what a change needs beside it, the token against forged requests, is held in this module's memory.

const ROOT = new URL("../", document.baseURI);
export const session = { name: "", role: "", csrf: "", teams: [] };

/** What the gateway said was wrong, or that it could not be reached (`status` 0). */
export class Trouble extends Error {
  constructor(message, status = 0, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const lost = new EventTarget();
/** Be told when the session is over. */
export const onSignedOut = (listener) => lost.addEventListener("out", listener);

/** Ask, and return the open reply. Raises Trouble for what is no success. */
export async function open(method, path, body, { signal, headers = {} } = {}) {
  const sent = { ...headers };
  if (body !== undefined) sent["content-type"] = "application/json";
  if (method !== "GET") sent["x-polyport-csrf"] = session.csrf;
  let reply;
  try {
    reply = await fetch(new URL(path, ROOT), {
      method,
      headers: sent,
      signal,
      credentials: "same-origin",
      cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble("The gateway cannot be reached. Is it running, and is this device online?");
  }
  if (reply.ok) return reply;
  const told = await reply.json().catch(() => ({}));
  const message = told?.error?.message || told?.detail || `The gateway answered ${reply.status}.`;
  if (reply.status === 401 && session.name && !path.startsWith("auth/")) lost.dispatchEvent(new Event("out"));
  throw Object.assign(new Trouble(String(message), reply.status, told?.error?.code ?? ""), { told });
}

async function json(method, path, body, options) {
  return (await open(method, path, body, options)).json();
}

const query = (values) =>
  new URLSearchParams(Object.entries(values ?? {}).filter(([, v]) => v !== undefined && v !== null && v !== ""));

/** Read: get("key/list", {team_id: "red"}). */
export function get(path, values, options) {
  const asked = query(values).toString();
  return json("GET", asked ? `${path}?${asked}` : path, undefined, options);
}

export const post = (path, body = {}, options) => json("POST", path, body, options);

/** Where a file can be fetched from by the browser itself. */
export const address = (path, values) => `${new URL(path, ROOT)}?${query(values)}`;

/** All of a list, page by page, as far as `most` rows. */
export async function list(kind, values = {}, most = 5000) {
  const rows = [];
  for (;;) {
    const page = (await get(`${kind}/list`, { ...values, limit: 1000, after: rows.at(-1)?.[`${kind}_id`] }))[
      `${kind}s`
    ];
    rows.push(...page);
    if (page.length < 1000 || rows.length >= most) return rows;
  }
}

// --- who is signed in ---

function taken(told) {
  Object.assign(session, { name: told.name, role: told.role ?? "", csrf: told.csrf ?? "", teams: told.teams ?? [] });
  return told;
}

/** Return {signed, providers}: whether a session is there, and whom one may sign in with. */
export async function look() {
  try {
    const told = taken(await get("auth/session"));
    return { signed: true, providers: told.providers ?? [] };
  } catch (error) {
    if (error.status !== 401) throw error;
    return { signed: false, providers: error.told?.providers ?? [] };
  }
}

export const signIn = async (given) => taken(await post("auth/login", given));

export async function signOut() {
  try {
    await post("auth/logout");
  } finally {
    Object.assign(session, { name: "", role: "", csrf: "", teams: [] });
  }
}

/** Where somebody goes to sign in at a provider, and comes back from to the page that was asked for. */
export const oidcAddress = (id) =>
  address(`auth/oidc/${encodeURIComponent(id)}/start`, { next: location.pathname + location.hash });

/** Whether the one who is signed in may change what concerns everybody. */
export const isAdmin = () => session.role === "admin";
export const mayChange = () => ["admin", "team_admin", "member"].includes(session.role);
export const seesAll = () => ["admin", "viewer"].includes(session.role);
