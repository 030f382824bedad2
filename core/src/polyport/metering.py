"""What a call used, read from its result: tokens by bucket, and what is billed by other units.

One reader an operation that is billed (READERS); what is not in the table, such as lists, files and looking how far
a job is, is not billed. Streams are read as they pass: `Meter` keeps what is needed at their end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from polyport.prices import Used
from polyport.types.messages import MessageUsage
from polyport.types.record import learn
from polyport.types.responses import ResponsesUsage
from polyport.types.usage import Usage, split_writes

Reader = Callable[[Any, Any], Used | None]
#: Items of a response that are calls of tools which the provider runs and bills -> their unit.
TOOL_CALLS = {"web_search_call": "web_search", "file_search_call": "file_search"}
#: What a tool's call does that is billed; opening a page of what was found is not.
#: https://developers.openai.com/api/docs/guides/tools-web-search (search actions incur a tool call cost)
SEARCH = {"type": "search"}
#: Counts of server-side tool use -> their unit.
TOOL_COUNTS = {"web_search_requests": "web_search", "file_search_requests": "file_search"}
SIZE = re.compile(r"(\d+)\s*[x*:]\s*(\d+)")


def read(hook: str, request: Any, result: Any) -> Used | None:
    """Return what a call used; None for operations that are not billed, and where nothing was told."""
    reader = READERS.get(hook)
    used = None if reader is None else reader(request, result)
    return None if used is None else used.counted()


def of_usage(usage: Usage) -> Used:
    """Return what a Usage says."""
    return uncounted(usage).counted()


def uncounted(usage: Usage) -> Used:
    """Return what a Usage says; its tokens are cut into buckets when somebody wants to know."""
    return Used(
        usage=usage,
        prompt=usage.prompt_tokens,
        units=_units(usage) if usage.server_tool_use or usage.seconds or not usage.total_tokens else {},
        told=usage.cost,
    )


def _units(usage: Usage) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if usage.search_units is not None:
        found["search"] = usage.search_units
    if usage.seconds is not None:
        found |= {"second": usage.seconds, "minute": usage.seconds / 60}
    if usage.characters is not None:
        found["character"] = usage.characters
    for name, count in (usage.server_tool_use or {}).items():
        if name in TOOL_COUNTS:
            found[TOOL_COUNTS[name]] = count
    return found


# --- results ---


def _tokens(request: Any, result: Any) -> Used | None:
    """Chat, completions, vectors: what the usage says."""
    usage = getattr(result, "usage", None)
    if usage is None:
        return None
    used = uncounted(usage)
    used.service_tier = getattr(result, "service_tier", None) or getattr(request, "service_tier", None)
    used.model = getattr(result, "model", None)
    return used


def _response(request: Any, result: Any) -> Used | None:
    usage: ResponsesUsage | None = result.usage
    if usage is None:
        return None
    given = usage.input_tokens_details or {}
    hour = given.get("cache_write_1h_tokens")
    buckets = usage.buckets()
    if hour and buckets.get("cache_write"):
        buckets = split_writes(buckets, _with_hour(hour))
    units: dict[str, Any] = {}
    for item in result.output:
        unit = TOOL_CALLS.get(item.get("type", ""))
        if unit is not None and (item.get("action") or SEARCH).get("type") == "search":
            units[unit] = units.get(unit, 0) + 1
    return Used(
        tokens=buckets,
        prompt=usage.input_tokens,
        units=units,
        service_tier=result.service_tier or getattr(request, "service_tier", None),
        model=result.model,
        told=_price(usage.cost),
    )


def _with_hour(hour: int) -> Usage:
    from polyport.types.usage import usage

    return usage(cached=0, cache_write_1h=hour)


def _price(given: Any) -> float | None:
    """Return a told cost where it is a number of USD; some tell a breakdown with its sum."""
    if isinstance(given, Mapping):
        given = given.get("total_cost")
    return float(given) if isinstance(given, int | float) and not isinstance(given, bool) else None


def _message(request: Any, result: Any) -> Used | None:
    usage: MessageUsage = result.usage
    used = of_usage(usage.to_usage())
    used.service_tier = usage.service_tier or getattr(request, "service_tier", None)
    used.model = result.model
    return used


def _ranking(request: Any, result: Any) -> Used:
    """A rerank: search units and tokens as told; without either, one search, as 100 documents are one."""
    usage = result.usage
    used = Used() if usage is None else of_usage(usage)
    used.units = {**used.units, **({} if usage is None else _units(usage))}
    if "search" not in used.units and request is not None:
        used.units["search"] = -(-len(request.documents) // 100)
    used.model = result.model
    return used


def _pictures(request: Any, result: Any) -> Used:
    count = len(result.data)
    size, quality = (
        (result.size or getattr(request, "size", None)),
        (result.quality or getattr(request, "quality", None)),
    )
    return _pictured(result.usage, count, size, quality)


def _pictured(usage: Usage | None, count: int, size: str | None, quality: str | None) -> Used:
    used = Used() if usage is None else of_usage(usage)
    used.units = {**used.units, "image": count, "megapixel": _megapixels(size, count)}
    used.kinds = kinds(size, quality)
    return used


def kinds(size: str | None, quality: str | None = None) -> tuple[str, ...]:
    """Return what prices may call an image or video of this size and quality, most telling first."""
    both = (f"{quality}/{size}",) if size and quality else ()
    return (*both, *(name for name in (size, quality) if name))


def _megapixels(size: str | None, count: int) -> float | None:
    match = SIZE.fullmatch(size or "")
    return None if match is None else int(match[1]) * int(match[2]) * count / 1e6


def _heard(_: Any, result: Any) -> Used | None:
    """A transcript: tokens or seconds as told, else the length that the transcript gives."""
    usage = getattr(result, "usage", None)
    used = Used() if usage is None else of_usage(usage)
    seconds = getattr(result, "duration", None)
    if seconds is not None and "second" not in used.units:
        used.units = {**used.units, "second": seconds, "minute": seconds / 60}
    return used


def _spoken(request: Any, result: Any) -> Used | None:
    """Speech: characters as told, else those of the text; tokens where the provider tells them."""
    usage = getattr(result, "usage", None)
    if usage is None and hasattr(result, "extra"):
        usage = result.extra.get("usage")
    used = of_usage(usage) if isinstance(usage, Usage) else Used()
    if "character" not in used.units and request is not None:
        used.units = {**used.units, "character": len(request.input)}
    return used


def _filmed(request: Any, result: Any) -> Used | None:
    """A video job: the seconds it will have, by its size."""
    seconds, size = result.seconds or getattr(request, "seconds", None), result.size or getattr(request, "size", None)
    try:
        length = None if seconds is None else float(seconds)
    except ValueError:
        length = None
    return Used(units={"video_second": length}, kinds=kinds(size), model=result.model or None)


READERS: dict[str, Reader] = {
    "chat": _tokens,
    "complete_text": _tokens,
    "respond": _response,
    "create_message": _message,
    "embed": _tokens,
    "moderate": _tokens,
    "rerank": _ranking,
    "generate_image": _pictures,
    "edit_image": _pictures,
    "vary_image": _pictures,
    "transcribe": _heard,
    "translate": _heard,
    "speak": _spoken,
    "create_video": _filmed,
    "remix_video": _filmed,
}


# --- streams ---


class Meter:
    """Sees a stream's chunks pass and says what the call used. `see` is on the path of every chunk."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self.letters = 0

    def see(self, chunk: Any) -> bool:
        """Take note of a chunk, and say whether it told what was used."""
        return False

    def used(self) -> Used | None:
        """Return what was used, once the stream is over; None where it did not tell."""
        return None


class ChunkMeter(Meter):
    """Chat and text completion: the last usage told; letters of the text are counted where none is."""

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        self.last: Any = None

    def see(self, chunk: Any) -> bool:
        """Keep the usage, count letters."""
        if chunk.usage is not None:
            self.last = chunk
            return True
        for choice in chunk.choices:
            self.letters += _letters(choice)
        return False

    def used(self) -> Used | None:
        """Return what the last usage says."""
        return _tokens(self.request, self.last) if self.last is not None else None


def _letters(choice: Any) -> int:
    delta = getattr(choice, "delta", None)
    if delta is None:
        return len(choice.text)
    count = len(delta.content or "") + len(delta.reasoning_content or "")
    for call in delta.tool_calls or ():
        if call.function is not None:
            count += len(call.function.arguments) + len(call.function.name or "")
    return count


class ResponseMeter(Meter):
    """The Responses API: the response of the closing event, or of `response.incomplete` and the like."""

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        self.response: Mapping[str, Any] | None = None

    def see(self, chunk: Any) -> bool:
        """Keep the response that has usage; count the letters of deltas."""
        delta = chunk.get("delta")
        if type(delta) is str:
            self.letters += len(delta)
            return False
        response = chunk.get("response")
        if not response or not response.get("usage"):
            return False
        self.response = response
        return True

    def used(self) -> Used | None:
        """Return what the closing event says."""
        from polyport.types.responses import Response

        if self.response is None:
            return None
        return _response(self.request, msgspec.convert(dict(self.response), learn(Response), strict=False))


class MessageMeter(Meter):
    """The Messages API: input is told at the start, output at the end; later counts stand in place of earlier ones."""

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        self.counts: dict[str, Any] = {}
        self.model = ""
        self.ended = False

    def see(self, chunk: Any) -> bool:
        """Put the counts together; count the letters of deltas."""
        kind = chunk.get("type")
        if kind == "content_block_delta":
            delta = chunk["delta"]
            self.letters += len(delta.get("text") or delta.get("partial_json") or delta.get("thinking") or "")
        elif kind == "message_start":
            self.model = chunk["message"].get("model") or ""
            self._take(chunk["message"].get("usage"))
        elif kind == "message_delta":
            self.ended = True
            self._take(chunk.get("usage"))
            return True
        return False

    def _take(self, usage: Any) -> None:
        self.counts |= {name: value for name, value in (usage or {}).items() if value is not None}

    def used(self) -> Used | None:
        """Return the counts; None before the message's end, when only the input is told."""
        if not self.ended or not self.counts:
            return None
        usage = msgspec.convert(self.counts, learn(MessageUsage), strict=False)
        used = of_usage(usage.to_usage())
        used.service_tier = usage.service_tier or self.request.service_tier
        used.model = self.model
        return used


class EventMeter(Meter):
    """Images and transcripts: the usage of the closing event, and how many images were completed."""

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        self.usage: Usage | None = None
        self.last: Any = None
        self.completed = 0

    def see(self, chunk: Any) -> bool:
        """Keep the usage; count what is completed."""
        if chunk.usage is not None:
            self.usage = chunk.usage
        if not chunk.type.endswith((".completed", ".done")):
            return False
        self.completed += 1
        self.last = chunk
        return True


class PictureMeter(EventMeter):
    """Streamed images."""

    def used(self) -> Used | None:
        """Return the pictures' tokens, or their number."""
        if self.last is None:
            return None
        size, quality = self.last.size or self.request.size, self.last.quality or self.request.quality
        return _pictured(self.usage, self.completed, size, quality)


class TranscriptMeter(EventMeter):
    """Streamed transcripts."""

    def used(self) -> Used | None:
        """Return what the closing event says."""
        return None if self.usage is None else of_usage(self.usage)


class SpeechMeter(Meter):
    """Streamed speech: the characters of the text."""

    def used(self) -> Used | None:
        """Return the characters that were asked to be spoken."""
        return _spoken(self.request, None)


class Passing(Meter):
    """A stream of `Passed`: letters that nobody reads are what is in their events beyond the frame of one.

    The frame is known from the first content, which is read; events are counted by their lines.
    """

    def __init__(self, meter: Meter) -> None:
        super().__init__(meter.request)
        self.meter = meter
        self._frame = 0.0

    def see(self, chunk: Any) -> bool:
        """Let what was read be metered, and count the letters of what was not."""
        if chunk.chunk is None:
            if self._frame:
                self.letters += max(0, len(chunk.data) - round(self._frame * chunk.data.count(b"\n")))
            return False
        before = self.meter.letters
        told = self.meter.see(chunk.chunk)
        more = self.meter.letters - before
        if more and not self._frame:
            self._frame = (len(chunk.data) - more) / max(1, chunk.data.count(b"\n"))
        self.letters += more
        return told

    def used(self) -> Used | None:
        """Return what was told."""
        return self.meter.used()


METERS: dict[str, type[Meter]] = {
    "chat": ChunkMeter,
    "complete_text": ChunkMeter,
    "respond": ResponseMeter,
    "create_message": MessageMeter,
    "generate_image": PictureMeter,
    "edit_image": PictureMeter,
    "transcribe": TranscriptMeter,
    "speak": SpeechMeter,
}
