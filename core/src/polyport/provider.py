"""Provider, the base class of every provider plugin.

    class Anthropic(Provider):
        auth = ApiKey(header="x-api-key", env="ANTHROPIC_API_KEY")
        base_url = "https://api.anthropic.com"

        @hookimpl
        def chat(self, request):
            reply = yield self.post("/v1/messages", json=to_messages(request), stream=request.stream)
            return Streaming(reply, MessageEvents()) if request.stream else to_completion(reply)

Core does the rest: it finds key, base URL and settings, makes the URL absolute, encodes the body, signs, and turns
an error status into an error before the flow sees it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import msgspec

from polyport.auth import Auth, NoAuth
from polyport.errors import InvalidResponseError
from polyport.flow import HttpReply, HttpRequest
from polyport.types.record import learn

if TYPE_CHECKING:
    from polyport.border import Call

T = TypeVar("T")
H = TypeVar("H", bound=Callable[..., Any])


class Turn(msgspec.Struct, frozen=True):
    """A hook that is one POST below the base URL and its reply. `ask(request)` returns the HttpRequest, or None.

    None is for a request that takes more than that; it goes through the hook itself.

    `tell(request, reply)` returns the result. `give(fields, model)` returns the HttpRequest of parameters that are on
    the wire what they are here, all of which it has looked at but for their types; None for any others.
    """

    ask: Callable[[Any], HttpRequest | None]
    tell: Callable[[Any, HttpReply], Any]
    give: Callable[[Mapping[str, Any], str], HttpRequest | None] | None = None


def in_one_turn(ask: str, tell: str, give: str | None = None) -> Callable[[H], H]:
    """Mark a hook whose flow only yields what the method `ask` returns and returns what the method `tell` makes of it.

    Core then calls these two and spares the flow, but for requests that `ask` returns None for. See `Turn`.
    """

    def mark(hook: H) -> H:
        hook.turn = (ask, tell) if give is None else (ask, tell, give)  # type: ignore[attr-defined]
        return hook

    return mark


class Setting(msgspec.Struct, frozen=True):
    """A setting besides the key: a region, a project. `names` are keyword arguments, `env` variables, in order.

    A provider's `base_url` and paths may hold `{name}` of its settings. What stands there is `form` with the value in
    its `{}`, or what `values` has for the value: hosts of regions, and of the one region that has no name in its host.
    """

    name: str
    names: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    default: str | None = None
    form: str = "{}"
    values: Mapping[str, str] = {}

    def text(self, value: str) -> str:
        """Return what stands in a URL for a value."""
        return self.values.get(value) or self.form.format(value)


class Provider:
    """Answers operations for a model prefix. One instance serves a whole client, so it holds no state of a call.

    `name` is the prefix it was loaded under; `base_env` the variables that may override `base_url`;
    `request_id_headers` the reply headers that hold the provider's id of the call. `batch_lines` says what a line of a
    batch is: a chat in OpenAI's shape ("chat"), which the plugin translates; the very body that `chat` sends ("wire"),
    because files go as they are; or, besides chats, what Anthropic's Messages API takes ("messages").
    """

    auth: ClassVar[Auth] = NoAuth()
    base_url: ClassVar[str] = ""
    base_env: ClassVar[tuple[str, ...]] = ()
    headers: ClassVar[dict[str, str]] = {}
    settings: ClassVar[tuple[Setting, ...]] = ()
    request_id_headers: ClassVar[tuple[str, ...]] = ("x-request-id", "request-id")
    batch_lines: ClassVar[Literal["chat", "wire", "messages"]] = "chat"

    def __init__(self, name: str = "") -> None:
        self.name = name or type(self).__name__.lower()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = msgspec.UNSET,
        form: Sequence[tuple[str, Any]] | None = None,
        content: bytes | None = None,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        stream: bool | None = None,
    ) -> HttpRequest:
        """Return a request below the base URL, to be yielded; what comes back is the HttpReply of a success.

        `json` is a plain value, `form` multipart fields, `params` the query (None values are left out).
        """
        query = {key: _text(value) for key, value in params.items() if value is not None} if params else None
        return HttpRequest(
            method=method,
            url=path,
            headers={**self.headers, **headers} if headers else {**self.headers},
            params=query or None,
            json=json,
            form=form,
            content=content,
            stream=bool(stream),
        )

    def post(
        self,
        path: str,
        *,
        json: Any = msgspec.UNSET,
        form: Sequence[tuple[str, Any]] | None = None,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        stream: bool | None = None,
    ) -> HttpRequest:
        """Return a POST below the base URL."""
        return self.request("POST", path, json=json, form=form, params=params, headers=headers, stream=stream)

    def get(
        self,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        stream: bool | None = None,
    ) -> HttpRequest:
        """Return a GET below the base URL."""
        return self.request("GET", path, params=params, headers=headers, stream=stream)

    def delete(self, path: str, *, headers: dict[str, str] | None = None) -> HttpRequest:
        """Return a DELETE below the base URL."""
        return self.request("DELETE", path, headers=headers)

    def wire_of(self, model: str) -> str:
        """Return the name of the dialect ("gemini") whose own parameters a model's chats take as they are; "" for none.

        It is not OpenAI's, whose parameters are chat's. Replies that are marked by this name can be had as they come.
        """
        return ""

    def address(self, base: str, path: str, call: Call) -> str:
        """Return where a path is below a base: the user's, the environment's or the provider's own.

        Called once a request, just before it is sent; `call` tells the model, the options and the environment.
        """
        return join(base, path)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


@lru_cache(maxsize=512)
def join(base: str, path: str) -> str:
    """Append the path to the base; a version that both name (".../v1" and "/v1/...") stands once."""
    base = base.rstrip("/")
    first = path.split("/", 2)[1] if path.startswith("/") else ""
    if re.fullmatch(r"v\d\w*", first) and base.endswith(f"/{first}"):
        path = path[len(first) + 1 :]
    return base + path


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def decode(reply: HttpReply, type: type[T]) -> T:
    """Return the reply's JSON as `type`, its bytes kept for `.extra`. Raises InvalidResponseError naming the place."""
    try:
        result: T = _decoder_of(type)(reply.content)
    except msgspec.ValidationError as error:
        raise InvalidResponseError(
            f"The reply is JSON but not of the promised shape: {error}. It begins {_begin(reply)}", body=reply.content
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        kind = reply.headers.get("content-type", "no content type")
        raise InvalidResponseError(
            f"The reply is not JSON but {kind}; is api_base right? It begins {_begin(reply)}", body=reply.content
        ) from error
    except RecursionError as error:
        raise InvalidResponseError(
            f"The reply is JSON that is nested too deep. It begins {_begin(reply)}", body=reply.content
        ) from error
    keep = getattr(result, "keep", None)
    if keep is not None:
        keep(reply.content)
    return result


#: Returns what decodes JSON as a type. Types are made once, and few.
_decoder_of: Callable[[Any], Callable[[bytes], Any]] = lru_cache(maxsize=512)(
    lambda kind: msgspec.json.Decoder(learn(kind)).decode
)


def _begin(reply: HttpReply) -> str:
    return repr(reply.content[:120].decode("utf-8", "replace"))
