"""The table of operations: one row each, from which SDK, command line and gateway are driven.

Nothing else lists operations. A row says which hook answers, what goes in and comes out, which function of the SDK
it is, and where it stands in OpenAI's HTTP interface.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from polyport.types import audio, batch, chat, completion, embed, image, messages, moderation, rerank, video
from polyport.types.models import ModelList, ModelListRequest
from polyport.types.record import Request, Result
from polyport.types.responses import Item, Response, ResponseIdRequest, ResponsesRequest

BodyForm = Literal["json", "multipart", "none"]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a user asks for.

    `hook` is the provider's method, `function` the SDK's (its async twin has an `a` in front), `method` and `path`
    where the gateway serves it. `id_field` names the id that says which provider is meant, for operations that
    are about something that exists; `issues_id` marks results whose id must carry its provider. `bridge` names what
    answers (as "module:function") where the provider has no such hook.
    """

    hook: str
    function: str
    capability: str
    request: type[Request]
    response: type[Result]
    chunk: type[Any] | None = None
    method: str = "POST"
    path: str
    body: BodyForm = "json"
    id_field: str | None = None
    issues_id: bool = False
    by_provider: bool = False
    bridge: str | None = None


def _row(
    hook: str, function: str, capability: str, request: type[Request], response: type[Result], **more: Any
) -> Operation:
    return Operation(hook=hook, function=function, capability=capability, request=request, response=response, **more)


def _about(id_field: str, **more: Any) -> dict[str, Any]:
    """A row about something that exists: no body unless it says so."""
    return {"id_field": id_field, "body": "none", **more}


OPERATIONS: tuple[Operation, ...] = (
    _row("chat", "completion", "chat", chat.ChatRequest, chat.ChatCompletion,
         chunk=chat.ChatCompletionChunk, path="/chat/completions"),
    _row("complete_text", "text_completion", "chat", completion.TextCompletionRequest, completion.TextCompletion,
         chunk=completion.TextCompletion, path="/completions", bridge="polyport.bridges.completions:over_chat"),
    _row("respond", "responses", "chat", ResponsesRequest, Response,
         chunk=Item, path="/responses", bridge="polyport.bridges.responses:over_chat"),
    _row("retrieve_response", "retrieve_response", "chat", ResponseIdRequest, Response,
         chunk=Item, path="/responses/{response_id}", by_provider=True, **_about("response_id", method="GET")),
    _row("cancel_response", "cancel_response", "chat", ResponseIdRequest, Response,
         path="/responses/{response_id}/cancel", by_provider=True, **_about("response_id")),
    _row("delete_response", "delete_response", "chat", ResponseIdRequest, batch.FileDeleted,
         path="/responses/{response_id}", by_provider=True, **_about("response_id", method="DELETE")),
    _row("create_message", "messages", "chat", messages.MessagesRequest, messages.AnthropicMessage,
         chunk=Item, path="/messages", bridge="polyport.bridges.messages:over_chat"),
    _row("count_tokens", "count_tokens", "chat", messages.MessagesRequest, messages.TokenCount,
         path="/messages/count_tokens"),
    _row("embed", "embedding", "embed", embed.EmbedRequest, embed.EmbeddingResponse, path="/embeddings"),
    _row("rerank", "rerank", "rerank", rerank.RerankRequest, rerank.RerankResponse, path="/rerank"),
    _row("moderate", "moderation", "moderation", moderation.ModerationRequest, moderation.Moderation,
         path="/moderations"),
    _row("generate_image", "image_generation", "image", image.ImageRequest, image.ImageResponse,
         chunk=image.ImageEvent, path="/images/generations"),
    _row("edit_image", "image_edit", "image", image.ImageEditRequest, image.ImageResponse,
         chunk=image.ImageEvent, path="/images/edits", body="multipart"),
    _row("vary_image", "image_variation", "image", image.ImageVariationRequest, image.ImageResponse,
         path="/images/variations", body="multipart"),
    _row("transcribe", "transcription", "audio", audio.TranscriptionRequest, audio.Transcription,
         chunk=audio.TranscriptionEvent, path="/audio/transcriptions", body="multipart"),
    _row("translate", "translation", "audio", audio.TranscriptionRequest, audio.Transcription,
         path="/audio/translations", body="multipart"),
    _row("speak", "speech", "audio", audio.SpeechRequest, audio.Binary, chunk=bytes, path="/audio/speech",
         bridge="polyport.bridges.speech:over_chat"),
    _row("create_video", "video_generation", "video", video.VideoRequest, video.Video,
         path="/videos", body="multipart", issues_id=True),
    _row("retrieve_video", "video_status", "video", video.VideoIdRequest, video.Video,
         path="/videos/{video_id}", issues_id=True, **_about("video_id", method="GET")),
    _row("download_video", "video_content", "video", video.VideoIdRequest, audio.Binary,
         chunk=bytes, path="/videos/{video_id}/content", **_about("video_id", method="GET")),
    _row("remix_video", "video_remix", "video", video.VideoRemixRequest, video.Video,
         path="/videos/{video_id}/remix", id_field="video_id", issues_id=True),
    _row("list_videos", "list_videos", "video", video.VideoListRequest, video.VideoList,
         method="GET", path="/videos", body="none", issues_id=True, by_provider=True),
    _row("delete_video", "delete_video", "video", video.VideoIdRequest, video.VideoDeleted,
         path="/videos/{video_id}", issues_id=True, **_about("video_id", method="DELETE")),
    _row("create_file", "create_file", "batch", batch.FileRequest, batch.FileObject,
         path="/files", body="multipart", by_provider=True),
    _row("retrieve_file", "retrieve_file", "batch", batch.FileIdRequest, batch.FileObject,
         path="/files/{file_id}", by_provider=True, **_about("file_id", method="GET")),
    _row("list_files", "list_files", "batch", batch.FileListRequest, batch.FileList,
         method="GET", path="/files", body="none", by_provider=True),
    _row("delete_file", "delete_file", "batch", batch.FileIdRequest, batch.FileDeleted,
         path="/files/{file_id}", by_provider=True, **_about("file_id", method="DELETE")),
    _row("download_file", "file_content", "batch", batch.FileIdRequest, audio.Binary,
         chunk=bytes, path="/files/{file_id}/content", by_provider=True, **_about("file_id", method="GET")),
    _row("create_batch", "create_batch", "batch", batch.BatchRequest, batch.Batch, path="/batches", by_provider=True),
    _row("retrieve_batch", "retrieve_batch", "batch", batch.BatchIdRequest, batch.Batch,
         path="/batches/{batch_id}", by_provider=True, **_about("batch_id", method="GET")),
    _row("cancel_batch", "cancel_batch", "batch", batch.BatchIdRequest, batch.Batch,
         path="/batches/{batch_id}/cancel", by_provider=True, **_about("batch_id")),
    _row("list_batches", "list_batches", "batch", batch.BatchListRequest, batch.BatchList,
         method="GET", path="/batches", body="none", by_provider=True),
    _row("delete_batch", "delete_batch", "batch", batch.BatchIdRequest, batch.BatchDeleted,
         path="/batches/{batch_id}", by_provider=True, **_about("batch_id", method="DELETE")),
    _row("list_models", "list_models", "models", ModelListRequest, ModelList,
         method="GET", path="/models", body="none", by_provider=True),
)  # fmt: skip

BY_FUNCTION: dict[str, Operation] = {operation.function: operation for operation in OPERATIONS}
BY_HOOK: dict[str, Operation] = {operation.hook: operation for operation in OPERATIONS}

Bridge = Callable[..., Any]
