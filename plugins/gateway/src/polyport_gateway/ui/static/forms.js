// Fields of forms, described: {name, label, kind, hint, ...}. A kind draws its control, and reads a value from it; what
// cannot be read is said beside the field.

import { fill, h, unique } from "./dom.js";

class Wrong extends Error {}

const text = (field, value, props = {}) =>
  h("input", {
    id: unique(field.name),
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
    value: value ?? "",
    placeholder: field.placeholder,
    maxlength: "255",
    ...props,
  });

function number(node, { whole = false } = {}) {
  const given = node.value.trim().replaceAll(",", "");
  if (given === "") return null;
  const value = Number(given);
  if (!Number.isFinite(value) || value < 0)
    throw new Wrong("Write a number of 0 or more, or leave it empty for no limit.");
  if (whole && !Number.isInteger(value)) throw new Wrong("Write a whole number.");
  return value;
}

function object(node) {
  if (!node.value.trim()) return {};
  try {
    const value = JSON.parse(node.value);
    if (value && typeof value === "object" && !Array.isArray(value)) return value;
  } catch {
    /* said below */
  }
  throw new Wrong('Write a JSON object, such as {"stage": "test"}.');
}

/** Kind of field -> how it is drawn, with `value`, and how it is read. */
const KINDS = {
  text: {
    draw: (field, value) => {
      const node = text(field, value);
      return { node, control: node, read: () => node.value.trim() };
    },
  },
  number: {
    draw: (field, value) => {
      const node = text(field, value, { inputmode: "decimal" });
      return { node, control: node, read: () => number(node) };
    },
  },
  count: {
    draw: (field, value) => {
      const node = text(field, value, { inputmode: "numeric" });
      return { node, control: node, read: () => number(node, { whole: true }) };
    },
  },
  usd: {
    draw: (field, value) => {
      const control = text(field, value, { inputmode: "decimal" });
      return {
        node: h("div", { class: "affix" }, h("span", { "aria-hidden": "true" }, "$"), control),
        control,
        read: () => number(control),
      };
    },
  },
  choice: {
    draw: (field, value) => {
      const known =
        field.options.some(([one]) => one === value) || !value ? field.options : [...field.options, [value, value]];
      const node = h(
        "select",
        { id: unique(field.name) },
        known.map(([one, words]) => h("option", { value: one, selected: one === (value ?? "") }, words)),
      );
      return { node, control: node, read: () => node.value };
    },
  },
  check: {
    draw: (field, value) => {
      const control = h("input", { id: unique(field.name), type: "checkbox", checked: Boolean(value) });
      return { node: control, control, read: () => control.checked };
    },
  },
  object: {
    draw: (field, value) => {
      const filled = value && Object.keys(value).length ? JSON.stringify(value, null, 2) : "";
      const node = h("textarea", {
        id: unique(field.name),
        class: "mono",
        spellcheck: "false",
        placeholder: field.placeholder,
        value: filled,
      });
      return { node, control: node, read: () => object(node) };
    },
  },
  instant: {
    draw: (field, value) => {
      const node = h("input", { id: unique(field.name), type: "datetime-local", value: value ? local(value) : "" });
      return { node, control: node, read: () => (node.value ? new Date(node.value).getTime() / 1000 : null) };
    },
  },
  names: { draw: chips },
  members: { draw: members },
};

function local(at) {
  const date = new Date(at * 1000);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

/** A list of names: typed and ended by Enter or a comma, or chosen from those that are known. */
function chips(field, value) {
  const names = [...(value ?? [])];
  const listed = field.known?.length ? unique("known") : null;
  const control = text(field, "", { list: listed, placeholder: field.placeholder ?? "Add …" });
  const shown = h("span", { class: "tags" });
  const node = h(
    "div",
    { class: "chips" },
    shown,
    control,
    listed &&
      h(
        "datalist",
        { id: listed },
        field.known.map((one) => h("option", { value: one })),
      ),
  );
  const draw = () =>
    fill(
      shown,
      names.map((one, place) =>
        h(
          "span",
          { class: "chip" },
          one,
          h(
            "button",
            {
              type: "button",
              "aria-label": `Remove ${one}`,
              click: () => {
                names.splice(place, 1);
                draw();
                control.focus();
              },
            },
            "×",
          ),
        ),
      ),
    );
  const take = () => {
    for (const one of control.value.split(",").map((part) => part.trim()))
      if (one && !names.includes(one)) names.push(one);
    control.value = "";
    draw();
  };
  control.addEventListener("keydown", (event) => {
    if ((event.key === "Enter" && control.value.trim()) || event.key === ",") {
      event.preventDefault();
      take();
    } else if (event.key === "Backspace" && !control.value && names.length) {
      names.pop();
      draw();
    }
  });
  control.addEventListener("change", take);
  draw();
  return {
    node,
    control,
    read: () => {
      take();
      return [...names];
    },
  };
}

/** Who is in a team: users and what each may do there. */
function members(field, value) {
  const rows = Object.entries(value ?? {});
  const list = h("ul", { class: "members" });
  const add = h(
    "button",
    {
      class: "btn tiny",
      type: "button",
      id: unique(field.name),
      click: () => {
        rows.push(["", "member"]);
        draw();
        list.lastElementChild.querySelector("input, select").focus();
      },
    },
    "Add a member",
  );
  const listed = unique("users");
  const draw = () =>
    fill(
      list,
      rows.map((row, place) =>
        h(
          "li",
          {},
          h("input", {
            type: "text",
            list: listed,
            "aria-label": `Member ${place + 1}, user id`,
            value: row[0],
            placeholder: "user id",
            spellcheck: "false",
            autocomplete: "off",
            input: (event) => {
              row[0] = event.target.value.trim();
            },
          }),
          h(
            "select",
            {
              "aria-label": `Member ${place + 1}, may`,
              change: (event) => {
                row[1] = event.target.value;
              },
            },
            [
              ["member", "Member"],
              ["admin", "Admin"],
            ].map(([one, words]) => h("option", { value: one, selected: one === row[1] }, words)),
          ),
          h(
            "button",
            {
              class: "btn quiet tiny",
              type: "button",
              "aria-label": `Remove member ${place + 1}`,
              click: () => {
                rows.splice(place, 1);
                draw();
                add.focus();
              },
            },
            "×",
          ),
        ),
      ),
    );
  draw();
  const node = h(
    "div",
    { class: "form" },
    list,
    h("div", {}, add),
    h(
      "datalist",
      { id: listed },
      (field.known ?? []).map(([id, name]) => h("option", { value: id }, name)),
    ),
  );
  return { node, control: add, read: () => Object.fromEntries(rows.filter(([id]) => id)) };
}

/**
 * Draw fields, with values. `sections` are [title or null, fields]; a section with a title can be folded in. Returns the
 * nodes and `read`, which returns the values that are not what they were, and throws what names the field.
 */
export function fields(sections, values = {}) {
  const drawn = [];
  const one = (field) => {
    const { node, control, read } = KINDS[field.kind].draw(field, values[field.name]);
    const wrong = h("span", { class: "wrong", id: unique("wrong") });
    const hint = field.hint && h("span", { class: "hint", id: unique("hint") }, field.hint);
    control.setAttribute("aria-describedby", [hint?.id, wrong.id].filter(Boolean).join(" "));
    if (field.autofocus) control.setAttribute("autofocus", "");
    drawn.push({ field, control, read, wrong, before: JSON.stringify(read()) });
    const label = h("label", { for: control.id }, field.label);
    return h(
      "div",
      { class: "field" },
      field.kind === "check" ? h("div", { class: "check" }, node, label) : [label, node],
      hint,
      wrong,
    );
  };
  const rows = (list) =>
    list.map((item) => (Array.isArray(item) ? h("div", { class: "pair" }, item.map(one)) : one(item)));
  const nodes = sections.map(([title, list]) =>
    title
      ? h("details", {}, h("summary", {}, title), h("div", { class: "form" }, rows(list)))
      : h("div", { class: "form" }, rows(list)),
  );

  function read({ all = false } = {}) {
    const found = {};
    let first = null;
    for (const { field, control, read: value, wrong, before } of drawn) {
      fill(wrong);
      control.removeAttribute("aria-invalid");
      try {
        const now = value();
        if (field.needed && !now) throw new Wrong(`${field.label} is needed.`);
        if (all ? !vacant(now) : JSON.stringify(now) !== before) found[field.name] = now;
      } catch (error) {
        if (!(error instanceof Wrong)) throw error;
        fill(wrong, error.message);
        control.setAttribute("aria-invalid", "true");
        control.closest("details")?.setAttribute("open", "");
        first ??= { control, message: `${field.label}: ${error.message}` };
      }
    }
    if (first) throw Object.assign(new Error(first.message), { field: first.control });
    return found;
  }
  return { nodes: h("div", { class: "form" }, nodes), read };
}

const vacant = (value) =>
  value === null || value === "" || value === false || (typeof value === "object" && !Object.keys(value).length);
