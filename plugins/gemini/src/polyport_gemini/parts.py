"""A candidate's parts as they come: plain dicts, whatever Gemini adds to them, and the fields that are read here.

Pieces of one text are joined, streamed or not; a part with a signature is joined with nothing.
https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec

from polyport.types.chat import FunctionCall, ReplyAudio, ToolCall
from polyport_gemini.media import Piece


class _Blob(msgspec.Struct, rename="camel"):
    mime_type: str = ""
    data: str = ""


class _Call(msgspec.Struct, rename="camel"):
    name: str | None = None
    id: str | None = None
    args: dict[str, Any] | None = None
    partial_args: list[dict[str, Any]] | None = None
    will_continue: bool | None = None


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _Call | None = None
    inline_data: _Blob | None = None


def verify(part: Piece, path: str) -> None:
    """Raise msgspec.ValidationError, naming the place, where a field of a part that is read is malformed."""
    if len(part) == 1 and type(part.get("text")) is str:  # nearly all parts are of this kind
        return
    try:
        msgspec.convert(part, _Part)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        raise msgspec.ValidationError(f"{what} - at `{path}{where.rstrip('`')}`") from error


def is_text(part: Piece) -> bool:
    """Whether the part is a piece of the answer's text, or of a thought's."""
    return isinstance(part.get("text"), str)


def join(parts: list[Piece], part: Piece) -> None:
    """Add a part to those that came before: a piece of a text that is open goes on with it, an empty one is nothing."""
    if part.get("text") == "" and part.keys() <= {"text", "thought"}:
        return
    last = parts[-1] if parts else None
    if last is not None and is_text(part) and is_text(last) and _continues(last, part):
        parts[-1] = {**last, "text": last["text"] + part["text"]}
    else:
        parts.append(part)


def _continues(last: Piece, part: Piece) -> bool:
    plain = {"text", "thought"}
    return last.keys() <= plain and part.keys() <= plain and bool(last.get("thought")) == bool(part.get("thought"))


def call_id(part: Piece, seed: str, number: int) -> str:
    """Return a call's id; one that has none is given one, the same for the same reply however it is cut."""
    given = part["functionCall"].get("id")
    if given:
        return str(given)
    text = f"{seed}/{number}/{part['functionCall'].get('name')}"
    return f"call_{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"


def tool_call(part: Piece, *, index: int | None = None) -> ToolCall:
    """Return a functionCall part as a tool call, its signature where Google's OpenAI-like endpoint has it too."""
    call = part["functionCall"]
    arguments = msgspec.json.encode(call.get("args") or {}).decode()
    return ToolCall(
        index=index,
        id=call["id"],
        type="function",
        function=FunctionCall(name=call.get("name"), arguments=arguments),
        extra_content=signed(part),
    )


def signed(part: Piece) -> dict[str, Any] | None:
    """Return a call's signature as `extra_content`."""
    signature = part.get("thoughtSignature")
    return {"google": {"thought_signature": signature}} if signature else None


def image(part: Piece, index: int) -> dict[str, Any] | None:
    """Return a picture the model made in OpenAI's shape; None for other parts, and for drafts among its thoughts."""
    blob = part.get("inlineData")
    if not isinstance(blob, dict) or part.get("thought") or not str(blob.get("mimeType")).startswith("image/"):
        return None
    url = f"data:{blob['mimeType']};base64,{blob.get('data', '')}"
    return {"type": "image_url", "image_url": {"url": url}, "index": index}


def sound(part: Piece) -> str | None:
    """Return the base64 of what the model spoke; None for other parts. It is as Gemini gives it, usually 24 kHz PCM."""
    blob = part.get("inlineData")
    if not isinstance(blob, dict) or not str(blob.get("mimeType")).startswith("audio/"):
        return None
    return str(blob.get("data", ""))


def spoken(parts: list[Piece]) -> ReplyAudio | None:
    """Return all that the model spoke as one; None where it did not."""
    pieces = [data for part in parts if (data := sound(part)) is not None]
    if len(pieces) < 2:
        return ReplyAudio(data=pieces[0]) if pieces else None
    return ReplyAudio(data=base64.b64encode(b"".join(map(decoded, pieces))).decode())


def decoded(data: str) -> bytes:
    """Return the bytes of base64. Raises msgspec.ValidationError where it is none."""
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise msgspec.ValidationError(f"Invalid base64: {error} - at `$.inlineData.data`") from error


#: Kinds of parts, in the order in which a message's own fields give them back.
ORDER = ("thought", "text", "audio", "call")


def is_plain(parts: list[Piece]) -> bool:
    """Whether a thought, a text and calls, in this order, are all there is: a message's own fields hold that."""
    rank = -1
    for part in parts:
        kind = _kind(part)
        if kind is None:
            return False
        if ORDER.index(kind) < rank or (ORDER.index(kind) == rank and kind != "call"):
            return False
        rank = ORDER.index(kind)
    return True


def _kind(part: Piece) -> str | None:
    if part.keys() <= {"text", "thought"} and is_text(part):
        return "thought" if part.get("thought") else "text"
    if "functionCall" in part and part.keys() <= {"functionCall", "thoughtSignature"}:
        return "call" if part["functionCall"].keys() <= {"id", "name", "args"} else None
    return "audio" if part.keys() == {"inlineData"} and sound(part) is not None else None
