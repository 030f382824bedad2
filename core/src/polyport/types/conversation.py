"""A chat's history as typed values: turns, their content parts, and the tools on offer.

The shapes are OpenAI's: https://platform.openai.com/docs/api-reference/chat/create
Requests keep the plain dicts that users give; translators read these.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from polyport.errors import BadRequestError
from polyport.types.record import convert

Content: TypeAlias = "str | list[dict[str, Any]] | None"


class _Turn(msgspec.Struct, tag_field="role", kw_only=True):
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    cache_control: dict[str, Any] | None = None

    @property
    def parts(self) -> list[Part]:
        """The content as parts; text alone is one TextPart, no content is none."""
        return parts_of(self.content)

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


class SystemMessage(_Turn, tag="system"):
    """Instructions."""


class DeveloperMessage(_Turn, tag="developer"):
    """Instructions, under OpenAI's newer name."""


class UserMessage(_Turn, tag="user"):
    """What the user says, shows or attaches."""


class CallFunction(msgspec.Struct):
    """The function part of a tool call in the history; `arguments` is JSON text."""

    name: str
    arguments: str = ""


class Call(msgspec.Struct):
    """A tool call in the history."""

    id: str
    function: CallFunction | None = None
    type: str = "function"
    custom: dict[str, Any] | None = None
    cache_control: dict[str, Any] | None = None
    extra_content: dict[str, Any] | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments as a dict. Raises BadRequestError where they are not a JSON object."""
        text = self.function.arguments if self.function else ""
        try:
            value = msgspec.json.decode(text) if text.strip() else {}
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequestError(f"The arguments of tool call {self.id!r} are not JSON: {error}.") from error
        if not isinstance(value, dict):
            raise BadRequestError(f"The arguments of tool call {self.id!r} are not a JSON object.")
        return value


class AssistantMessage(_Turn, tag="assistant"):
    """What the model said before, with whatever opaque state it gave along."""

    tool_calls: list[Call] | None = None
    function_call: CallFunction | None = None
    reasoning_content: str | None = None
    thinking_blocks: list[dict[str, Any]] | None = None
    refusal: str | None = None
    audio: dict[str, Any] | None = None
    prefix: bool | None = None
    provider_specific_fields: dict[str, Any] | None = None


class ToolMessage(_Turn, tag="tool"):
    """The result of one tool call."""

    tool_call_id: str
    is_error: bool | None = None


class FunctionMessage(_Turn, tag="function"):
    """The result of a function call, in the shape before tools."""


Turn: TypeAlias = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage


class _Part(msgspec.Struct, tag_field="type", kw_only=True):
    cache_control: dict[str, Any] | None = None


class TextPart(_Part, tag="text"):
    """Text."""

    text: str


class ImageUrl(msgspec.Struct):
    """Where an image is: an http(s) or data: URL. `detail`: auto, low, high."""

    url: str
    detail: str | None = None
    format: str | None = None


class ImagePart(_Part, tag="image_url"):
    """An image, as OpenAI's `image_url` part."""

    image_url: ImageUrl | str

    @property
    def image(self) -> ImageUrl:
        """The image; a bare URL string counts as one."""
        return ImageUrl(self.image_url) if isinstance(self.image_url, str) else self.image_url


class InputAudio(msgspec.Struct):
    """Base64 audio and its format: wav, mp3 ..."""

    data: str
    format: str = "wav"


class AudioPart(_Part, tag="input_audio"):
    """Audio to listen to."""

    input_audio: InputAudio


class FileRef(msgspec.Struct):
    """A file by id, by data: URL (`file_data`) or by http URL (`file_url`)."""

    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    format: str | None = None


class FilePart(_Part, tag="file"):
    """A document, usually a PDF."""

    file: FileRef
    citations: dict[str, Any] | None = None
    title: str | None = None
    context: str | None = None


class VideoUrl(msgspec.Struct):
    """Where a video is: an http(s) or data: URL."""

    url: str
    format: str | None = None


class VideoPart(_Part, tag="video_url"):
    """A video to watch."""

    video_url: VideoUrl | str

    @property
    def video(self) -> VideoUrl:
        """The video; a bare URL string counts as one."""
        return VideoUrl(self.video_url) if isinstance(self.video_url, str) else self.video_url


class RefusalPart(_Part, tag="refusal"):
    """A refusal the model gave before."""

    refusal: str


class NativePart(msgspec.Struct):
    """A part of a type that is not OpenAI's: a provider's own block, passed on to a provider that knows it."""

    type: str
    value: dict[str, Any]


Part: TypeAlias = TextPart | ImagePart | AudioPart | FilePart | VideoPart | RefusalPart | NativePart

_OPENAI_PARTS: TypeAlias = TextPart | ImagePart | AudioPart | FilePart | VideoPart | RefusalPart
PART_TYPES = frozenset({"text", "image_url", "input_audio", "file", "video_url", "refusal"})


def parts_of(content: Content, path: str = "$.content") -> list[Part]:
    """Return content as typed parts. Raises BadRequestError naming the part that is malformed."""
    if content is None:
        return []
    if isinstance(content, str):
        return [TextPart(text=content)] if content else []
    return [_part(value, f"{path}[{index}]") for index, value in enumerate(content)]


def _part(value: dict[str, Any], path: str) -> Part:
    kind = value.get("type")
    if not isinstance(kind, str):
        raise BadRequestError(f"A content part needs a `type` at {path}, e.g. {{'type': 'text', 'text': ...}}")
    if kind not in PART_TYPES:
        return NativePart(kind, value)
    part: Part = convert(value, _OPENAI_PARTS, path)
    return part


class Function(msgspec.Struct):
    """A function the model may call; `parameters` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct):
    """A tool of the request. `value` is the whole of it for types other than "function"."""

    type: str
    function: Function | None
    value: dict[str, Any]
    cache_control: dict[str, Any] | None = None


def tool_of(value: dict[str, Any], path: str) -> Tool:
    """Return a tool as a typed value. Raises BadRequestError naming what is malformed."""
    kind = value.get("type", "function")
    if kind != "function":
        return Tool(str(kind), None, value, value.get("cache_control"))
    if "function" not in value:
        raise BadRequestError(
            f"A function tool needs `function` at {path}: {{'type': 'function', 'function': {{...}}}}"
        )
    function: Function = convert(value["function"], Function, f"{path}.function")
    marker = value.get("cache_control") or value["function"].get("cache_control")
    return Tool("function", function, value, marker)
