"""What all requests and results share: reading both ways, options, adaptations, `meta`, what was not modelled.

A result is a msgspec Struct that also reads as a mapping: `r.choices[0].message` and `r["choices"][0]["message"]`.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from types import NoneType
from typing import Any, ClassVar, Literal, Self, TypedDict, TypeVar

import msgspec

from polyport.errors import BadRequestError, UnsupportedParamsError
from polyport.flow import OWN, TimeoutSpec
from polyport.types.bill import Bill
from polyport.types.guard import Guarded

T = TypeVar("T")
R = TypeVar("R", bound="Request")


def null() -> Any:
    """Declare a field that is None by default and still written out, as null, when it is."""
    return msgspec.field(default_factory=NoneType)


def zero() -> Any:
    """Declare an integer field that is 0 by default and still written out."""
    return msgspec.field(default_factory=int)


def empty() -> Any:
    """Declare a list that is empty by default and still written out, as [], when it is."""
    return msgspec.field(default_factory=lambda: [])  # noqa: PIE807  `list` itself would be left out


class Fields(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A Struct that also reads as a mapping and turns into plain data. None means the provider did not say."""

    def __getitem__(self, name: str) -> Any:
        if name in self.__struct_fields__:
            return getattr(self, name)
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return name in self.__struct_fields__ and getattr(self, str(name)) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def get(self, name: str, default: Any = None) -> Any:
        """Return the field, or `default` where there is none or it is None."""
        value = getattr(self, name, None) if name in self.__struct_fields__ else None
        return default if value is None else value

    def keys(self) -> list[str]:
        """Return the names of the fields that have a value."""
        return [name for name in self.__struct_fields__ if getattr(self, name) is not None]

    def items(self) -> list[tuple[str, Any]]:
        """Return (name, value) of the fields that have a value."""
        return [(name, getattr(self, name)) for name in self.keys()]

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers, as the provider's JSON would hold them."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def to_json(self) -> str:
        """Return the JSON text of `to_dict()`."""
        return msgspec.json.encode(self.to_dict()).decode()

    def model_dump(self, *, exclude_none: bool = False) -> dict[str, Any]:
        """Return `to_dict()`, under the name that users of pydantic-based SDKs know."""
        plain = self.to_dict()
        return _without_none(plain) if exclude_none else plain

    def model_dump_json(self) -> str:
        """Return `to_json()`, under the name that users of pydantic-based SDKs know."""
        return self.to_json()


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(inner) for name, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list) else value


class Adaptation(msgspec.Struct, frozen=True):
    """One thing that a translation could not pass on as it was given."""

    parameter: str
    action: Literal["dropped", "renamed", "clamped", "emulated"]
    why: str


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt that failed on its way to a result: where, with what class of error, after how many seconds."""

    deployment: str
    provider: str
    error: str
    message: str
    status: int | None = None
    seconds: float = 0.0


class Meta(msgspec.Struct, kw_only=True):
    """What happened to get this result. `group`, `deployment` and `failures` are a router's.

    `failures` are the attempts before the last one, or all of them where the call failed. `latency` is in seconds,
    from the call to the result (of a stream: to its end); `cost` in USD, None where no price is known, and `bill` what
    it is made of; `provider_cost` what the provider itself says it charged; `guardrails` what each of them said;
    `headers` are the reply's, lower case.

    Cost and bill are made when they are first read, of the prices that held when the call ended.
    """

    provider: str = ""
    model: str = ""
    group: str | None = None
    deployment: str | None = None
    attempts: int = 0
    latency: float | None = None
    provider_cost: float | None = None
    request_id: str | None = None
    cache_hit: bool = False
    adaptations: list[Adaptation] = []
    guardrails: list[Guarded] = []
    failures: list[Failure] = []
    headers: Mapping[str, str] = {}
    charged: Callable[[], tuple[float | None, Bill | None]] | None = None
    _cost: float | None = None
    _bill: Bill | None = None

    @property
    def cost(self) -> float | None:
        """What the call cost, in USD; None where no price is known."""
        if self.charged is not None:
            self._settle(self.charged)
        return self._cost

    @cost.setter
    def cost(self, value: float | None) -> None:
        self._cost, self.charged = value, None

    @property
    def bill(self) -> Bill | None:
        """What the cost is made of."""
        if self.charged is not None:
            self._settle(self.charged)
        return self._bill

    @bill.setter
    def bill(self, value: Bill | None) -> None:
        self._bill = value

    def _settle(self, charged: Callable[[], tuple[float | None, Bill | None]]) -> None:
        """Make cost and bill; of threads that ask at once, each makes the same. What is charged meanwhile stands."""
        cost, bill = charged()
        if self.charged is charged:
            self._cost, self._bill = cost, bill
            self.charged = None

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        shown = ("cost", "bill", *(name for name in self.__struct_fields__ if name[0] != "_" and name != "charged"))
        return [(name, getattr(self, name)) for name in shown]

    def __repr__(self) -> str:
        return f"Meta({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


class Result(Fields, dict=True):
    """The top of every reply: `meta` says what happened, `extra` holds what polyport does not model."""

    @property
    def meta(self) -> Meta:
        """What happened: provider, model, attempts, latency, cost, request id, adaptations."""
        found = self.__dict__.get("_meta")
        if found is None:
            found = self.__dict__["_meta"] = Meta()
        return found

    @property
    def raw(self) -> Any:
        """The provider's reply as it came, decoded from the kept bytes on first use; None if made here."""
        if "_raw" not in self.__dict__:
            kept = self.__dict__.get("_bytes")
            self.__dict__["_raw"] = msgspec.json.decode(kept) if kept else None
        return self.__dict__["_raw"]

    @property
    def extra(self) -> dict[str, Any]:
        """The top-level fields the provider sent that have no attribute here, e.g. `r.extra["citations"]`."""
        if "_extra" not in self.__dict__:
            raw = self.raw
            known = self.__struct_encode_fields__
            self.__dict__["_extra"] = {k: v for k, v in raw.items() if k not in known} if isinstance(raw, dict) else {}
        found: dict[str, Any] = self.__dict__["_extra"]
        return found

    @property
    def usage_buckets(self) -> dict[str, int]:
        """The tokens used as disjoint buckets; empty where the reply says nothing of usage."""
        usage = getattr(self, "usage", None)
        buckets: dict[str, int] = usage.buckets() if usage is not None and hasattr(usage, "buckets") else {}
        return buckets

    def keep(self, raw: bytes, extra: dict[str, Any] | None = None) -> None:
        """Remember the bytes this was decoded from, for `raw` and `extra`.

        Where they are of another shape than this, as after a translation, the translator says what `extra` is.
        """
        self.__dict__["_bytes"] = raw
        self.__dict__.pop("_relay", None)
        if extra is not None:
            self.__dict__["_extra"] = extra

    def relay(self, wire: str = OWN) -> Self:
        """Declare that the kept bytes say in the operation's own shape what this says: they may go out in its place.

        Or in another shape, by its name ("gemini"). Who changes such a result takes that back by `keep`.
        """
        self.__dict__["_relay"] = wire
        return self

    @property
    def relayed(self) -> bytes | None:
        """The reply as it came, where it may go out in place of this; None for results that were made or changed."""
        return self.relayed_as(OWN)

    def relayed_as(self, wire: str) -> bytes | None:
        """Return the reply as it came, where it may go out to who wants it in this shape."""
        return self.__dict__.get("_bytes") if self.__dict__.get("_relay") == wire else None

    def carry(self, extra: dict[str, Any]) -> None:
        """Give a result that is made here, not decoded, the fields that `extra` is to hold."""
        self.__dict__["_extra"] = extra

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fields that polyport does not model included."""
        return {**self.extra, **msgspec.to_builtins(self)}

    def keys(self) -> list[str]:
        """Return the names of the fields that have a value, those that polyport does not model included."""
        return [*super().keys(), *self.extra]

    def get(self, name: str, default: Any = None) -> Any:
        """Return the field, modelled or not, or `default` where there is none or it is None."""
        value = self[name] if name in self.__struct_fields__ else self.extra.get(name)
        return default if value is None else value

    def items(self) -> list[tuple[str, Any]]:
        """Return (name, value) of the fields that have a value."""
        return [(name, self[name]) for name in self.keys()]

    def __contains__(self, name: object) -> bool:
        return name in self.extra or super().__contains__(name)

    def __getitem__(self, name: str) -> Any:
        if name in self.__struct_fields__:
            return getattr(self, name)
        return self.extra[name]


class Options(msgspec.Struct, kw_only=True, frozen=True):
    """How to make a call, as against what to ask: never part of a provider's body.

    `prices` are the user's own, in place of those that are known of the model; see `polyport.catalog`.
    """

    api_key: str | None = None
    api_base: str | None = None
    api_version: str | None = None
    timeout: float | TimeoutSpec | None = None
    num_retries: int | None = None
    drop_params: bool | None = None
    strict: bool | None = None
    extra_headers: dict[str, str] | None = None
    extra_query: dict[str, str] | None = None
    extra_body: dict[str, Any] | None = None
    cache: dict[str, Any] | None = None
    fallbacks: list[str] | None = None
    guardrails: list[str] | dict[str, bool] | None = None
    prices: dict[str, Any] | None = None
    provider: str | None = None

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        given = [(name, value) for name in self.__struct_fields__ if (value := getattr(self, name)) is not None]
        return [(name, "***" if name in SECRET_OPTIONS else value) for name, value in given]

    def __repr__(self) -> str:
        return f"Options({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


#: Options that are, or may hold, a key.
SECRET_OPTIONS = frozenset({"api_key", "extra_headers", "extra_query"})
NO_OPTIONS = Options()
#: Keyword arguments that hold credentials: providers' own, such as aws_secret_access_key. `stop_token` is none.
SECRET_SETTING = re.compile(
    r"(.*_)?(api_?key|access_key(_id)?|secret_key|private_key|client_secret|secret_access_key|password|credentials?"
    r"|(api|session|access|auth|ad|aad|bearer|security|id|identity|refresh)_token)"
)


class Request(msgspec.Struct, kw_only=True, dict=True):
    """The base of every request: what is asked of which model, plus `options` and what is not modelled, `extra`.

    Translators read it and never change it. `extra` holds keyword arguments that have no field; they are sent to
    the provider as they are.
    """

    model: str = ""
    options: Options = NO_OPTIONS
    extra: dict[str, Any] = {}
    adaptations: list[Adaptation] = []

    #: Fields that are not parameters of the wire.
    FRAME: ClassVar[frozenset[str]] = frozenset({"model", "options", "extra", "adaptations"})

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        extra = {name: "***" if SECRET_SETTING.fullmatch(name) else value for name, value in self.extra.items()}
        given = [(name, getattr(self, name)) for name in self.__struct_fields__ if name != "extra"]
        return [*given, ("extra", extra)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def check(self) -> None:
        """Validate what types alone cannot say. Raises BadRequestError naming the path."""

    def given(self) -> dict[str, Any]:
        """Return the parameters the user gave, by name; None counts as not given."""
        names = self.__dict__.get("_given") or self.__struct_fields__
        return {name: value for name in names if name not in self.FRAME and (value := getattr(self, name)) is not None}

    def adapt(self, parameter: str, action: Literal["dropped", "renamed", "clamped", "emulated"], why: str) -> None:
        """Record that `parameter` is not passed on as given. Raises BadRequestError under `strict=True`."""
        if self.options.strict:
            raise BadRequestError(f"strict=True, and {parameter} would be {action}: {why}")
        made = Adaptation(parameter, action, why)
        if made not in self.adaptations:  # each attempt translates anew
            self.adaptations.append(made)

    def unsupported(self, parameter: str, why: str) -> None:
        """Leave `parameter` out under `drop_params=True` (recorded), raise UnsupportedParamsError otherwise."""
        if not self.options.drop_params:
            raise UnsupportedParamsError(
                f"{parameter} is not supported: {why}. Leave it out, or pass drop_params=True to have it dropped."
            )
        self.adapt(parameter, "dropped", why)


class CallParams(TypedDict, total=False):
    """How to make a call; every operation takes these. Times are in seconds."""

    api_key: str | None
    api_base: str | None
    api_version: str | None
    timeout: float | TimeoutSpec | None
    num_retries: int | None
    drop_params: bool | None
    strict: bool | None
    extra_headers: dict[str, str] | None
    extra_query: dict[str, str] | None
    extra_body: dict[str, Any] | None
    cache: dict[str, Any] | None
    fallbacks: list[str] | None
    guardrails: list[str] | dict[str, bool] | None
    prices: dict[str, Any] | None
    provider: str | None
    custom_llm_provider: str | None


OPTION_NAMES = frozenset(Options.__struct_fields__)


def plain(value: Any) -> Any:
    """Return plain data for a message, tool or item given as one of our results or another SDK's model."""
    if isinstance(value, Fields):
        return value.to_dict()
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return dump(exclude_none=True)
    return value


_learned: set[Any] = set()
_learning = threading.Lock()


def learn(type: T) -> T:
    """Have msgspec take in a type before it is used, one thread at a time, and return it.

    msgspec does so on a type's first use by itself, but two threads whose first use comes at once crash the process
    (0.22.0, seen 2026-11-22: the second finds the Struct entered and its fields not yet).
    """
    if type not in _learned:
        with _learning:
            # What msgspec cannot take in is an error where it is used, which says more.
            with contextlib.suppress(TypeError, NameError, AttributeError):
                msgspec.json.Decoder(type)
            _learned.add(type)
    return type


def convert(value: Any, type: Any, path: str) -> Any:
    """Convert plain data to `type`. Raises BadRequestError that names the place, `path` and below."""
    if type not in _learned:
        learn(type)
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        raise BadRequestError(describe(error, path)) from error


def describe(error: msgspec.ValidationError, path: str) -> str:
    """Return msgspec's message with the place written from `path`: "Expected `str`, got `int` at $.messages[0]"."""
    what, _, where = str(error).partition(" - at `")
    place = path + where.rstrip("`").removeprefix("$") if where else path
    return f"{what} at {place}"
