// The playground: a conversation with any model, streamed, with what it cost.

import * as api from "../api.js";
import { fill, h } from "../dom.js";
import * as format from "../format.js";
import { models, namesOf } from "../names.js";
import { empty, head } from "../view.js";

/** Tries to find a call in the ledger, and seconds between them: it is written down after the answer. */
const TRIES = 12,
  PAUSE = 0.3;

export async function render({ signal }) {
  const known = await models();
  if (!known.length)
    return h(
      "div",
      {},
      head({ title: "Playground" }),
      h("div", { class: "card" }, empty("No models", "You may use none, or none is configured.")),
    );
  const talk = [];
  let running = null;
  signal.addEventListener("abort", () => running?.abort());

  const field = (id, label, node, hint) =>
    h("div", { class: "field" }, h("label", { for: id }, label), node, hint && h("span", { class: "hint" }, hint));
  const model = h(
    "select",
    { id: "play-model" },
    known.map((one) => h("option", { value: one }, one)),
  );
  const mine = api.session.teams;
  const teamName = mine.length > 1 ? await namesOf("team") : null;
  const team = h(
    "select",
    { id: "play-team" },
    mine.map((one) => h("option", { value: one }, teamName ? teamName(one) : one)),
  );
  const system = h("textarea", { id: "play-system", placeholder: "You are a helpful assistant." });
  const temperature = h("input", {
    id: "play-temperature",
    type: "text",
    inputmode: "decimal",
    placeholder: "the model's own",
    autocomplete: "off",
  });
  const most = h("input", {
    id: "play-most",
    type: "text",
    inputmode: "numeric",
    placeholder: "the model's own",
    autocomplete: "off",
  });
  const said = h(
    "div",
    { class: "said", tabindex: "0", role: "log", "aria-label": "Conversation", "aria-live": "off" },
    start(),
  );
  const heard = h("p", { class: "sr", role: "status" });
  const wrong = h("p", { class: "wrong", role: "alert" });
  const question = h("textarea", {
    id: "play-question",
    placeholder: "Ask something",
    rows: "2",
    "aria-label": "Your message",
    keydown: (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        form.requestSubmit();
      }
      if (event.key === "Escape") running?.abort();
    },
  });
  const send = h("button", { class: "btn main", type: "submit" }, "Send");
  const stop = h(
    "button",
    { class: "btn danger", type: "button", hidden: true, click: () => running?.abort() },
    "Stop",
  );
  const form = h(
    "form",
    {
      class: "ask",
      submit: (event) => {
        event.preventDefault();
        ask();
      },
    },
    question,
    h("div", { class: "actions" }, stop, send),
  );

  function start() {
    return empty(
      "Nothing said yet",
      "What you ask is sent to the model as any request is: limits hold, and it costs what it costs. This page keeps nothing of it.",
    );
  }

  function settings() {
    const read = (node, name, whole) => {
      const value = node.value.trim();
      if (value === "") return undefined;
      const number = Number(value);
      if (!Number.isFinite(number) || number < 0 || (whole && !Number.isInteger(number)))
        throw Object.assign(new Error(`${name} must be a ${whole ? "whole " : ""}number of 0 or more.`), {
          field: node,
        });
      return number;
    };
    return {
      model: model.value,
      temperature: read(temperature, "Temperature"),
      max_tokens: read(most, "Most tokens", true),
    };
  }

  async function ask() {
    const text = question.value.trim();
    if (!text || running) return;
    fill(wrong);
    let given;
    try {
      given = settings();
    } catch (error) {
      fill(wrong, error.message);
      return error.field.focus();
    }
    question.value = "";
    talk.push({ role: "user", content: text });
    if (talk.length === 1) fill(said);
    said.append(turn("user", "You", text).node);
    const reply = turn("assistant", given.model, "");
    reply.words.classList.add("caret");
    said.append(reply.node);
    said.scrollTop = said.scrollHeight;
    running = new AbortController();
    stop.hidden = false;
    send.disabled = true;
    try {
      await answer(given, reply);
    } finally {
      running = null;
      stop.hidden = true;
      send.disabled = false;
      reply.words.classList.remove("caret");
      if (document.activeElement === document.body || document.activeElement === stop) question.focus();
    }
  }

  async function answer(given, reply) {
    const messages = [...(system.value.trim() ? [{ role: "system", content: system.value.trim() }] : []), ...talk];
    const began = performance.now();
    const seen = { text: "", usage: null, first: null, id: "", headers: null };
    let ended = "";
    try {
      const response = await api.open(
        "POST",
        "v1/chat/completions",
        { ...given, messages, stream: true, stream_options: { include_usage: true } },
        { signal: running.signal, headers: mine.length > 1 ? { "x-polyport-team": team.value } : {} },
      );
      seen.headers = response.headers;
      seen.id = response.headers.get("x-polyport-request-id") ?? "";
      for await (const event of events(response.body)) {
        if (event.error) throw new api.Trouble(event.error.message ?? "The stream broke off.");
        const delta = event.choices?.[0]?.delta;
        const piece = delta?.content ?? "";
        if (piece && seen.first === null) seen.first = (performance.now() - began) / 1000;
        seen.text += piece;
        if (event.usage) seen.usage = event.usage;
        const near = said.scrollHeight - said.scrollTop - said.clientHeight < 60;
        reply.words.textContent = seen.text;
        if (near) said.scrollTop = said.scrollHeight;
      }
    } catch (error) {
      ended = error.name === "AbortError" ? "stopped" : error.message;
      if (error.name !== "AbortError") fill(wrong, error.message);
    }
    seen.seconds = (performance.now() - began) / 1000;
    if (seen.text) talk.push({ role: "assistant", content: seen.text });
    else if (ended) talk.pop();
    heard.textContent = seen.text ? `${given.model} said: ${seen.text}` : "";
    fill(reply.meta, measures(seen, ended));
    if (seen.id && !signal.aborted) await cost(seen, ended, reply.meta);
  }

  async function cost(seen, ended, place) {
    for (let n = 0; n < TRIES && !signal.aborted; n += 1) {
      const { results } = await api
        .get("spend/logs", { request_id: seen.id, limit: 1 }, { signal })
        .catch(() => ({ results: [] }));
      if (results.length)
        return fill(
          place,
          measures(seen, ended, results[0]),
          " · ",
          h("a", { href: `#/requests/${seen.id}` }, "Its story"),
        );
      await new Promise((done) => setTimeout(done, PAUSE * 1000));
    }
    return undefined;
  }

  return h(
    "div",
    {},
    head({
      title: "Playground",
      text: "Talk to any model, as programs do.",
      actions: h(
        "button",
        {
          class: "btn",
          type: "button",
          click: () => {
            running?.abort();
            talk.length = 0;
            fill(said, start());
            fill(wrong);
            question.focus();
          },
        },
        "Start anew",
      ),
    }),
    h(
      "div",
      { class: "play" },
      h("section", { class: "card talk", "aria-label": "Talk" }, said, heard, h("div", {}, wrong), form),
      h(
        "section",
        { class: "card", "aria-label": "Settings" },
        h(
          "div",
          { class: "form" },
          field("play-model", "Model", model),
          mine.length > 1 && field("play-team", "Team", team, "Whose limits and budget this counts on."),
          field("play-system", "System prompt", system),
          field("play-temperature", "Temperature", temperature),
          field("play-most", "Most tokens", most, "How long the answer may be."),
        ),
      ),
    ),
  );
}

function turn(role, who, text) {
  const words = h("p", {}, text),
    meta = h("div", { class: "meta" });
  return {
    words,
    meta,
    node: h(
      "div",
      { class: `turn ${role}` },
      role === "assistant" && h("span", { class: "who-says" }, who),
      words,
      role === "assistant" && meta,
    ),
  };
}

/** What a call came to: from its headers and its end, and the cost from the ledger. */
function measures(seen, ended, request) {
  const tokens = seen.usage
    ? `${format.count(seen.usage.prompt_tokens)} in, ${format.count(seen.usage.completion_tokens)} out`
    : null;
  const from = seen.headers?.get("x-polyport-deployment") || seen.headers?.get("x-polyport-provider");
  return [
    ended,
    request && format.usd(request.spend),
    tokens,
    seen.first !== null && `first word ${format.span(seen.first)}`,
    format.span(seen.seconds),
    from && `by ${from}`,
    seen.headers?.get("x-polyport-cache") && "from the cache",
  ]
    .filter(Boolean)
    .join(" · ");
}

/** The JSON of a body's server-sent events. https://html.spec.whatwg.org/multipage/server-sent-events.html */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += value ?? "";
    const parts = rest.split(/\r?\n\r?\n/);
    rest = parts.pop();
    for (const part of parts) {
      const data = part
        .split(/\r?\n/)
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5).trimStart())
        .join("\n");
      if (data && data !== "[DONE]") yield JSON.parse(data);
    }
    if (done) return;
  }
}
