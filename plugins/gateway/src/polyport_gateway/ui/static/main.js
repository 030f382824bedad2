// The pages' frame: who is signed in, the menu, and which page an address is. Addresses are fragments, #/keys/key_1?a=b,
// so that the gateway serves one document.

import * as api from "./api.js";
import { fill, h, icon, mark } from "./dom.js";
import { complain, trying } from "./notices.js";
import { head, into } from "./view.js";

/** Address's first word -> its module, its name in the menu, and for whom it is. */
const PAGES = {
  overview: { title: "Overview", load: () => import("./pages/overview.js") },
  requests: { title: "Requests", load: () => import("./pages/requests.js") },
  playground: {
    title: "Playground",
    load: () => import("./pages/playground.js"),
    hidden: () => api.session.role === "viewer",
  },
  keys: { title: "Keys", load: () => import("./pages/keys.js"), group: "Access" },
  teams: { title: "Teams", load: () => import("./pages/teams.js") },
  users: { title: "Users", load: () => import("./pages/users.js") },
  projects: { title: "Projects", load: () => import("./pages/projects.js") },
  customers: { title: "Customers", load: () => import("./pages/customers.js") },
  budgets: { title: "Budgets", load: () => import("./pages/budgets.js") },
  models: { title: "Models", load: () => import("./pages/models.js"), group: "Gateway", hidden: () => !api.seesAll() },
  audit: { title: "Audit log", load: () => import("./pages/audit.js"), hidden: () => !api.seesAll() },
  settings: { title: "Settings", load: () => import("./pages/settings.js"), hidden: () => !api.seesAll() },
};
const app = document.getElementById("app");
let visit = null;

// --- which page ---

/** Read an address: #/keys/key_1?team=red -> {word, id, values}. */
function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [word, ...rest] = path.split("/");
  return {
    word: word || "overview",
    id: rest.length ? decodeURIComponent(rest.join("/")) : "",
    values: Object.fromEntries(new URLSearchParams(query)),
  };
}

async function go() {
  if (!location.hash.startsWith("#/") && location.hash) return; // the skip link
  const place = read();
  const page = Object.hasOwn(PAGES, place.word) ? PAGES[place.word] : null;
  visit?.abort();
  visit = new AbortController();
  const { signal } = visit;
  closeMenu();
  for (const link of document.querySelectorAll(".nav a")) {
    if (link.dataset.word === place.word) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const main = document.getElementById("main");
  document.title = `${page?.title ?? "Not found"} · polyport`;
  if (!page) {
    fill(main, head({ title: "There is no such page", text: "The menu has all that there are." }));
  } else {
    const view = h("div", {});
    fill(main, view);
    await into(view, async () => (await loaded(page)).render({ ...place, signal }), { title: page.title });
    if (signal.aborted) return;
  }
  window.scrollTo(0, 0);
  main.querySelector("h1")?.focus({ preventScroll: true });
}

async function loaded(page) {
  try {
    return await page.load();
  } catch {
    throw new api.Trouble("This page could not be loaded from the gateway. Is it running, and is this device online?");
  }
}

// --- the frame ---

function frame() {
  const links = Object.entries(PAGES)
    .filter(([, page]) => !page.hidden?.())
    .map(([word, page]) => [
      page.group && h("p", { class: "nav-title" }, page.group),
      h("a", { href: `#/${word}`, "data-word": word }, icon(word), page.title),
    ]);
  const out = h(
    "button",
    {
      class: "btn tiny",
      type: "button",
      click: () =>
        trying(async () => {
          await api.signOut();
          await begin();
        }),
    },
    icon("out"),
    "Sign out",
  );
  fill(
    app,
    h(
      "div",
      { class: "frame" },
      h(
        "header",
        { class: "bar" },
        h(
          "button",
          {
            class: "btn quiet",
            type: "button",
            id: "menu",
            "aria-expanded": "false",
            "aria-controls": "side",
            "aria-label": "Menu",
            click: toggleMenu,
          },
          icon("menu"),
        ),
        h("a", { class: "brand", href: "#/overview" }, mark(), "polyport"),
      ),
      h(
        "aside",
        { class: "side", id: "side", "aria-label": "Menu and account" },
        h("a", { class: "brand", href: "#/overview" }, mark(), "polyport"),
        h("nav", { class: "nav", "aria-label": "Pages" }, links),
        h(
          "div",
          { class: "who" },
          h(
            "div",
            {},
            h("div", { class: "who-name" }, api.session.name),
            h("div", { class: "small soft" }, roleWords()),
          ),
          h("div", { class: "who-row" }, out, themeButton()),
        ),
      ),
      h("main", { id: "main", tabindex: "-1" }),
    ),
  );
}

const roleWords = () =>
  ({ admin: "Admin", viewer: "Viewer: reads everything", team_admin: "Team admin", member: "Member" })[
    api.session.role
  ] ?? "Own key only";

function toggleMenu() {
  const side = document.getElementById("side");
  if (side.classList.contains("open")) return closeMenu(true);
  side.classList.add("open");
  document.getElementById("menu").setAttribute("aria-expanded", "true");
  side.before(h("div", { class: "veil", click: () => closeMenu(true) }));
  document.getElementById("main").inert = true;
  side.querySelector(".nav a").focus();
}

function closeMenu(back = false) {
  const side = document.getElementById("side");
  if (!side?.classList.contains("open")) return;
  side.classList.remove("open");
  document.querySelector(".veil")?.remove();
  document.getElementById("main").inert = false;
  document.getElementById("menu").setAttribute("aria-expanded", "false");
  if (back) document.getElementById("menu").focus();
}

// --- light and dark ---

const dark = () =>
  (document.documentElement.dataset.theme ??
    (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

export function themeButton() {
  const button = h("button", {
    class: "btn tiny",
    type: "button",
    click: () => {
      const next = dark() ? "light" : "dark";
      document.documentElement.dataset.theme = next;
      try {
        localStorage.setItem("polyport-theme", next);
      } catch {
        /* it holds until the page is left */
      }
      draw();
    },
  });
  const draw = () => {
    fill(button, icon(dark() ? "light" : "dark"));
    button.setAttribute("aria-label", dark() ? "Use light colours" : "Use dark colours");
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
  return button;
}

// --- beginning, and signing in ---

async function begin() {
  try {
    const found = await api.look();
    if (found.signed) return enter();
    const { render } = await import("./pages/signin.js");
    visit?.abort();
    fill(app, render({ providers: found.providers, entered: enter, theme: themeButton() }));
    document.title = "Sign in · polyport";
    app.querySelector("input")?.focus();
  } catch (error) {
    fill(
      app,
      h(
        "main",
        { id: "main", class: "boot" },
        h("p", { role: "alert" }, error.message),
        h("button", { class: "btn", type: "button", click: begin }, "Try again"),
      ),
    );
  }
}

async function enter() {
  frame();
  if (!location.hash) history.replaceState(null, "", "#/overview");
  await go();
}

api.onSignedOut(async () => {
  document.querySelectorAll("dialog").forEach((box) => box.close());
  await begin();
  complain("Your session is over. Sign in again to go on.");
});
addEventListener("hashchange", () => {
  if (document.querySelector(".frame")) go();
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeMenu(true);
});
begin();
