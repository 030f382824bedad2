// Elements from plain calls. Every text becomes a text node: nothing here, or anywhere in these pages, parses HTML, so
// that a key's alias which is a script stays a name.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "path", "g", "rect", "line", "text", "circle", "title", "desc"]);

/** Make an element: h("a", {href: "#/keys", class: "name"}, "Keys"). Properties that are functions are listeners. */
export function h(tag, props = {}, ...children) {
  const svg = (SVG_TAGS.has(tag) && tag !== "title") || (tag === "title" && props?.svg);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) set(node, name, value);
  add(node, children);
  return node;
}

function set(node, name, value) {
  if (value === null || value === undefined || value === false || name === "svg") return;
  if (typeof value === "function") node.addEventListener(name.replace(/^on/, ""), value);
  else if (name === "value" || name === "checked" || name === "selected") node[name] = value;
  else node.setAttribute(name, value === true ? "" : String(value));
}

function add(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Put children in the place of what a node has. */
export function fill(node, ...children) {
  node.replaceChildren();
  add(node, children);
  return node;
}

/** An empty or a filled place for a value that may be missing. */
export const dash = () =>
  h("span", { class: "faint" }, h("span", { "aria-hidden": "true" }, "–"), h("span", { class: "sr" }, "none"));

let count = 0;
/** A name for an element that no other has. */
export const unique = (word) => `${word}-${++count}`;

const ICONS = {
  overview: "M2 13V8m4 5V3m4 10V6m4 7V9",
  requests: "M3 4h10M3 8h10M3 12h6",
  playground: "M3 3h10v7H8l-3 3v-3H3z",
  models: "M8 2l5 3v6l-5 3-5-3V5zM3 5l5 3 5-3M8 8v6",
  keys: "M10.5 2.5a3 3 0 1 1-2.2 5L4 11.8V14H2v-3l4.6-4.7a3 3 0 0 1 3.9-3.8z",
  teams:
    "M6 7.5a2.3 2.3 0 1 0 0-4.6 2.3 2.3 0 0 0 0 4.6zM1.8 13.5c0-2.5 1.9-4 4.2-4s4.2 1.5 4.2 4M10.5 3.2a2.2 2.2 0 0 1 0 4.1M11.5 9.7c1.6.4 2.7 1.7 2.7 3.8",
  users: "M8 8a2.8 2.8 0 1 0 0-5.6A2.8 2.8 0 0 0 8 8zM2.8 14c0-2.9 2.3-4.4 5.2-4.4s5.2 1.5 5.2 4.4",
  projects: "M2 4.5h4l1.5 2H14v7H2z",
  customers: "M2.5 13.5v-9l5.5-2v11M8 6h5.5v7.5M1.5 13.5h13M5 6.5v0M5 9.5v0M10.8 9v0",
  budgets:
    "M8 2v12M11 4.6C10.4 3.8 9.3 3.4 8 3.4c-1.8 0-3 .8-3 2.1 0 3 6 1.6 6 4.8 0 1.400-1.300 2.300-3 2.300-1.500 0-2.600-.5-3.200-1.400",
  audit: "M4 2h6l3 3v9H4zM6 8h4M6 11h4",
  settings: "M2 5h7m3 0h2M2 11h2m3 0h7M10.500 3.300v3.400M5.500 9.300v3.400",
  menu: "M2 4h12M2 8h12M2 12h12",
  light:
    "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  dark: "M13.500 9.500A5.800 5.800 0 0 1 6.500 2.500a5.800 5.800 0 1 0 7 7z",
  copy: "M5.500 5.500h8v8h-8zM3 10.500H2.500v-8h8V3",
  plus: "M8 3v10M3 8h10",
  out: "M6 2.500H2.500v11H6M6 8h8M11 5l3 3-3 3",
};

/** A small picture, hidden from those who listen: the words beside it say the same. */
export const icon = (name) =>
  h(
    "svg",
    {
      viewBox: "0 0 16 16",
      "aria-hidden": "true",
      fill: "none",
      stroke: "currentColor",
      "stroke-width": "1.5",
      "stroke-linecap": "round",
      "stroke-linejoin": "round",
    },
    h("path", { d: ICONS[name] }),
  );

export const mark = () =>
  h(
    "svg",
    { viewBox: "0 0 32 32", "aria-hidden": "true" },
    h("rect", { width: 32, height: 32, rx: 7, fill: "#0d5c75" }),
    h("path", {
      d: "M7 9h6l6 7h6M7 23h6l6-7M7 16h18",
      fill: "none",
      stroke: "#fff",
      "stroke-width": 2.4,
      "stroke-linecap": "round",
    }),
  );
