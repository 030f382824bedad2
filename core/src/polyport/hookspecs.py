"""Every hook there is: the whole surface that a provider plugin can answer.

A provider is a class with some of these methods, each marked `@hookimpl`. A hook takes a request and is a flow:
it yields effects (`reply = yield self.post(...)`) and returns the result named here. A hook that is not there
means the provider cannot do it; core then looks for a bridge (responses and messages over chat) or says so.
Streams (`request.stream`) are returned as `Streaming` of the chunk type named after the bar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from polyport.errors import APIError
    from polyport.flow import Flow, HttpReply, Streaming
    from polyport.types import audio, batch, chat, completion, embed, image, messages, moderation, rerank, video
    from polyport.types.models import ModelList, ModelListRequest
    from polyport.types.responses import Item, Response, ResponseIdRequest, ResponsesRequest

PROJECT = "polyport"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class ProviderSpec:
    """The hooks of a provider, by capability."""

    # --- chat ---
    @hookspec(firstresult=True)
    def chat(self, request: chat.ChatRequest) -> Flow[chat.ChatCompletion | Streaming[chat.ChatCompletionChunk]]:
        """Answer a conversation. Usage is at the end of a stream, where the provider can tell it."""

    @hookspec(firstresult=True)
    def complete_text(
        self, request: completion.TextCompletionRequest
    ) -> Flow[completion.TextCompletion | Streaming[completion.TextCompletion]]:
        """Continue a text."""

    @hookspec(firstresult=True)
    def respond(self, request: ResponsesRequest) -> Flow[Response | Streaming[Item]]:
        """Answer in the shape of OpenAI's Responses API; without this hook it is bridged over `chat`."""

    @hookspec(firstresult=True)
    def retrieve_response(self, request: ResponseIdRequest) -> Flow[Response | Streaming[Item]]:
        """Fetch a stored or background response; with `stream` resume its events."""

    @hookspec(firstresult=True)
    def cancel_response(self, request: ResponseIdRequest) -> Flow[Response]:
        """Cancel a background response."""

    @hookspec(firstresult=True)
    def delete_response(self, request: ResponseIdRequest) -> Flow[batch.FileDeleted]:
        """Delete a stored response."""

    @hookspec(firstresult=True)
    def create_message(self, request: messages.MessagesRequest) -> Flow[messages.AnthropicMessage | Streaming[Item]]:
        """Answer in the shape of Anthropic's Messages API; without this hook it is bridged over `chat`."""

    @hookspec(firstresult=True)
    def count_tokens(self, request: messages.MessagesRequest) -> Flow[messages.TokenCount]:
        """Count the input tokens of a request in Anthropic's shape."""

    # --- embed, rerank, moderation ---
    @hookspec(firstresult=True)
    def embed(self, request: embed.EmbedRequest) -> Flow[embed.EmbeddingResponse]:
        """Return one vector per input, in input order."""

    @hookspec(firstresult=True)
    def rerank(self, request: rerank.RerankRequest) -> Flow[rerank.RerankResponse]:
        """Return documents by relevance, most relevant first."""

    @hookspec(firstresult=True)
    def moderate(self, request: moderation.ModerationRequest) -> Flow[moderation.Moderation]:
        """Judge content, one verdict per input, in input order."""

    # --- image ---
    @hookspec(firstresult=True)
    def generate_image(self, request: image.ImageRequest) -> Flow[image.ImageResponse | Streaming[image.ImageEvent]]:
        """Make images from a prompt."""

    @hookspec(firstresult=True)
    def edit_image(self, request: image.ImageEditRequest) -> Flow[image.ImageResponse | Streaming[image.ImageEvent]]:
        """Change images by a prompt; the mask's transparent places say where."""

    @hookspec(firstresult=True)
    def vary_image(self, request: image.ImageVariationRequest) -> Flow[image.ImageResponse]:
        """Make variations of an image."""

    # --- audio ---
    @hookspec(firstresult=True)
    def transcribe(
        self, request: audio.TranscriptionRequest
    ) -> Flow[audio.Transcription | str | Streaming[audio.TranscriptionEvent]]:
        """Write down speech; text for response formats text, srt and vtt."""

    @hookspec(firstresult=True)
    def translate(self, request: audio.TranscriptionRequest) -> Flow[audio.Transcription | str]:
        """Write down speech in English."""

    @hookspec(firstresult=True)
    def speak(self, request: audio.SpeechRequest) -> Flow[audio.Binary | Streaming[bytes]]:
        """Say text; streamed, the pieces are the audio's bytes."""

    # --- video ---
    @hookspec(firstresult=True)
    def create_video(self, request: video.VideoRequest) -> Flow[video.Video]:
        """Start a video job."""

    @hookspec(firstresult=True)
    def retrieve_video(self, request: video.VideoIdRequest) -> Flow[video.Video]:
        """Look how far a job is."""

    @hookspec(firstresult=True)
    def download_video(self, request: video.VideoIdRequest) -> Flow[audio.Binary | Streaming[bytes]]:
        """Fetch a finished job's bytes."""

    @hookspec(firstresult=True)
    def remix_video(self, request: video.VideoRemixRequest) -> Flow[video.Video]:
        """Start a job that changes a finished video."""

    @hookspec(firstresult=True)
    def list_videos(self, request: video.VideoListRequest) -> Flow[video.VideoList]:
        """List jobs."""

    @hookspec(firstresult=True)
    def delete_video(self, request: video.VideoIdRequest) -> Flow[video.VideoDeleted]:
        """Delete a job and its video."""

    # --- files and batches ---
    @hookspec(firstresult=True)
    def create_file(self, request: batch.FileRequest) -> Flow[batch.FileObject]:
        """Upload a file."""

    @hookspec(firstresult=True)
    def retrieve_file(self, request: batch.FileIdRequest) -> Flow[batch.FileObject]:
        """Look a file up."""

    @hookspec(firstresult=True)
    def list_files(self, request: batch.FileListRequest) -> Flow[batch.FileList]:
        """List files."""

    @hookspec(firstresult=True)
    def delete_file(self, request: batch.FileIdRequest) -> Flow[batch.FileDeleted]:
        """Delete a file."""

    @hookspec(firstresult=True)
    def download_file(self, request: batch.FileIdRequest) -> Flow[audio.Binary | Streaming[bytes]]:
        """Fetch a file's bytes."""

    @hookspec(firstresult=True)
    def create_batch(self, request: batch.BatchRequest) -> Flow[batch.Batch]:
        """Start a batch over an uploaded file of OpenAI's batch lines, whatever the provider's own format."""

    @hookspec(firstresult=True)
    def retrieve_batch(self, request: batch.BatchIdRequest) -> Flow[batch.Batch]:
        """Look how far a batch is."""

    @hookspec(firstresult=True)
    def cancel_batch(self, request: batch.BatchIdRequest) -> Flow[batch.Batch]:
        """Cancel a batch."""

    @hookspec(firstresult=True)
    def list_batches(self, request: batch.BatchListRequest) -> Flow[batch.BatchList]:
        """List batches."""

    @hookspec(firstresult=True)
    def delete_batch(self, request: batch.BatchIdRequest) -> Flow[batch.BatchDeleted]:
        """Delete a batch that is over."""

    # --- models, errors, end of life ---
    @hookspec(firstresult=True)
    def list_models(self, request: ModelListRequest) -> Flow[ModelList]:
        """List the models the key may use."""

    @hookspec(firstresult=True)
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Narrow an error that core made from a status, e.g. a 400 that is a context overflow; None leaves it.

        `body` is the reply's JSON, or its text where it was none. Plain code, no flow.
        """

    @hookspec
    def close(self) -> None:
        """Release what the provider holds in this process: models, threads. Plain code, no flow."""
