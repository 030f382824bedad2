"""Chat, completion and embeddings with any GGUF file, on llama.cpp through `xllamacpp`.

A file is loaded once per process and settings, however many `Llama` objects use it, and its memory is given back
when the last of them is closed. Requests and replies are OpenAI's JSON, which llama.cpp's own server code reads
and writes; what it lacks (`n`, tools for models that were taught none) is added here.

https://github.com/xorbitsai/xllamacpp and
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md#api-endpoints
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Set as AbstractSet
from pathlib import Path
from typing import Any

import msgspec
import xllamacpp  # type: ignore[import-untyped]

from polyport.errors import (
    APIError,
    BadRequestError,
    ContextWindowExceededError,
    InternalServerError,
    InvalidResponseError,
    Timeout,
    class_for_status,
)
from polyport_local import tools
from polyport_local.chunks import ChatChunks, Collector, Form, Json, Reader, TextChunks
from polyport_local.gguf import Header, read_header
from polyport_local.pool import POOL
from polyport_local.streams import Stream
from polyport_local.threads import spare_cores

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
        self.closing = False
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
        """Return a stream that `close` knows of and ends."""
        stream = Stream(work, self._streams.discard)
        self._streams.add(stream)
        return stream

    def close(self) -> None:
        """End what is being written and give the memory back."""
        self.closing = True
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


class Ask(msgspec.Struct, frozen=True):
    """A chat request made ready: what llama.cpp is sent, how often, and the form of its answers."""

    body: Json
    count: int
    form: Form


class Llama:
    """A GGUF model. Methods block and may be called from any thread; `slots` requests run at the same time.

    `name` is what replies call the model; `sampling` is used where a request has none.
    """

    def __init__(self, settings: Settings, *, name: str, sampling: Mapping[str, float] | None = None) -> None:
        self.name = name
        self.settings = msgspec.structs.replace(settings, path=settings.path.resolve())
        self._sampling = dict(sampling or {})
        self._model = POOL.acquire(self.settings, lambda: Loaded(self.settings))
        self._open = True

    @property
    def header(self) -> Header:
        """What the file says of itself."""
        return self._model.header

    @property
    def knows_tools(self) -> bool:
        """Whether the model's template has a place for tools; otherwise they are described in words."""
        return self._model.knows_tools

    def chat(self, body: Json, *, timeout: float | None = None) -> Json:
        """Answer a chat request: OpenAI's JSON in and out. `timeout` is in seconds. Raises an APIError."""
        ask = self._ask(msgspec.structs.replace(self._form(body), include_usage=True), body)
        return self._collect("chat.completion", timeout, lambda out: self._chat(ask, out))

    def stream(self, body: Json) -> Stream[Json]:
        """Answer a chat request piece by piece: an iterator of OpenAI's chunks. Closing it stops the generation."""
        ask = self._ask(self._form(body), body)
        return self._model.stream(lambda out: self._chat(ask, out))

    def complete(self, body: Json, *, timeout: float | None = None) -> Json:
        """Continue one or several prompts: OpenAI's legacy completion."""
        body = {**body, "stream_options": {"include_usage": True}}
        prompts = _prompts(body.get("prompt"))
        return self._collect("text_completion", timeout, lambda out: self._complete(prompts, body, out))

    def stream_completion(self, body: Json) -> Stream[Json]:
        """Continue prompts piece by piece: chunks of OpenAI's legacy completion."""
        prompts = _prompts(body.get("prompt"))
        return self._model.stream(lambda out: self._complete(prompts, body, out))

    def embed(self, texts: list[str]) -> tuple[list[list[float]], int]:
        """Return one vector per text, in order, and the number of tokens read. Needs `Settings(embedding=True)`."""
        try:
            reply = self._checked(self._server().handle_embeddings({"input": texts, "model": self.name}))
        except (ValueError, RuntimeError) as error:
            raise self._error(str(error), client=isinstance(error, ValueError)) from error
        rows = sorted(reply["data"], key=lambda row: row["index"])
        return [row["embedding"] for row in rows], reply["usage"]["prompt_tokens"]

    def close(self) -> None:
        """Let go of the model; its streams end. The memory is given back when nobody else uses it."""
        if self._open:
            self._open = False
            POOL.release(self.settings)

    # --- asking ---

    def _chat(self, ask: Ask, out: Reader) -> None:
        chunks = ChatChunks(ask.form, self.name, out)
        for index in range(ask.count):
            chunks.begin(index)
            self._generate("handle_chat_completions", _seeded(ask.body, index), chunks.take)
            if out.closed:
                return
        chunks.end()

    def _complete(self, prompts: list[str], body: Json, out: Reader) -> None:
        count, echo = _count(body), bool(body.get("echo"))
        chunks = TextChunks(self.name, out, include_usage=_wants_usage(body))
        sent = self._sent(body, _OURS)
        for index in range(len(prompts) * count):
            prompt = prompts[index // count]
            chunks.begin(index, prompt if echo else "", new_prompt=index % count == 0)
            self._generate("handle_completions", _seeded({**sent, "prompt": prompt}, index % count), chunks.take)
            if out.closed:
                return
        chunks.end()

    def _collect(self, kind: str, timeout: float | None, work: Callable[[Collector], None]) -> Json:
        collector = Collector(kind, lambda: self._model.closing, timeout)
        work(collector)
        if self._model.closing:
            raise self._closed()
        if collector.late:
            raise Timeout(f"No whole answer within {timeout:g} seconds", provider="local", model=self.name)
        return collector.reply()

    def _form(self, body: Json) -> Form:
        plan = tools.plan(body.get("tools"), body.get("tool_choice"))
        if self.knows_tools and not (plan and plan.forced):
            plan = None  # llama.cpp describes the tools by the template and reads the calls; but it forces none
        schema = _answer_schema(body.get("response_format"))
        json_only = schema is not None and not body.get("stop")
        return Form(plan, json_only, include_usage=_wants_usage(body))

    def _ask(self, form: Form, body: Json) -> Ask:
        sent = self._sent(body, {*_OURS, "messages", "response_format", "max_completion_tokens"})
        messages = [_system(message) for message in body.get("messages", ())]
        schema = _answer_schema(body.get("response_format"))
        if form.plan is not None or not self.knows_tools:
            for key in ("tools", "tool_choice", "parallel_tool_calls"):
                sent.pop(key, None)
            messages = form.plan.messages(messages) if form.plan is not None else tools.in_words(messages)
        elif isinstance(sent.get("tool_choice"), dict):  # OpenAI's allowed_tools, which llama.cpp does not know
            allowed = tools.plan(sent["tools"], sent.pop("tool_choice"))
            names = {tool.name for tool in allowed.tools} if allowed is not None else set()
            sent["tools"] = [tool for tool in sent["tools"] if tool["function"]["name"] in names]
        if form.plan is not None:
            sent["grammar"] = form.plan.grammar(schema)
        elif schema is not None:
            sent["grammar"] = tools.json_grammar(schema)
        if body.get("max_completion_tokens") is not None:
            sent["max_tokens"] = body["max_completion_tokens"]
        return Ask({**sent, "messages": messages}, _count(body), form)

    def _sent(self, body: Json, ours: AbstractSet[str]) -> Json:
        given = {key: value for key, value in body.items() if value is not None and key not in ours}
        return {**self._sampling, **given}

    # --- calling llama.cpp ---

    def _server(self) -> Any:
        if not self._open:
            raise self._closed()
        return self._model.server()

    def _generate(self, method: str, body: Json, take: Callable[[Json], bool]) -> None:
        """Have llama.cpp answer into `take`; what it refuses, by raising or by an error object, becomes an APIError."""
        refused: list[Json] = []
        wrong: list[APIError] = []

        def watch(chunk: Json) -> bool:
            # What is raised here would be lost in C++.
            if "error" in chunk:
                refused.append(chunk)
                return True
            try:
                return take(chunk)
            except APIError as error:
                wrong.append(error)
                return True

        try:
            getattr(self._server(), method)({**body, **_STREAMED}, watch)
        except (ValueError, RuntimeError) as error:
            raise self._error(str(error), client=isinstance(error, ValueError)) from error
        if wrong:
            raise wrong[0]
        for reply in refused:
            self._checked(reply)

    def _checked(self, reply: Json) -> Json:
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

    def _closed(self) -> APIError:
        return BadRequestError("The model has been closed", provider="local", model=self.name)


#: Every answer is streamed from llama.cpp, so that it can be stopped. Progress of the prompt is asked for so that
#: there are chunks, and a chance to stop, before the first token.
_STREAMED = {"stream": True, "stream_options": {"include_usage": True}, "return_progress": True}
#: What is done here and not by llama.cpp.
_OURS = frozenset({"n", "stream", "stream_options", "prompt", "echo"})


def _seeded(body: Json, index: int) -> Json:
    """Give each of several answers its own seed, or all would be the same."""
    return {**body, "seed": body["seed"] + index} if index and body.get("seed") is not None else body


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
