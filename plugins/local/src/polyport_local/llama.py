"""Chat, completion and embeddings with any GGUF file, on llama.cpp through `xllamacpp`.

A file is loaded once per process and settings, however many `Llama` objects use it, and its memory is given back
when the last of them is closed. Requests and replies are OpenAI's JSON, which llama.cpp's own server code reads
and writes; what it lacks (`n`, tools for models that were taught none) is added here.

https://github.com/xorbitsai/xllamacpp and
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md#api-endpoints
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import xllamacpp  # type: ignore[import-untyped]

from polyport.errors import (
    APIError,
    BadRequestError,
    ContextWindowExceededError,
    InternalServerError,
    InvalidResponseError,
    class_for_status,
)
from polyport_local import tools
from polyport_local.gguf import Header, read_header
from polyport_local.streams import Stream
from polyport_local.threads import spare_cores

Json: TypeAlias = dict[str, Any]

#: Tokens in a batch of the prompt: a closed stream is noticed between batches. 128 take a second on two slow cores.
PROMPT_BATCH = 128
#: The longest path of a Unix socket on the strictest system, less the name of the file.
_SOCKET_PATH = 90


class Settings(msgspec.Struct, frozen=True):
    """How a file is loaded. Two different settings are two loads.

    `context` is in tokens, shared by the requests that run at the same time (at most `slots`); None takes what the
    model was trained for, at most 4096. `threads` None leaves one core free. `chat_template` (Jinja) replaces the
    file's own.
    """

    path: Path
    context: int | None = None
    threads: int | None = None
    slots: int = 4
    chat_template: str | None = None
    embedding: bool = False


class Loaded:
    """A model in memory, or about to be: loaded by the first request."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.header: Header = read_header(settings.path)
        self.users = 0
        self._lock = threading.Lock()
        self._server: Any = None
        self._socket_folder: str | None = None
        self._streams: set[Stream[Json]] = set()

    @property
    def knows_tools(self) -> bool:
        """Whether the template in use has a place for tools."""
        template = self.settings.chat_template
        return self.header.knows_tools if template is None else "tools" in template

    def server(self) -> Any:
        """Return the running xllamacpp server, loading the model if need be."""
        with self._lock:
            if self._server is None:
                self._server = self._load()
            return self._server

    def stream(self, work: Callable[[Stream[Json]], None]) -> Stream[Json]:
        """Return a stream that `unload` knows of and ends."""
        stream = Stream(work, self._streams.discard)
        self._streams.add(stream)
        return stream

    def unload(self) -> None:
        """End the streams and give the memory back."""
        for stream in list(self._streams):
            stream.close()
            stream.join()
        with self._lock:
            self._server = None
            if self._socket_folder is not None:
                shutil.rmtree(self._socket_folder, ignore_errors=True)
                self._socket_folder = None

    def _load(self) -> Any:
        params = self._params()
        try:
            server = xllamacpp.Server(params)
        except RuntimeError as error:
            kind = self.header.architecture
            raise BadRequestError(
                f"llama.cpp could not load {self.settings.path} (architecture {kind}): the file is damaged, too big "
                "for the memory there is, or of a kind this version of xllamacpp does not know",
                provider="local",
            ) from error
        # Its destructor waits for a loop that may not have begun to run: this answer comes from within the loop.
        server.handle_metrics()
        return server

    def _params(self) -> Any:
        settings = self.settings
        params = xllamacpp.CommonParams()
        params.model.path = str(settings.path)
        params.verbosity = -1
        params.n_ctx = settings.context or min(self.header.context or 4096, 4096)
        params.n_batch = params.n_ubatch = params.n_ctx if settings.embedding else PROMPT_BATCH
        params.n_parallel, params.kv_unified = settings.slots, True
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads or spare_cores()
        params.warmup = params.fit_params = False
        params.cache_ram_mib = 0  # the default keeps up to 8 GiB of old prompts
        params.endpoint_metrics = True
        if settings.chat_template is not None:
            params.chat_template = settings.chat_template
        if settings.embedding:
            params.embedding = True
            if self.header.pooling is None:
                params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        self._bolt(params)
        return params

    def _bolt(self, params: Any) -> None:
        """Shut the HTTP server that xllamacpp starts beside the calls we use: no TCP port, and a key nobody has."""
        params.api_keys = [secrets.token_urlsafe(32)]
        params.n_threads_http = 1
        params.endpoint_slots = False
        if os.name == "posix":
            folder = tempfile.mkdtemp(prefix="polyport-")
            self._socket_folder = folder
            if len(folder) < _SOCKET_PATH:
                params.hostnames = [f"{folder}/llama.sock"]


_loaded: dict[Settings, Loaded] = {}
_loaded_lock = threading.Lock()


def _acquire(settings: Settings) -> Loaded:
    with _loaded_lock:
        if settings not in _loaded:
            _loaded[settings] = Loaded(settings)
        model = _loaded[settings]
        model.users += 1
        return model


def _release(model: Loaded) -> None:
    with _loaded_lock:
        model.users -= 1
        if model.users > 0:
            return
        _loaded.pop(model.settings, None)
    model.unload()


@atexit.register
def _unload_all() -> None:
    """Stop llama.cpp's threads before the interpreter goes away under them."""
    while _loaded:
        _loaded.popitem()[1].unload()


class Ask(msgspec.Struct, frozen=True):
    """A chat request made ready: what llama.cpp is sent, and what is done to its answer."""

    body: Json
    count: int
    plan: tools.Plan | None
    json_only: bool
    include_usage: bool


class Llama:
    """A GGUF model. Methods block and may be called from any thread; `slots` requests run at the same time."""

    def __init__(self, settings: Settings, *, name: str, sampling: Mapping[str, float] | None = None) -> None:
        self.name = name
        self._sampling = dict(sampling or {})
        self._model = _acquire(msgspec.structs.replace(settings, path=settings.path.resolve()))
        self._open = True

    @property
    def header(self) -> Header:
        """What the file says of itself."""
        return self._model.header

    @property
    def knows_tools(self) -> bool:
        """Whether the model's template has a place for tools; otherwise they are described in words."""
        return self._model.knows_tools

    def chat(self, body: Json) -> Json:
        """Answer a chat request: OpenAI's JSON in and out. Raises an APIError."""
        ask = self._ask(body)
        replies = [self._call("handle_chat_completions", one) for one in _repeat(ask)]
        for reply in replies:
            self._finish(reply["choices"][0], ask, reply["id"])
        return self._merge(replies)

    def stream(self, body: Json) -> Stream[Json]:
        """Answer a chat request piece by piece: an iterator of OpenAI's chunks. Closing it stops the generation."""
        ask = self._ask(body)

        def work(out: Stream[Json]) -> None:
            chunks = ChatChunks(ask, self.name, out)
            for index, one in enumerate(_repeat(ask)):
                chunks.begin(index)
                self._call("handle_chat_completions", {**one, **_STREAMED}, chunks.take)
                if out.closed:
                    return
            chunks.end()

        return self._model.stream(work)

    def complete(self, body: Json) -> Json:
        """Continue one or several prompts: OpenAI's legacy completion."""
        prompts = _prompts(body.get("prompt"))
        count = _count(body)
        echo = bool(body.get("echo"))
        replies = []
        for prompt in prompts:
            for index in range(count):
                reply = self._call("handle_completions", self._completion(body, prompt, index))
                choice = reply["choices"][0]
                choice["text"] = (prompt if echo else "") + choice["text"]
                choice["logprobs"] = _legacy_logprobs(choice.get("logprobs"), len(prompt) if echo else 0)
                replies.append(reply)
        return self._merge(replies, prompts=count)

    def stream_completion(self, body: Json) -> Stream[Json]:
        """Continue prompts piece by piece: chunks of OpenAI's legacy completion."""
        prompts = _prompts(body.get("prompt"))
        count = _count(body)
        echo = bool(body.get("echo"))
        include_usage = _wants_usage(body)

        def work(out: Stream[Json]) -> None:
            chunks = TextChunks(self.name, out, include_usage=include_usage)
            for index in range(len(prompts) * count):
                prompt = prompts[index // count]
                chunks.begin(index, prompt if echo else "", new_prompt=index % count == 0)
                self._call(
                    "handle_completions",
                    {**self._completion(body, prompt, index % count), **_STREAMED},
                    chunks.take,
                )
                if out.closed:
                    return
            chunks.end()

        return self._model.stream(work)

    def embed(self, texts: list[str]) -> tuple[list[list[float]], int]:
        """Return one vector per text, in order, and the number of tokens read. Needs `Settings(embedding=True)`."""
        raw = self._server().handle_embeddings({"input": texts, "model": self.name})
        reply = self._checked(raw)
        rows = sorted(reply["data"], key=lambda row: row["index"])
        return [row["embedding"] for row in rows], reply["usage"]["prompt_tokens"]

    def close(self) -> None:
        """Let go of the model; its streams end. The memory is given back when nobody else uses it."""
        if self._open:
            self._open = False
            _release(self._model)

    def _server(self) -> Any:
        if not self._open:
            raise BadRequestError("The model has been closed", provider="local", model=self.name)
        return self._model.server()

    def _ask(self, body: Json) -> Ask:
        sent = {**self._sampling, **{key: value for key, value in body.items() if value is not None}}
        offered, choice = sent.pop("tools", None), sent.pop("tool_choice", None)
        plan = tools.plan(offered, choice)
        messages = [_system(message) for message in sent.get("messages", ())]
        if self.knows_tools and not (plan and plan.forced):
            # llama.cpp describes the tools by the template and reads the calls; it cannot be relied on to force one.
            if plan is not None:
                names = {tool.name for tool in plan.tools}
                sent["tools"] = [tool for tool in offered if tool["function"]["name"] in names]
            plan = None
        else:
            sent.pop("parallel_tool_calls", None)
            messages = tools.in_words(messages)
        count, usage = _count(sent), _wants_usage(sent)
        for key in ("n", "stream", "stream_options"):
            sent.pop(key, None)
        schema = _answer_schema(sent.pop("response_format", None))
        if plan is not None:
            messages = plan.messages(messages)
            sent["grammar"] = plan.grammar(schema)
        elif schema is not None:
            sent["grammar"] = tools.json_grammar(schema)
        sent["messages"] = messages
        sent["max_tokens"] = sent.pop("max_completion_tokens", None) or sent.get("max_tokens", -1)
        return Ask(sent, count, plan, schema is not None and "stop" not in sent, usage)

    def _completion(self, body: Json, prompt: str, index: int) -> Json:
        own = ("n", "stream", "stream_options", "prompt", "echo", "logprobs")
        sent = {**self._sampling, **{k: v for k, v in body.items() if v is not None and k not in own}}
        if body.get("logprobs"):
            sent["logprobs"] = body["logprobs"]
        return _seeded({**sent, "prompt": prompt}, index)

    def _call(self, method: str, body: Json, take: Callable[[Json], bool] | None = None) -> Json:
        """Call the server; what it refuses, by raising or by an error object, becomes an APIError."""
        refused: list[Json] = []
        wrong: list[APIError] = []

        def watch(chunk: Json) -> bool:
            # What is raised here would be lost in C++.
            if "error" in chunk:
                refused.append(chunk)
                return True
            try:
                return take is not None and take(chunk)
            except APIError as error:
                wrong.append(error)
                return True

        handle = getattr(self._server(), method)
        try:
            reply = handle(body, watch) if take is not None else handle(body)
        except (ValueError, RuntimeError) as error:
            raise self._error(str(error), client=isinstance(error, ValueError)) from error
        if wrong:
            raise wrong[0]
        return self._checked(refused[0] if refused else reply)

    def _checked(self, reply: Any) -> Json:
        if not isinstance(reply, dict):
            return {}
        if (refused := reply.get("error")) is None:
            return reply
        if refused.get("type") == "exceed_context_size_error":
            raise ContextWindowExceededError(
                f"The input is {refused['n_prompt_tokens']} tokens long and the context {refused['n_ctx']}: "
                "shorten it, or load the model with a larger n_ctx",
                provider="local", model=self.name, body=reply,
            )  # fmt: skip
        kind = class_for_status(int(refused.get("code", 500)))
        raise kind(str(refused.get("message")), provider="local", model=self.name, body=reply)

    def _error(self, message: str, *, client: bool) -> APIError:
        # llama.cpp has no codes of its own for media that a model cannot read, nor for calls that it cannot.
        if "does not match the expected" in message:
            return InvalidResponseError(message, provider="local", model=self.name)
        kind = BadRequestError if client or "not supported" in message else InternalServerError
        return kind(message, provider="local", model=self.name)

    def _finish(self, choice: Json, ask: Ask, reply_id: str) -> None:
        message = choice["message"]
        if ask.plan is not None:
            splitter = tools.Splitter(ask.plan, f"call_{reply_id.rpartition('-')[2]}")
            deltas = [*splitter.feed(message.get("content") or ""), *splitter.close()]
            if splitter.called:
                _put_call(choice, deltas)
        _verify(message.get("content"), ask, choice, called=bool(message.get("tool_calls")))

    def _merge(self, replies: list[Json], *, prompts: int | None = None) -> Json:
        """Make one reply of several to the same request; `prompts` replies share each prompt's tokens."""
        first = replies[0]
        step = prompts or len(replies)
        usage = dict(first["usage"])
        usage["prompt_tokens"] = sum(reply["usage"]["prompt_tokens"] for reply in replies[::step])
        usage["completion_tokens"] = sum(reply["usage"]["completion_tokens"] for reply in replies)
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
        choices = [{**reply["choices"][0], "index": index} for index, reply in enumerate(replies)]
        return {**first, "model": self.name, "choices": choices, "usage": usage}


#: Progress of the prompt is asked for so that there are chunks, and a chance to stop, before the first token.
_STREAMED = {"stream": True, "stream_options": {"include_usage": True}, "return_progress": True}


#: What the chunks of one stream have in common.
_HEAD = frozenset({"id", "object", "created", "model", "system_fingerprint"})


class Chunks:
    """Passes llama.cpp's chunks on as those of one OpenAI stream: one id, one model name, one usage at the end."""

    def __init__(self, name: str, out: Stream[Json], *, include_usage: bool) -> None:
        self._out = out
        self._name = name
        self._include_usage = include_usage
        self._index = 0
        self._head: Json = {}
        self._usage: Json | None = None
        self._new_prompt = True

    def take(self, chunk: Json) -> bool:
        """Take llama.cpp's next chunk; True stops the generation."""
        if not self._head:
            self._head = {**chunk, "model": self._name}
        if "usage" in chunk:
            self._count(chunk["usage"])
        elif "prompt_progress" not in chunk:
            for choice in chunk["choices"]:
                self.choice(choice)
        return self._out.closed

    def choice(self, choice: Json) -> None:
        """Pass one choice of a chunk on."""
        self.send([{**choice, "index": self._index}])

    def send(self, choices: list[Json], **more: Any) -> None:
        """Give the reader a chunk."""
        head = {key: value for key, value in self._head.items() if key in _HEAD}
        self._out.put({**head, "choices": choices, **more})

    def end(self) -> None:
        """Send the usage, if it was asked for."""
        if self._include_usage and self._usage is not None:
            self.send([], usage=self._usage)

    def _count(self, usage: Json) -> None:
        if self._usage is None:
            self._usage = dict(usage)
            return
        self._usage["prompt_tokens"] += usage["prompt_tokens"] if self._new_prompt else 0
        self._usage["completion_tokens"] += usage["completion_tokens"]
        self._usage["total_tokens"] = self._usage["prompt_tokens"] + self._usage["completion_tokens"]


class TextChunks(Chunks):
    """The chunks of a legacy completion."""

    def begin(self, index: int, echoed: str, *, new_prompt: bool) -> None:
        """Begin the next choice."""
        self._index, self._new_prompt = index, new_prompt
        self._echoed = echoed

    def choice(self, choice: Json) -> None:
        """Pass one choice on, after the prompt if it is to be echoed."""
        text, self._echoed = self._echoed + choice.get("text", ""), ""
        logprobs = _legacy_logprobs(choice.get("logprobs"), 0)
        self.send([{**choice, "index": self._index, "text": text, "logprobs": logprobs}])


class ChatChunks(Chunks):
    """The chunks of a chat, with tool calls taken out of the text where we constrained it to them."""

    def __init__(self, ask: Ask, name: str, out: Stream[Json]) -> None:
        super().__init__(name, out, include_usage=ask.include_usage)
        self._ask = ask
        self._splitter: tools.Splitter | None = None
        self._text: list[str] = []

    def begin(self, index: int) -> None:
        """Begin the next choice."""
        self._index, self._new_prompt = index, False
        self._text = []
        plan = self._ask.plan
        self._splitter = tools.Splitter(plan, f"call_{secrets.token_hex(12)}") if plan is not None else None

    def choice(self, choice: Json) -> None:
        """Pass one choice on; the last is where a constrained answer is found good or not."""
        delta = dict(choice["delta"])
        text = delta.pop("content", None)
        finish = choice.get("finish_reason")
        if text:
            self._text.append(text)
            if len(self._text) == 1:
                self._last({}, called=False)
        if self._splitter is None:
            self._last(choice, called=bool(delta.get("tool_calls"))) if finish else None
            return super().choice(choice)
        deltas = self._splitter.feed(text) if text else []
        if finish:
            deltas += self._splitter.close()
        logprobs = {"logprobs": choice["logprobs"]} if choice.get("logprobs") else {}
        for one in deltas or ([delta] if delta else []):
            self.send([{"index": self._index, "delta": one, "finish_reason": None, **logprobs}])
            logprobs = {}
        if finish:
            self._last(choice, called=self._splitter.called)
            reason = "tool_calls" if self._splitter.called and finish == "stop" else finish
            self.send([{"index": self._index, "delta": {}, "finish_reason": reason}])
        return None

    def _last(self, choice: Json, *, called: bool) -> None:
        _verify("".join(self._text), self._ask, choice, called=called)


def _verify(text: str | None, ask: Ask, choice: Json, *, called: bool) -> None:
    """Refuse an answer that should have been constrained and was not.

    LLGuidance leaves a reply unconstrained, without a word, when it does not know a part of the schema.
    """
    if called or not text:
        return
    whole = choice.get("finish_reason") == "stop"
    if ask.plan is not None and ask.plan.forced and whole:
        raise InvalidResponseError(_UNENFORCED, provider="local")
    if ask.json_only and not (_is_json(text) if whole else text.lstrip()[:1] in _JSON_BEGINS):
        raise InvalidResponseError(_UNENFORCED, provider="local")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


#: What a JSON value begins with, or nothing yet, or a tool call.
_JSON_BEGINS = ("", *'{["-0123456789tfn<')
_UNENFORCED = (
    "The answer does not have the form asked for: the JSON schema has a part that llama.cpp cannot enforce. "
    "Leave out its rarer keywords (https://github.com/guidance-ai/llguidance/blob/main/docs/json_schema.md)"
)


def _repeat(ask: Ask) -> list[Json]:
    return [_seeded(ask.body, index) for index in range(ask.count)]


def _seeded(body: Json, index: int) -> Json:
    """Give each of several answers its own seed, or all would be the same."""
    return {**body, "seed": body["seed"] + index} if index and "seed" in body else body


def _count(body: Json) -> int:
    count = 1 if body.get("n") is None else body["n"]
    if not isinstance(count, int) or count < 1:
        raise BadRequestError(f"n must be a whole number of 1 or more, not {count!r}", provider="local")
    return count


def _wants_usage(body: Json) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))


def _prompts(prompt: Any) -> list[str]:
    prompts = [prompt] if isinstance(prompt, str) else prompt
    if not isinstance(prompts, list) or not prompts or not all(isinstance(one, str) for one in prompts):
        raise BadRequestError("prompt must be a text or a list of texts; tokens are not taken", provider="local")
    return prompts


def _system(message: Json) -> Json:
    """Rename OpenAI's newer role for the system prompt: templates know the old one."""
    return {**message, "role": "system"} if message.get("role") == "developer" else message


def _answer_schema(form: Any) -> Json | None:
    """Return the JSON schema an answer must have; None for an answer in words."""
    kind = form.get("type") if isinstance(form, dict) else form
    if kind in (None, "text"):
        return None
    if kind == "json_object":
        return {"type": "object"}
    schema = (form.get("json_schema") or {}).get("schema") if kind == "json_schema" else None
    if not isinstance(schema, dict):
        raise BadRequestError(
            "response_format must be text, json_object, or json_schema with a schema at json_schema.schema",
            provider="local",
        )
    return schema


def _put_call(choice: Json, deltas: list[Json]) -> None:
    calls = [delta["tool_calls"][0] for delta in deltas]
    first = calls[0]
    arguments = "".join(call["function"]["arguments"] for call in calls)
    function = {"name": first["function"]["name"], "arguments": arguments}
    choice["message"]["content"] = None
    choice["message"]["tool_calls"] = [{"id": first["id"], "type": "function", "function": function}]
    if choice.get("finish_reason") == "stop":
        choice["finish_reason"] = "tool_calls"


def _legacy_logprobs(logprobs: Any, offset: int) -> Json | None:
    """Turn the chat form of log probabilities into the lists of the legacy API."""
    if not logprobs or not logprobs.get("content"):
        return None
    rows = logprobs["content"]
    offsets = []
    for row in rows:
        offsets.append(offset)
        offset += len(row["token"])
    return {
        "tokens": [row["token"] for row in rows],
        "token_logprobs": [row["logprob"] for row in rows],
        "top_logprobs": [{top["token"]: top["logprob"] for top in row.get("top_logprobs", ())} for row in rows],
        "text_offset": offsets,
    }
