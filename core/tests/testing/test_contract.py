"""The contract passes a provider that keeps it, and each of its checks catches one that does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from polyport.auth import Bearer, Query
from polyport.border import narrow
from polyport.dialects.openai import Chat, ChatEvents, Embeddings
from polyport.errors import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    InvalidResponseError,
)
from polyport.flow import Call, HttpReply, Items, Raw, Sleep, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import Provider, decode
from polyport.testing import IN_PROCESS, Case, Exchange, ProviderContract, cases
from polyport.testing.bench import Subject
from polyport.testing.contract import CHECKS, PLUGIN_CHECKS
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, Choice, ChunkChoice, Delta, Message
from polyport.types.image import Image, ImageResponse
from polyport.types.usage import usage

USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 2,
    "total_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 1},
}
ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Grüße"}, "finish_reason": "stop", "logprobs": None}
    ],
    "usage": USAGE,
}
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}


def chunk(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> bytes:
    """Return one event of OpenAI's stream."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    event = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}
    return b"data: " + msgspec.json.encode(event) + b"\n\n"


STREAM = b"".join(
    [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Grüße"}),
        chunk({"tool_calls": [CALL]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a": '}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
        chunk({}, "tool_calls"),
        chunk(None, usage=USAGE),
        b"data: [DONE]\n\n",
    ]
)
CHAT = Exchange(
    "chat",
    {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    },
    reply=ANSWER,
    stream=STREAM,
    text="Grüße",
)
VECTORS = {
    "object": "list",
    "model": "e",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}],
    "usage": {"prompt_tokens": 2, "total_tokens": 2},
}
EMBED = Exchange("embed", {"model": "e", "input": "one"}, reply=VECTORS)


class Good(Chat, Embeddings):
    """Keeps the contract."""

    auth = Bearer(env="TOY_API_KEY")
    base_url = "https://toy.example/v1"


class TestGood(ProviderContract):
    """A provider that keeps the contract passes every check of it, each a test of its own."""

    provider = Good
    exchanges = [CHAT, EMBED]


class Local(Provider):
    """Keeps it too, and sends nothing: its answers are made in this process."""

    @hookimpl
    def chat(self, request: Any) -> Any:
        if request.stream:
            deltas = [Delta(role="assistant", content="Grü"), Delta(content="ße")]
            pieces = [ChatCompletionChunk(model="m", choices=[ChunkChoice(delta=delta)]) for delta in deltas]
            last = ChatCompletionChunk(model="m", choices=[ChunkChoice(finish_reason="stop")], usage=usage(1, 2))
            return Streaming(Items(iter([*pieces, last])), Raw())
        text = yield Call(lambda: "Grüße")
        return ChatCompletion(
            model="m", choices=[Choice(message=Message(content=text), finish_reason="stop")], usage=usage(1, 2)
        )


class TestInProcess(ProviderContract):
    """What goes over no wire is held to what is left of the contract."""

    provider = Local
    exchanges = [
        Exchange(
            "chat",
            {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
            reply=IN_PROCESS,
            stream=IN_PROCESS,
            text="Grüße",
        )
    ]


class Queue(Provider):
    """Keeps it too, in three requests: a job is submitted, looked at until it is done, and fetched."""

    auth = Query("key", env="TOY_API_KEY")
    base_url = "https://toy.example"

    @hookimpl
    def generate_image(self, request: Any) -> Any:
        if request.stream:
            request.unsupported("stream", "there is only the finished image")
        job = decode((yield self.post("/jobs", json={"prompt": request.prompt, **request.extra})), Job)
        while job.status != "done":
            yield Sleep(0.01)
            job = decode((yield self.get(f"/jobs/{job.id}")), Job)
        result = decode((yield self.get(f"/jobs/{job.id}/result")), Result)
        return ImageResponse(data=[Image(url=result.url)])


class Job(msgspec.Struct):
    """How far a job is."""

    id: str
    status: str


class Result(msgspec.Struct):
    """What a job made."""

    url: str


class TestQueue(ProviderContract):
    """Of a flow of several requests the last answer is the one that is broken; a key in the query is hidden too."""

    provider = Queue
    exchanges = [
        Exchange(
            "generate_image",
            {"model": "m", "prompt": "a cat"},
            before=[{"id": "j1", "status": "waiting"}, {"id": "j1", "status": "done"}],
            reply={"url": "https://toy.example/cat.png"},
        )
    ]


# --- providers that break it, in the order of the checks ---


class OpenPlace(Good):
    """Has a place in its address that no setting fills."""

    base_url = "https://{region}.toy.example/v1"


class ChangesInput(Good):
    """Writes into the user's own tools."""

    @hookimpl
    def chat(self, request: Any) -> Any:
        request.tools[0]["function"]["name"] = "changed"
        return (yield from super().chat(request))


class SignsItself(Good):
    """Sets the header of its key to something else."""

    headers = {"authorization": "Bearer none"}


class Anonymous(Bearer):
    """Takes no key for a key."""

    def secret(self, lookup: Any) -> str | None:
        return lookup.api_key or "anonymous"


class NeedsNoKey(Good):
    """Sends a request that cannot succeed."""

    auth = Anonymous(env="TOY_API_KEY")


class Overwrites(Bearer):
    """Throws away the headers that are there."""

    def apply(self, request: Any, secret: str) -> None:
        request.headers = {"content-type": "application/json"}
        super().apply(request, secret)


class LosesHeaders(Good):
    """Sends no headers of the user's."""

    auth = Overwrites(env="TOY_API_KEY")


class EncodesItself(Good):
    """Writes its JSON itself, where `extra_body` does not reach it."""

    @hookimpl
    def chat(self, request: Any) -> Any:
        body = {"model": request.model, "messages": request.messages, **request.extra}
        kind = {"content-type": "application/json"}
        content = msgspec.json.encode(body)
        reply = yield self.request("POST", "/chat/completions", content=content, headers=kind)
        return decode(reply, ChatCompletion)


class LosesUnknown(Good):
    """Leaves out what it does not know."""

    @hookimpl
    def chat(self, request: Any) -> Any:
        reply = yield self.post("/chat/completions", json={"model": request.model, "messages": request.messages})
        return decode(reply, ChatCompletion)


class ChangesResult(Good):
    """The base of those that get a part of the reply wrong; `change` makes it so."""

    def change(self, result: ChatCompletion) -> Any:
        raise NotImplementedError

    @hookimpl
    def chat(self, request: Any) -> Any:
        result = yield from super().chat(request)
        return result if isinstance(result, Streaming) else self.change(result)


class WrongFinish(ChangesResult):
    """Passes the provider's own finish reason on."""

    def change(self, result: ChatCompletion) -> Any:
        result.choices[0].finish_reason = "STOP"
        return result


class LosesText(ChangesResult):
    """Returns an empty message."""

    def change(self, result: ChatCompletion) -> Any:
        result.choices[0].message.content = None
        return result


class PlainDict(ChangesResult):
    """Returns plain data."""

    def change(self, result: ChatCompletion) -> Any:
        return result.to_dict()


class NoTotal(ChangesResult):
    """Leaves the sum of the usage out."""

    def change(self, result: ChatCompletion) -> Any:
        result.usage = usage(5, 2, 0)
        return result


class CachedOutside(ChangesResult):
    """Counts cached tokens beside the prompt's, not as a part of them."""

    def change(self, result: ChatCompletion) -> Any:
        result.usage = usage(5, 2, cached=90)
        return result


class TrustsFields(Good):
    """Reads the reply as if every field were there."""

    @hookimpl
    def chat(self, request: Any) -> Any:
        reply = yield self.post("/chat/completions", json=self.body(request, "chat"))
        body = decode(reply, dict)
        choice = body["choices"][0]
        message = Message(content=choice["message"]["content"])
        return ChatCompletion(model=body["model"], choices=[Choice(message=message, finish_reason="stop")])


class Swallows(Good):
    """Makes an empty answer of a reply that cannot be read."""

    @hookimpl
    def chat(self, request: Any) -> Any:
        try:
            return (yield from super().chat(request))
        except InvalidResponseError:
            return ChatCompletion(model="m")


class Decodes(Good):
    """The base of those that get a stream wrong: `decoder` makes the wrong one."""

    decoder: Callable[[], Any]

    @hookimpl
    def chat(self, request: Any) -> Any:
        result = yield from super().chat(request)
        return Streaming(result.source, type(self).decoder()) if isinstance(result, Streaming) else result


class Changed(ChatEvents):
    """Changes every chunk of a stream."""

    def decode(self, data: bytes) -> ChatCompletionChunk:
        found = super().decode(data)
        for choice in found.choices:
            self.change(choice)
        return found

    def change(self, choice: ChunkChoice) -> None:
        raise NotImplementedError


class WithoutRole(Changed):
    """Never says whose answer it is."""

    def change(self, choice: ChunkChoice) -> None:
        choice.delta.role = None


class FinishesTwice(Changed):
    """Says at every piece of a tool call that the answer is over."""

    def change(self, choice: ChunkChoice) -> None:
        choice.finish_reason = "tool_calls" if choice.delta.tool_calls else choice.finish_reason


class RepeatsId(Changed):
    """Gives a tool call's id with every piece of it."""

    def change(self, choice: ChunkChoice) -> None:
        for call in choice.delta.tool_calls or []:
            call.id = "call_1"


class UsageTwice(ChatEvents):
    """Counts the answer twice."""

    def decode(self, data: bytes) -> ChatCompletionChunk:
        found = super().decode(data)
        if found.usage is not None:
            found.usage.completion_tokens *= 2
        return found


class ByLine:
    """The base of decoders that hold nothing back from one piece to the next, or trust what they read."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> list[ChatCompletionChunk]:
        *events, self.rest = (self.rest + data).split(b"\n\n")
        return [made for event in events if (made := self.one(event.removeprefix(b"data: "))) is not None]

    def close(self) -> list[ChatCompletionChunk]:
        return []

    def one(self, event: bytes) -> ChatCompletionChunk | None:
        return None if event == b"[DONE]" else msgspec.json.decode(event, type=ChatCompletionChunk)


class Forgetful(ByLine):
    """Forgets the half of an event that a piece ended with."""

    def feed(self, data: bytes) -> list[ChatCompletionChunk]:
        self.rest = b""
        return super().feed(data)

    def one(self, event: bytes) -> ChatCompletionChunk | None:
        return super().one(event) if event.startswith(b'{"id"') else None


class Trusting(ByLine):
    """Reads each event as if every field were there."""

    def one(self, event: bytes) -> ChatCompletionChunk | None:
        if event == b"[DONE]":
            return None
        try:
            body = msgspec.json.decode(event)
        except msgspec.DecodeError as error:
            raise InvalidResponseError(str(error)) from error
        choices = [
            ChunkChoice(delta=Delta(content=choice["delta"].get("content")), finish_reason=choice["finish_reason"])
            for choice in body["choices"]
        ]
        return ChatCompletionChunk(id=body["id"], choices=choices)


class Careless(ByLine):
    """Leaves out the events that it cannot read."""

    def one(self, event: bytes) -> ChatCompletionChunk | None:
        try:
            return super().one(event)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None


def decoding(kind: Callable[[], Any]) -> type[Provider]:
    """Return a provider whose streams are decoded by `kind`."""
    return type(f"With{kind.__name__}", (Decodes,), {"decoder": kind})


class KeepsOpen(Good):
    """Reads the reply through an iterator of its own, which does not close it."""

    @hookimpl
    def chat(self, request: Any) -> Any:
        result = yield from super().chat(request)
        if not isinstance(result, Streaming):
            return result
        source: Any = result.source
        return Streaming(Items(iter(source.read, None)), ChatEvents())


class Refines(Good):
    """The base of those that narrow errors wrongly."""

    def narrow(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        raise NotImplementedError

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        return self.narrow(error, reply, body)


class AllAlike(Refines):
    """Makes one error of all."""

    def narrow(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        return narrow(error, APIError)


class LeaksKey(Refines):
    """Keeps the provider's words as they came, which repeat the key."""

    def narrow(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        return narrow(error, type(error), body={"said": reply.content.decode("utf-8", "replace")})


class ForgetsId(Refines):
    """Makes a new error, and leaves what was known of the old one behind."""

    def narrow(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        return type(error)(error.message, status_code=error.status_code, request_id="another")


class TrustsErrors(Refines):
    """Reads an error's body as if it were always of one form."""

    def narrow(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        return None if body["error"]["code"] is None else error


class BlamesUser(Refines):
    """Takes a rate limit for a wrong request."""

    def narrow(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        return narrow(error, BadRequestError) if "rate_limit_exceeded" in str(body) else None


class LateErrors(Good):
    """Takes an error status for the beginning of a stream."""

    @hookimpl
    def chat(self, request: Any) -> Any:
        if not request.stream:
            return (yield from super().chat(request))
        sent = self.post("/chat/completions", json=self.body(request, "chat"), stream=True)
        sent.expect = (400, 429, 500)
        return Streaming((yield sent), ChatEvents())


class HidesConnection(Good):
    """Makes a server's error of a broken connection."""

    @hookimpl
    def chat(self, request: Any) -> Any:
        try:
            return (yield from super().chat(request))
        except APIConnectionError as error:
            raise InternalServerError("something went wrong") from error


class TwoWays(Good):
    """Answers differently to blocking and asynchronous callers."""

    @hookimpl
    def chat(self, request: Any) -> Any:
        result = yield from super().chat(request)

        async def other() -> str:
            return "another"

        name = yield Call(lambda: "m", other)
        if isinstance(result, Streaming):
            return result.map(lambda found: msgspec.structs.replace(found, model=name))
        result.model = name
        return result


class ShowsKey(Good):
    """Keeps the key it was given, where a log can see it."""

    used: list[str | None] = []

    @hookimpl
    def chat(self, request: Any) -> Any:
        self.used = [request.options.api_key]
        return (yield from super().chat(request))

    def __repr__(self) -> str:
        return f"<ShowsKey {self.used}>"


class ToldKey(Good):
    """Says in an error which key was not accepted."""

    @hookimpl
    def chat(self, request: Any) -> Any:
        try:
            return (yield from super().chat(request))
        except AuthenticationError as error:
            raise AuthenticationError("not accepted", body=request.options.api_key) from error


class Misspelt(Good):
    """Has a hook that nobody calls."""

    @hookimpl
    def chatt(self, request: Any) -> Any:
        """Answer nobody."""


class Unmarked(Good):
    """Forgot the mark of a hook."""

    def rerank(self, request: Any) -> Any:
        """Answer nobody."""


class ClosesOnce(Good):
    """Cannot be closed twice."""

    model: Any = object()

    @hookimpl
    def close(self) -> None:
        del self.model


class IgnoresStream(Good):
    """Answers a request for a stream with a whole reply."""

    @hookimpl
    def chat(self, request: Any) -> Any:
        reply = yield self.post("/chat/completions", json={"model": request.model, **request.extra})
        return decode(reply, ChatCompletion)


WHOLE = msgspec.structs.replace(CHAT, stream=None)

#: (the check that catches it, the provider, what the check says, the exchanges where they are not the usual ones)
BROKEN: list[tuple[str, type[Provider], str, list[Exchange]]] = [
    ("request_is_complete", OpenPlace, "a place in its URL that was not filled", [CHAT]),
    ("request_leaves_input_alone", ChangesInput, "changed the user's own tools", [CHAT]),
    ("request_is_signed", SignsItself, "the key is in no header", [CHAT]),
    ("request_needs_a_key", NeedsNoKey, "a call without a key gave", [CHAT]),
    ("request_has_extra_headers", LosesHeaders, "lacks the header of extra_headers", [CHAT]),
    ("request_has_extra_body", EncodesItself, "lacks what extra_body gave", [CHAT]),
    ("request_has_unknown_parameters", LosesUnknown, "pass request.extra on", [CHAT]),
    ("reply_is_parsed", WrongFinish, "finish_reason is 'STOP'", [CHAT]),
    ("reply_is_parsed", LosesText, "the message of choices.0. is empty", [CHAT]),
    ("reply_is_parsed", PlainDict, "the result is a dict", [CHAT]),
    ("reply_is_parsed", Good, "the answer says 'Grüße', not 'Hello'", [msgspec.structs.replace(CHAT, text="Hello")]),
    ("reply_usage_adds_up", NoTotal, "sum to 7, not to 0", [CHAT]),
    ("reply_usage_adds_up", CachedOutside, "more than the whole, 5", [CHAT]),
    ("reply_with_broken_fields", TrustsFields, r"\$\.model left out: KeyError: 'model' \(test_contract", [CHAT]),
    ("reply_cut_short", Swallows, "it must be an InvalidResponseError", [CHAT]),
    ("reply_that_is_not_json", Swallows, "an empty reply gave a result", [CHAT]),
    ("stream_is_parsed", decoding(WithoutRole), "begins without a role", [CHAT]),
    ("stream_is_parsed", decoding(FinishesTwice), "goes on after its finish reason", [CHAT]),
    ("stream_is_parsed", decoding(RepeatsId), "the id of tool call 0 comes more than once", [CHAT]),
    ("stream_usage_adds_up", decoding(UsageTwice), "sum to 9, not to 7", [CHAT]),
    ("stream_cut_anywhere", decoding(Forgetful), "The stream cut at every byte gives other chunks", [CHAT]),
    ("stream_that_breaks_off", decoding(ByLine), "as if it were complete", [CHAT]),
    ("stream_with_broken_fields", decoding(Trusting), "the whole JSON replaced by None: TypeError", [CHAT]),
    ("stream_with_garbage", decoding(Careless), "went unnoticed", [CHAT]),
    ("stream_left_early", KeepsOpen, "the reply stayed open", [CHAT]),
    *((f"error_{check.status}", AllAlike, "it must be a", [CHAT]) for check in CHECKS if check.status),
    ("error_401", LeaksKey, "shows the key", [CHAT]),
    ("error_500", ForgetsId, "error.request_id is 'another'", [CHAT]),
    ("error_of_a_stream", LateErrors, "HTTP 400 gave", [CHAT]),
    ("error_with_an_odd_body", TrustsErrors, "TypeError", [CHAT]),
    ("error_is_not_blamed_on_the_user", BlamesUser, "HTTP 429 gave", [CHAT]),
    ("connection_that_fails", HidesConnection, "not an APIConnectionError", [CHAT]),
    ("drivers_agree", TwoWays, "the asynchronous driver gave", [CHAT]),
    ("drivers_agree_on_streams", TwoWays, "the asynchronous driver gave", [CHAT]),
    ("key_is_never_shown", ShowsKey, r"repr\(provider\) shows the key: <ShowsKey", [CHAT]),
    ("key_is_never_shown", ToldKey, "an error shows the key", [CHAT]),
    ("hooks_are_known", Misspelt, "Did you mean 'chat'", [CHAT, EMBED]),
    ("hooks_are_known", Unmarked, "rerank of Unmarked lack @hookimpl", [CHAT, EMBED]),
    ("exchange_is_of_a_hook", Good, "does not answer moderate", [Exchange("moderate", {"input": "x"}, reply={})]),
    ("closing_is_harmless", ClosesOnce, "close\\(\\) raised AttributeError", [CHAT, EMBED]),
    ("hook_is_recorded", Good, "Good answers embed, and no exchange records it", [CHAT]),
    ("hook_is_recorded", Good, "chat streams, and no exchange records it", [WHOLE, EMBED]),
    ("hook_is_recorded", IgnoresStream, "chat ignores stream=True in silence", [WHOLE, EMBED]),
]


def run(check: str, provider: type[Provider], exchanges: list[Exchange]) -> None:
    """Run every case of one check."""
    found = [case for case in cases(Subject(provider, "toy"), exchanges) if case.check == check]
    assert found, f"there is no check {check}"
    for case in found:
        case.run()


@pytest.mark.parametrize(
    ("check", "provider", "says", "exchanges"),
    BROKEN,
    ids=[f"{row[0]}-{row[1].__name__}-{number}" for number, row in enumerate(BROKEN)],
)
def test_a_broken_provider_is_caught(
    check: str, provider: type[Provider], says: str, exchanges: list[Exchange]
) -> None:
    """The check fails, and says what is wrong in words that lead to it."""
    with pytest.raises(AssertionError, match=says):
        run(check, provider, exchanges)


def test_every_check_can_fail() -> None:
    """No check is without a provider that it catches: one that cannot fail checks nothing."""
    plugin = {check.__name__ for check in PLUGIN_CHECKS} | {"hook_is_recorded"}
    assert {check.name for check in CHECKS} | plugin == {check for check, *_ in BROKEN}


# --- the plugin's facts ---


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], type[Provider]]:
    """Return what makes a package with a models.json, and gives its provider."""

    def make(models: str) -> type[Provider]:
        folder = tmp_path / "toy_with_models"
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "models.json").write_text(models)
        monkeypatch.syspath_prepend(tmp_path)
        return type("Toy", (Good,), {"__module__": "toy_with_models"})

    return make


#: The end of a models.json that says where its prices are from.
PRICED = '"source": "https://toy.example/prices", "read": "2026-01-02"}'


@pytest.mark.parametrize(
    ("models", "says"),
    [
        ("{", "does not read as the catalog's form"),
        ('{"models": {"m": {"mode": "chat", "context_window": "big"}}}', "Expected `int"),
        ('{"models": {}, "modles": {}}', "modles"),
        ('{"models": {"m": {"mode": "chatting"}}}', "m has the mode 'chatting'"),
        ('{"models": {"toy/m": {"mode": "chat"}}}', "names stand without it"),
        ('{"models": {"m": {"mode": "chat", "context_window": 0}}}', "context_window is 0"),
        ('{"models": {"m": {"mode": "embed", "dimensions": -3}}}', "dimensions is -3"),
        ('{"models": {"m": {"mode": "chat", "prices": {"input": -1}}}, ' + PRICED, "the price input is -1"),
        ('{"models": {"m": {"mode": "chat", "prices": {"long": {"input": 99999}}}}, ' + PRICED, "long.input"),
        ('{"models": {"m": {"mode": "chat", "prices": {"input": 1}}}}', "prices and no source"),
        (
            '{"models": {"m": {"mode": "chat", "prices": {"input": 1}}}, "source": "https://x", "read": "soon"}',
            "no date on which they were read",
        ),
        (
            '{"models": {"m": {"mode": "chat", "prices": {"input": 1}}}, "source": "https://x", "read": "2999-01-01"}',
            "in the future",
        ),
    ],
)
def test_implausible_models_are_caught(package: Callable[[str], type[Provider]], models: str, says: str) -> None:
    """A models.json that cannot be true, or cannot be checked, fails and names the model."""
    with pytest.raises(AssertionError, match=says):
        run("models_are_plausible", package(models), [])


def test_plausible_models_pass(package: Callable[[str], type[Provider]]) -> None:
    """Sizes, prices with page and day, and modes of the operations table are fine."""
    good = '{"models": {"m": {"mode": "chat", "context_window": 9, "prices": {"input": 0.5}}}, ' + PRICED
    run("models_are_plausible", package(good), [])


# --- what applies ---


def skipped(exchange: Exchange, provider: type[Provider] = Good) -> dict[str, str]:
    """Return why checks do not apply."""
    found: list[Case] = cases(Subject(provider, "toy"), [exchange])
    return {case.check: case.skip for case in found if case.skip is not None}


def test_checks_that_do_not_apply_say_why() -> None:
    """Without a stream the stream's checks do not apply, without JSON those of its fields."""
    why = skipped(EMBED)
    assert why["stream_cut_anywhere"] == "no stream over the wire is recorded"
    assert why["models_are_plausible"] == "the package ships no models.json"
    assert "reply_with_broken_fields" not in why
    speech = Exchange("speak", {"model": "m", "input": "hi", "voice": "v"}, reply=b"ID3", stream=b"ID3")
    assert skipped(speech)["reply_cut_short"] == "no JSON reply is recorded"
    assert skipped(speech)["stream_that_breaks_off"] == "a stream of bytes cannot tell that it was cut off"


def test_an_exchange_names_a_hook_that_there_is() -> None:
    """A misspelt hook is an error that names the right one."""
    with pytest.raises(ValueError, match="Did you mean 'chat'"):
        Exchange("chatt", {}, reply={})
    with pytest.raises(ValueError, match="give a recorded reply="):
        Exchange("chat", {})


def test_a_contract_without_a_provider_says_what_is_missing() -> None:
    """Forgetting `provider` is told at once."""

    class Forgotten(ProviderContract):
        pass

    with pytest.raises(TypeError, match="Forgotten needs `provider = YourProvider`"):
        Forgotten.cases()
