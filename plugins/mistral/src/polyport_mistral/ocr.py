"""Documents read by Mistral OCR. https://docs.mistral.ai/api/endpoint/ocr

Reading has no operation of its own: it is a chat with a model such as `mistral-ocr-latest` about one document or
image. The answer is the document's markdown; each page is in `provider_specific_fields["pages"]`. What the endpoint
takes (`pages`, `table_format`, `include_image_base64` ...) is given as a keyword argument.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from polyport.bridges.inner import chunk_of
from polyport.errors import BadRequestError
from polyport.flow import HttpReply, Items, Raw, Streaming
from polyport.provider import decode
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest, Choice, Message
from polyport_mistral.answers import text_of

#: The models that read, and those that chat about what they read: `mistral-ocr-2512-completion`.
READERS = re.compile(r"mistral-ocr-(?!.*-completion$)")
DOCUMENTS = frozenset({"document_url", "image_url", "file"})
#: Parameters that have a place in the body.
READ = frozenset({"messages", "response_format", "stream", "stream_options"})


def reads(model: str) -> bool:
    """Whether a model reads documents and does not chat."""
    return READERS.match(model) is not None


def to_body(request: ChatRequest, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the body that has a document read. Raises BadRequestError where there is none, or several."""
    parts = [part for message in messages if isinstance(message.get("content"), list) for part in message["content"]]
    documents = [part for part in parts if part.get("type") in DOCUMENTS]
    if len(documents) != 1:
        raise BadRequestError(f"{request.model} reads one document a call: $.messages has {len(documents)} parts")
    for name in request.given():
        if name not in READ:
            request.unsupported(name, f"{request.model} reads, and has no say in how")
    said = [message["content"] for message in messages if isinstance(message.get("content"), str)]
    words = "\n".join([*said, text_of(parts)]).strip()
    return {
        "model": request.model,
        "document": documents[0],
        **_annotation(request, words),
        **request.extra,
    }


def _annotation(request: ChatRequest, words: str) -> dict[str, Any]:
    """Return what is to be told of the whole document beside its text: a schema, and words on how to fill it."""
    if request.schema is None or request.schema.value is None:
        if words:
            request.adapt("messages", "dropped", "a model that reads takes words with a JSON schema only")
        return {}
    request.adapt("response_format", "renamed", "it is document_annotation_format here")
    asked = {"document_annotation_format": request.response_format}
    return {**asked, "document_annotation_prompt": words} if words else asked


class _Page(msgspec.Struct):
    markdown: str


class _Read(msgspec.Struct):
    pages: list[_Page]
    model: str = ""
    document_annotation: str | None = None


class _Raw(msgspec.Struct):
    pages: list[dict[str, Any]]
    usage_info: dict[str, Any] | None = None


def to_answer(reply: HttpReply, request: ChatRequest) -> ChatCompletion | Streaming[ChatCompletionChunk]:
    """Return what was read as an answer; streamed, it is one chunk."""
    read, raw = decode(reply, _Read), decode(reply, _Raw)
    message = Message(
        content=read.document_annotation or "\n\n".join(page.markdown for page in read.pages),
        provider_specific_fields={"pages": raw.pages},
    )
    made = ChatCompletion(
        object="chat.completion",
        model=read.model or request.model,
        choices=[Choice(message=message, finish_reason="stop")],
    )
    made.keep(reply.content, extra={"usage_info": raw.usage_info} if raw.usage_info else {})
    return Streaming(Items([chunk_of(made)]), Raw()) if request.stream else made
