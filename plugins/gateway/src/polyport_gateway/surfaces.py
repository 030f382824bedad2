"""The routes: every row of the table of operations, with and without /v1, each on the surface that it belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Protocol

import msgspec

from polyport.operations import BY_FUNCTION, OPERATIONS, Operation
from polyport_gateway.anthropic import Anthropic
from polyport_gateway.anthropic_batches import Batches, Creation, Deletion, Listing
from polyport_gateway.anthropic_results import Results
from polyport_gateway.cohere import Cohere, Transcribing
from polyport_gateway.cohere_chat import Chat
from polyport_gateway.cohere_first import FirstChat
from polyport_gateway.cohere_tokens import Detokenizing, Tokenizing
from polyport_gateway.cohere_unserved import unserved
from polyport_gateway.cohere_vectors import Embedding
from polyport_gateway.gate import GateError
from polyport_gateway.gemini import Gemini
from polyport_gateway.gemini_addresses import KEPT
from polyport_gateway.gemini_batches import Creation as Starts, Ending, Listing as Batched, Looking
from polyport_gateway.gemini_media import Filming, Picturing, Watching
from polyport_gateway.gemini_more import Counting, Embedding as Contents
from polyport_gateway.gemini_unserved import nowhere
from polyport_gateway.openai import OpenAI, Starting
from polyport_gateway.surface import Surface

OPENAI, ANTHROPIC, COHERE, GEMINI = OpenAI(), Anthropic(), Cohere(), Gemini()
#: Operations whose shape is another vendor's, or that are more than one call; all others are OpenAI's.
SURFACES: dict[str, Surface] = {
    "messages": ANTHROPIC, "count_tokens": ANTHROPIC, "rerank": COHERE, "create_batch": Starting(),
}  # fmt: skip
#: Addresses that name the same operation.
ALSO = (("video_generation", "/video/generations"),)
#: How far a video is that Google's SDK had begun.
WATCHING = Watching()
#: The versions of Google's addresses. https://ai.google.dev/gemini-api/docs/api-versions
GOOGLE = ("/v1", "/v1beta", "/v1alpha")
#: By what Google's SDKs are known.
GOOGLE_KEY = "x-goog-api-key"
#: Gemini's addresses, which end with what is to be done.
CONTENTS: tuple[tuple[str, Surface, str], ...] = (
    ("generateContent", GEMINI, "completion"),
    ("streamGenerateContent", Gemini(stream=True), "completion"),
    ("countTokens", Counting(), "count_tokens"),
    ("embedContent", Contents(), "embedding"),
    ("batchEmbedContents", Contents(batch=True), "embedding"),
    ("predict", Picturing(), "image_generation"),
    ("predictLongRunning", Filming(), "video_generation"),
)
#: Anthropic's batches, which are made of core's.
BATCHES: tuple[tuple[str, str, Surface, str], ...] = (
    ("POST", "/messages/batches", Creation(), "create_batch"),
    ("GET", "/messages/batches", Listing(), "list_batches"),
    ("GET", "/messages/batches/{batch_id}", Batches(), "retrieve_batch"),
    ("DELETE", "/messages/batches/{batch_id}", Deletion(), "delete_batch"),
    ("POST", "/messages/batches/{batch_id}/cancel", Batches(), "cancel_batch"),
    ("GET", "/messages/batches/{batch_id}/results", Results(), "retrieve_batch"),
)
#: Cohere's addresses, of which a version is a part.
COHERES: tuple[tuple[str, str, Surface, str], ...] = (
    ("POST", "/v1/chat", FirstChat(), "completion"),
    ("POST", "/v2/chat", Chat(), "completion"),
    ("POST", "/v1/embed", Embedding("1"), "embedding"),
    ("POST", "/v2/embed", Embedding(), "embedding"),
    ("POST", "/v2/audio/transcriptions", Transcribing(), "transcription"),
    ("POST", "/v1/tokenize", Tokenizing(), "count_tokens"),
    ("POST", "/v1/detokenize", Detokenizing(), "count_tokens"),
)
#: Gemini's batches; some of their addresses are OpenAI's, too.
GEMINI_BATCHES: tuple[tuple[str, str, Surface, str], ...] = (
    ("POST", "/models/{model}:batchGenerateContent", Starts("batchGenerateContent"), "create_batch"),
    ("POST", "/models/{model}:asyncBatchEmbedContent", Starts("asyncBatchEmbedContent"), "create_batch"),
    ("GET", "/batches", Batched(), "list_batches"),
    ("POST", "/batches/{batch_id}:cancel", Ending(), "cancel_batch"),
    ("GET", "/batches/{batch_id}", Looking(), "retrieve_batch"),
    ("DELETE", "/batches/{batch_id}", Ending(), "delete_batch"),
)
#: What the gateway answers itself, and is no operation of a provider.
OWN = (("GET", "/models", "models"), ("GET", "/models/{model}", "model"))


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """An address: `operation` is called, or `own` names what the gateway answers itself, `why` it does no more."""

    method: str
    path: str
    surface: Surface
    operation: Operation | None = None
    own: str = ""
    why: str = ""
    #: What the same address is to Google's SDKs, where it is something else.
    google: Route | None = None


class Finds(Protocol):
    """Knows which route a request is for."""

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route of an address, and the names in it. Raises GateError."""


class Routes:
    """Finds the route of a request: an exact address by one look-up in `exact`, one with names in it by its pattern."""

    def __init__(self) -> None:
        self.exact: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        for path, route in addresses():
            self._add(path, route)
        for method, path, why in unserved():
            self._add(path, Route(method=method, path=path, surface=COHERE, own="unserved", why=why))
        for pattern, word, why in nowhere():
            found = {
                method: Route(method=method, path=f"/{word}", surface=GEMINI, own="unserved", why=f"{word}: {why}.")
                for method in ("GET", "POST", "PATCH", "DELETE")
            }
            self._patterns.append((pattern, found))

    def _add(self, path: str, route: Route) -> None:
        if "{" not in path:
            _put(self.exact.setdefault(path, {}), route)
            return
        pattern = re.compile(_pattern(path))
        known = next((routes for found, routes in self._patterns if found == pattern), None)
        if known is None:
            known = {}
            self._patterns.append((pattern, known))
        _put(known, route)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route of an address, and the names in it. Raises GateError: 404, or 405 with what is allowed."""
        names: dict[str, str] = {}
        routes = self.exact.get(path)
        if routes is None:
            routes, names = self._match(path)
        found = routes.get(method)
        if found is None:
            allowed = ", ".join(sorted(routes))
            raise GateError(405, "method_not_allowed", f"{path} takes {allowed}", headers={"allow": allowed})
        return found, names

    def _match(self, path: str) -> tuple[dict[str, Route], dict[str, str]]:
        for pattern, routes in self._patterns:
            match = pattern.fullmatch(path)
            if match is not None:
                return routes, match.groupdict()
        raise GateError(404, "not_found", f"There is nothing at {path[:200]}: chat is at /v1/chat/completions")


def _put(there: dict[str, Route], route: Route) -> None:
    """Put a route beside those of its address. Google's SDKs have addresses of their own that others mean otherwise."""
    found = there.get(route.method)
    google = found if found is not None and found.surface.name == GEMINI.name else None
    there[route.method] = route if google is None else msgspec.structs.replace(route, google=google)


def own_surface(route: Route, headers: Mapping[str, str]) -> Surface:
    """Return who is told of the models: the same address answers each vendor's SDK in its own shape."""
    if GOOGLE_KEY in headers:
        return GEMINI
    return COHERE if headers.get("x-fern-sdk-name") == COHERE.name else route.surface


def addresses() -> Iterator[tuple[str, Route]]:
    """Yield every address with its route."""
    for prefixes, route in _all():
        for prefix in prefixes:
            yield prefix + route.path, route


def _all() -> Iterator[tuple[tuple[str, ...], Route]]:
    for verb, gemini, function in CONTENTS:  # before /models/{model}, which would take them for names
        row = BY_FUNCTION[function]
        yield GOOGLE, Route(method="POST", path=f"/models/{{model}}:{verb}", surface=gemini, operation=row)
    row = BY_FUNCTION["video_status"]
    yield GOOGLE, Route(method="GET", path="/models/{model}/operations/{operation_id}", surface=WATCHING, operation=row)
    for method, path, batches, function in GEMINI_BATCHES:
        yield GOOGLE, Route(method=method, path=path, surface=batches, operation=BY_FUNCTION[function])
    for operation, keeping in KEPT:
        yield GOOGLE, Route(method=operation.method, path=operation.path, surface=keeping, operation=operation)
    for operation in OPERATIONS:
        surface = SURFACES.get(operation.function, OPENAI)
        if operation.function != "list_models":
            prefixes = ("", "/v1", "/v2") if surface is COHERE else ("", "/v1")
            yield prefixes, Route(method=operation.method, path=operation.path, surface=surface, operation=operation)
    for method, path, batches, function in BATCHES:
        yield ("", "/v1"), Route(method=method, path=path, surface=batches, operation=BY_FUNCTION[function])
    for method, path, cohere, function in COHERES:
        yield ("",), Route(method=method, path=path, surface=cohere, operation=BY_FUNCTION[function])
    for function, path in ALSO:
        row = BY_FUNCTION[function]
        yield ("", "/v1"), Route(method=row.method, path=path, surface=OPENAI, operation=row)
    yield ("/v1",), Route(method="POST", path="/check-api-key", surface=COHERE, own="key")
    for method, path, own in OWN:
        yield ("", "/v1"), Route(method=method, path=path, surface=OPENAI, own=own)
        yield GOOGLE[1:], Route(method=method, path=path, surface=GEMINI, own=own)


def _pattern(path: str) -> str:
    """Return the pattern of an address; a model's name may have slashes."""
    parts = re.split(r"\{(\w+)\}", path)
    return "".join(
        (f"(?P<{part}>.+)" if part == "model" else f"(?P<{part}>[^/]+)") if place % 2 else re.escape(part)
        for place, part in enumerate(parts)
    )
