"""The typed public functions, each written once: what Client, Router and the module itself share.

Each takes its optional parameters as keywords (`Unpack[...Params]`, which editors complete); keywords that no
parameter has are passed on to the provider. Each has an asynchronous twin with an `a` in front.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, overload

from polyport.operations import BY_FUNCTION, Operation

if TYPE_CHECKING:
    from polyport.drivers.aio import AsyncStream
    from polyport.drivers.sync import Stream
    from polyport.types.audio import (
        Binary,
        SpeechParams,
        Transcription,
        TranscriptionEvent,
        TranscriptionParams,
    )
    from polyport.types.batch import (
        Batch,
        BatchDeleted,
        BatchList,
        BatchParams,
        FileDeleted,
        FileList,
        FileListParams,
        FileObject,
        FileParams,
        ListParams,
    )
    from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatParams, Messages
    from polyport.types.completion import TextCompletion, TextCompletionParams
    from polyport.types.embed import EmbeddingResponse, EmbedParams
    from polyport.types.image import ImageEditParams, ImageEvent, ImageParams, ImageResponse, ImageVariationParams
    from polyport.types.messages import AnthropicMessage, MessagesParams, TokenCount
    from polyport.types.models import ModelList
    from polyport.types.moderation import Moderation
    from polyport.types.record import CallParams
    from polyport.types.rerank import RerankParams, RerankResponse
    from polyport.types.responses import Item, Response, ResponseIdParams, ResponsesParams
    from polyport.types.upload import FileInput
    from polyport.types.video import Video, VideoDeleted, VideoList, VideoListParams, VideoParams


class Closing(ABC):
    """What is closed at the end of a `with`, or of an `async with`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held, for use without async code."""

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of what is held, the running event loop's included."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


class Interface:
    """Every operation as a function, sync and async, over `_call` and `_acall`."""

    def _call(self, operation: Operation, fields: dict[str, Any]) -> Any:
        raise NotImplementedError

    async def _acall(self, operation: Operation, fields: dict[str, Any]) -> Any:
        raise NotImplementedError

    @overload
    def completion(
        self, model: str, messages: Messages, *, stream: Literal[True], **params: Unpack[ChatParams]
    ) -> Stream[ChatCompletionChunk]: ...
    @overload
    def completion(
        self, model: str, messages: Messages, *, stream: Literal[False] | None = None, **params: Unpack[ChatParams]
    ) -> ChatCompletion: ...
    @overload
    def completion(
        self, model: str, messages: Messages, *, stream: bool | None = None, **params: Unpack[ChatParams]
    ) -> ChatCompletion | Stream[ChatCompletionChunk]: ...
    def completion(
        self, model: str, messages: Messages, *, stream: bool | None = None, **params: Unpack[ChatParams]
    ) -> Any:
        """Answer a conversation; `.choices[0].message.content` is the text. With `stream=True`, a Stream of chunks.

        messages: OpenAI's dicts, results of ours, or another SDK's message objects. Raises the errors of
        `polyport.errors`. https://platform.openai.com/docs/api-reference/chat/create
        """
        return self._call(BY_FUNCTION["completion"], {"model": model, "messages": messages, "stream": stream, **params})

    @overload
    async def acompletion(
        self, model: str, messages: Messages, *, stream: Literal[True], **params: Unpack[ChatParams]
    ) -> AsyncStream[ChatCompletionChunk]: ...
    @overload
    async def acompletion(
        self, model: str, messages: Messages, *, stream: Literal[False] | None = None, **params: Unpack[ChatParams]
    ) -> ChatCompletion: ...
    @overload
    async def acompletion(
        self, model: str, messages: Messages, *, stream: bool | None = None, **params: Unpack[ChatParams]
    ) -> ChatCompletion | AsyncStream[ChatCompletionChunk]: ...
    async def acompletion(
        self, model: str, messages: Messages, *, stream: bool | None = None, **params: Unpack[ChatParams]
    ) -> Any:
        """`completion`, asynchronously."""
        return await self._acall(
            BY_FUNCTION["completion"], {"model": model, "messages": messages, "stream": stream, **params}
        )

    @overload
    def text_completion(
        self,
        prompt: str | list[str] | list[int] | list[list[int]],
        model: str,
        *,
        stream: Literal[True],
        **params: Unpack[TextCompletionParams],
    ) -> Stream[TextCompletion]: ...
    @overload
    def text_completion(
        self,
        prompt: str | list[str] | list[int] | list[list[int]],
        model: str,
        *,
        stream: Literal[False] | None = None,
        **params: Unpack[TextCompletionParams],
    ) -> TextCompletion: ...
    @overload
    def text_completion(
        self,
        prompt: str | list[str] | list[int] | list[list[int]],
        model: str,
        *,
        stream: bool | None = None,
        **params: Unpack[TextCompletionParams],
    ) -> TextCompletion | Stream[TextCompletion]: ...
    def text_completion(
        self,
        prompt: str | list[str] | list[int] | list[list[int]],
        model: str,
        *,
        stream: bool | None = None,
        **params: Unpack[TextCompletionParams],
    ) -> Any:
        """Continue a text; `.choices[0].text` is the continuation. With `stream=True`, a Stream of the same shape.

        https://platform.openai.com/docs/api-reference/completions/create
        """
        return self._call(
            BY_FUNCTION["text_completion"], {"prompt": prompt, "model": model, "stream": stream, **params}
        )

    @overload
    async def atext_completion(
        self,
        prompt: str | list[str] | list[int] | list[list[int]],
        model: str,
        *,
        stream: Literal[True],
        **params: Unpack[TextCompletionParams],
    ) -> AsyncStream[TextCompletion]: ...
    @overload
    async def atext_completion(
        self,
        prompt: str | list[str] | list[int] | list[list[int]],
        model: str,
        *,
        stream: Literal[False] | None = None,
        **params: Unpack[TextCompletionParams],
    ) -> TextCompletion: ...
    @overload
    async def atext_completion(
        self,
        prompt: str | list[str] | list[int] | list[list[int]],
        model: str,
        *,
        stream: bool | None = None,
        **params: Unpack[TextCompletionParams],
    ) -> TextCompletion | AsyncStream[TextCompletion]: ...
    async def atext_completion(
        self,
        prompt: str | list[str] | list[int] | list[list[int]],
        model: str,
        *,
        stream: bool | None = None,
        **params: Unpack[TextCompletionParams],
    ) -> Any:
        """`text_completion`, asynchronously."""
        return await self._acall(
            BY_FUNCTION["text_completion"], {"prompt": prompt, "model": model, "stream": stream, **params}
        )

    @overload
    def responses(
        self, input: str | Sequence[Any] | None, model: str, *, stream: Literal[True], **params: Unpack[ResponsesParams]
    ) -> Stream[Item]: ...
    @overload
    def responses(
        self,
        input: str | Sequence[Any] | None,
        model: str,
        *,
        stream: Literal[False] | None = None,
        **params: Unpack[ResponsesParams],
    ) -> Response: ...
    @overload
    def responses(
        self,
        input: str | Sequence[Any] | None,
        model: str,
        *,
        stream: bool | None = None,
        **params: Unpack[ResponsesParams],
    ) -> Response | Stream[Item]: ...
    def responses(
        self,
        input: str | Sequence[Any] | None,
        model: str,
        *,
        stream: bool | None = None,
        **params: Unpack[ResponsesParams],
    ) -> Any:
        """Answer in the shape of OpenAI's Responses API; `.output_text` is the text. With `stream=True`, typed events.

        Providers without such an API are asked through chat.
        https://platform.openai.com/docs/api-reference/responses/create
        """
        return self._call(BY_FUNCTION["responses"], {"input": input, "model": model, "stream": stream, **params})

    @overload
    async def aresponses(
        self, input: str | Sequence[Any] | None, model: str, *, stream: Literal[True], **params: Unpack[ResponsesParams]
    ) -> AsyncStream[Item]: ...
    @overload
    async def aresponses(
        self,
        input: str | Sequence[Any] | None,
        model: str,
        *,
        stream: Literal[False] | None = None,
        **params: Unpack[ResponsesParams],
    ) -> Response: ...
    @overload
    async def aresponses(
        self,
        input: str | Sequence[Any] | None,
        model: str,
        *,
        stream: bool | None = None,
        **params: Unpack[ResponsesParams],
    ) -> Response | AsyncStream[Item]: ...
    async def aresponses(
        self,
        input: str | Sequence[Any] | None,
        model: str,
        *,
        stream: bool | None = None,
        **params: Unpack[ResponsesParams],
    ) -> Any:
        """`responses`, asynchronously."""
        return await self._acall(BY_FUNCTION["responses"], {"input": input, "model": model, "stream": stream, **params})

    @overload
    def messages(
        self, model: str, messages: Messages, *, stream: Literal[True], **params: Unpack[MessagesParams]
    ) -> Stream[Item]: ...
    @overload
    def messages(
        self, model: str, messages: Messages, *, stream: Literal[False] | None = None, **params: Unpack[MessagesParams]
    ) -> AnthropicMessage: ...
    @overload
    def messages(
        self, model: str, messages: Messages, *, stream: bool | None = None, **params: Unpack[MessagesParams]
    ) -> AnthropicMessage | Stream[Item]: ...
    def messages(
        self, model: str, messages: Messages, *, stream: bool | None = None, **params: Unpack[MessagesParams]
    ) -> Any:
        """Answer in the shape of Anthropic's Messages API. With `stream=True`, its events.

        Providers without such an API are asked through chat. https://docs.anthropic.com/en/api/messages
        """
        return self._call(BY_FUNCTION["messages"], {"model": model, "messages": messages, "stream": stream, **params})

    @overload
    async def amessages(
        self, model: str, messages: Messages, *, stream: Literal[True], **params: Unpack[MessagesParams]
    ) -> AsyncStream[Item]: ...
    @overload
    async def amessages(
        self, model: str, messages: Messages, *, stream: Literal[False] | None = None, **params: Unpack[MessagesParams]
    ) -> AnthropicMessage: ...
    @overload
    async def amessages(
        self, model: str, messages: Messages, *, stream: bool | None = None, **params: Unpack[MessagesParams]
    ) -> AnthropicMessage | AsyncStream[Item]: ...
    async def amessages(
        self, model: str, messages: Messages, *, stream: bool | None = None, **params: Unpack[MessagesParams]
    ) -> Any:
        """`messages`, asynchronously."""
        return await self._acall(
            BY_FUNCTION["messages"], {"model": model, "messages": messages, "stream": stream, **params}
        )

    def count_tokens(self, model: str, messages: Messages, **params: Unpack[MessagesParams]) -> TokenCount:
        """Ask the provider how many input tokens a request in Anthropic's shape would use.

        https://docs.anthropic.com/en/api/messages-count-tokens
        """
        result: TokenCount = self._call(BY_FUNCTION["count_tokens"], {"model": model, "messages": messages, **params})
        return result

    async def acount_tokens(self, model: str, messages: Messages, **params: Unpack[MessagesParams]) -> TokenCount:
        """`count_tokens`, asynchronously."""
        result: TokenCount = await self._acall(
            BY_FUNCTION["count_tokens"], {"model": model, "messages": messages, **params}
        )
        return result

    @overload
    def retrieve_response(
        self, response_id: str, *, stream: Literal[True], **params: Unpack[ResponseIdParams]
    ) -> Stream[Item]: ...
    @overload
    def retrieve_response(
        self, response_id: str, *, stream: Literal[False] | None = None, **params: Unpack[ResponseIdParams]
    ) -> Response: ...
    @overload
    def retrieve_response(
        self, response_id: str, *, stream: bool | None = None, **params: Unpack[ResponseIdParams]
    ) -> Response | Stream[Item]: ...
    def retrieve_response(
        self, response_id: str, *, stream: bool | None = None, **params: Unpack[ResponseIdParams]
    ) -> Any:
        """Fetch a stored or background response of `provider=`; with `stream=True` resume its events."""
        return self._call(BY_FUNCTION["retrieve_response"], {"response_id": response_id, "stream": stream, **params})

    @overload
    async def aretrieve_response(
        self, response_id: str, *, stream: Literal[True], **params: Unpack[ResponseIdParams]
    ) -> AsyncStream[Item]: ...
    @overload
    async def aretrieve_response(
        self, response_id: str, *, stream: Literal[False] | None = None, **params: Unpack[ResponseIdParams]
    ) -> Response: ...
    @overload
    async def aretrieve_response(
        self, response_id: str, *, stream: bool | None = None, **params: Unpack[ResponseIdParams]
    ) -> Response | AsyncStream[Item]: ...
    async def aretrieve_response(
        self, response_id: str, *, stream: bool | None = None, **params: Unpack[ResponseIdParams]
    ) -> Any:
        """`retrieve_response`, asynchronously."""
        return await self._acall(
            BY_FUNCTION["retrieve_response"], {"response_id": response_id, "stream": stream, **params}
        )

    def cancel_response(self, response_id: str, **params: Unpack[CallParams]) -> Response:
        """Cancel a background response of `provider=`."""
        result: Response = self._call(BY_FUNCTION["cancel_response"], {"response_id": response_id, **params})
        return result

    async def acancel_response(self, response_id: str, **params: Unpack[CallParams]) -> Response:
        """`cancel_response`, asynchronously."""
        result: Response = await self._acall(BY_FUNCTION["cancel_response"], {"response_id": response_id, **params})
        return result

    def delete_response(self, response_id: str, **params: Unpack[CallParams]) -> FileDeleted:
        """Delete a stored response of `provider=`."""
        result: FileDeleted = self._call(BY_FUNCTION["delete_response"], {"response_id": response_id, **params})
        return result

    async def adelete_response(self, response_id: str, **params: Unpack[CallParams]) -> FileDeleted:
        """`delete_response`, asynchronously."""
        result: FileDeleted = await self._acall(BY_FUNCTION["delete_response"], {"response_id": response_id, **params})
        return result

    def embedding(self, model: str, input: str | Sequence[Any], **params: Unpack[EmbedParams]) -> EmbeddingResponse:
        """Return one vector per input, in input order: `.data[i].embedding` (len(input) x dimensions).

        https://platform.openai.com/docs/api-reference/embeddings/create
        """
        result: EmbeddingResponse = self._call(BY_FUNCTION["embedding"], {"model": model, "input": input, **params})
        return result

    async def aembedding(
        self, model: str, input: str | Sequence[Any], **params: Unpack[EmbedParams]
    ) -> EmbeddingResponse:
        """`embedding`, asynchronously."""
        result: EmbeddingResponse = await self._acall(
            BY_FUNCTION["embedding"], {"model": model, "input": input, **params}
        )
        return result

    def rerank(
        self, model: str, query: str, documents: Sequence[str | Mapping[str, Any]], **params: Unpack[RerankParams]
    ) -> RerankResponse:
        """Return documents by relevance to the query, most relevant first: `.results[i].index` and `.relevance_score`.

        https://docs.cohere.com/reference/rerank
        """
        result: RerankResponse = self._call(
            BY_FUNCTION["rerank"], {"model": model, "query": query, "documents": documents, **params}
        )
        return result

    async def arerank(
        self, model: str, query: str, documents: Sequence[str | Mapping[str, Any]], **params: Unpack[RerankParams]
    ) -> RerankResponse:
        """`rerank`, asynchronously."""
        result: RerankResponse = await self._acall(
            BY_FUNCTION["rerank"], {"model": model, "query": query, "documents": documents, **params}
        )
        return result

    def moderation(
        self, input: str | Sequence[Any], model: str | None = None, **params: Unpack[CallParams]
    ) -> Moderation:
        """Judge content: `.results[i].flagged`, `.categories`, `.category_scores`, in input order.

        https://platform.openai.com/docs/api-reference/moderations/create
        """
        result: Moderation = self._call(BY_FUNCTION["moderation"], {"input": input, "model": model, **params})
        return result

    async def amoderation(
        self, input: str | Sequence[Any], model: str | None = None, **params: Unpack[CallParams]
    ) -> Moderation:
        """`moderation`, asynchronously."""
        result: Moderation = await self._acall(BY_FUNCTION["moderation"], {"input": input, "model": model, **params})
        return result

    @overload
    def image_generation(
        self, prompt: str, model: str, *, stream: Literal[True], **params: Unpack[ImageParams]
    ) -> Stream[ImageEvent]: ...
    @overload
    def image_generation(
        self, prompt: str, model: str, *, stream: Literal[False] | None = None, **params: Unpack[ImageParams]
    ) -> ImageResponse: ...
    @overload
    def image_generation(
        self, prompt: str, model: str, *, stream: bool | None = None, **params: Unpack[ImageParams]
    ) -> ImageResponse | Stream[ImageEvent]: ...
    def image_generation(
        self, prompt: str, model: str, *, stream: bool | None = None, **params: Unpack[ImageParams]
    ) -> Any:
        """Make images: `.data[i].url` or `.b64_json`. With `stream=True`, partial images as they form.

        https://platform.openai.com/docs/api-reference/images/create
        """
        return self._call(
            BY_FUNCTION["image_generation"], {"prompt": prompt, "model": model, "stream": stream, **params}
        )

    @overload
    async def aimage_generation(
        self, prompt: str, model: str, *, stream: Literal[True], **params: Unpack[ImageParams]
    ) -> AsyncStream[ImageEvent]: ...
    @overload
    async def aimage_generation(
        self, prompt: str, model: str, *, stream: Literal[False] | None = None, **params: Unpack[ImageParams]
    ) -> ImageResponse: ...
    @overload
    async def aimage_generation(
        self, prompt: str, model: str, *, stream: bool | None = None, **params: Unpack[ImageParams]
    ) -> ImageResponse | AsyncStream[ImageEvent]: ...
    async def aimage_generation(
        self, prompt: str, model: str, *, stream: bool | None = None, **params: Unpack[ImageParams]
    ) -> Any:
        """`image_generation`, asynchronously."""
        return await self._acall(
            BY_FUNCTION["image_generation"], {"prompt": prompt, "model": model, "stream": stream, **params}
        )

    @overload
    def image_edit(
        self,
        image: FileInput | list[FileInput],
        prompt: str,
        model: str,
        *,
        stream: Literal[True],
        **params: Unpack[ImageEditParams],
    ) -> Stream[ImageEvent]: ...
    @overload
    def image_edit(
        self,
        image: FileInput | list[FileInput],
        prompt: str,
        model: str,
        *,
        stream: Literal[False] | None = None,
        **params: Unpack[ImageEditParams],
    ) -> ImageResponse: ...
    @overload
    def image_edit(
        self,
        image: FileInput | list[FileInput],
        prompt: str,
        model: str,
        *,
        stream: bool | None = None,
        **params: Unpack[ImageEditParams],
    ) -> ImageResponse | Stream[ImageEvent]: ...
    def image_edit(
        self,
        image: FileInput | list[FileInput],
        prompt: str,
        model: str,
        *,
        stream: bool | None = None,
        **params: Unpack[ImageEditParams],
    ) -> Any:
        """Change one or several images by a prompt; the mask's transparent places say where.

        https://platform.openai.com/docs/api-reference/images/createEdit
        """
        return self._call(
            BY_FUNCTION["image_edit"], {"image": image, "prompt": prompt, "model": model, "stream": stream, **params}
        )

    @overload
    async def aimage_edit(
        self,
        image: FileInput | list[FileInput],
        prompt: str,
        model: str,
        *,
        stream: Literal[True],
        **params: Unpack[ImageEditParams],
    ) -> AsyncStream[ImageEvent]: ...
    @overload
    async def aimage_edit(
        self,
        image: FileInput | list[FileInput],
        prompt: str,
        model: str,
        *,
        stream: Literal[False] | None = None,
        **params: Unpack[ImageEditParams],
    ) -> ImageResponse: ...
    @overload
    async def aimage_edit(
        self,
        image: FileInput | list[FileInput],
        prompt: str,
        model: str,
        *,
        stream: bool | None = None,
        **params: Unpack[ImageEditParams],
    ) -> ImageResponse | AsyncStream[ImageEvent]: ...
    async def aimage_edit(
        self,
        image: FileInput | list[FileInput],
        prompt: str,
        model: str,
        *,
        stream: bool | None = None,
        **params: Unpack[ImageEditParams],
    ) -> Any:
        """`image_edit`, asynchronously."""
        return await self._acall(
            BY_FUNCTION["image_edit"], {"image": image, "prompt": prompt, "model": model, "stream": stream, **params}
        )

    def image_variation(self, image: FileInput, model: str, **params: Unpack[ImageVariationParams]) -> ImageResponse:
        """Make variations of an image. https://platform.openai.com/docs/api-reference/images/createVariation"""
        result: ImageResponse = self._call(BY_FUNCTION["image_variation"], {"image": image, "model": model, **params})
        return result

    async def aimage_variation(
        self, image: FileInput, model: str, **params: Unpack[ImageVariationParams]
    ) -> ImageResponse:
        """`image_variation`, asynchronously."""
        result: ImageResponse = await self._acall(
            BY_FUNCTION["image_variation"], {"image": image, "model": model, **params}
        )
        return result

    @overload
    def transcription(
        self, model: str, file: FileInput, *, stream: Literal[True], **params: Unpack[TranscriptionParams]
    ) -> Stream[TranscriptionEvent]: ...
    @overload
    def transcription(
        self,
        model: str,
        file: FileInput,
        *,
        stream: Literal[False] | None = None,
        **params: Unpack[TranscriptionParams],
    ) -> Transcription: ...
    @overload
    def transcription(
        self, model: str, file: FileInput, *, stream: bool | None = None, **params: Unpack[TranscriptionParams]
    ) -> Transcription | Stream[TranscriptionEvent]: ...
    def transcription(
        self, model: str, file: FileInput, *, stream: bool | None = None, **params: Unpack[TranscriptionParams]
    ) -> Any:
        """Write down speech: `.text`, `.segments`, `.words`; plain text for response formats text, srt and vtt.

        file: bytes, a path, an open file, or (name, content). With `stream=True`, typed events.
        https://platform.openai.com/docs/api-reference/audio/createTranscription
        """
        return self._call(BY_FUNCTION["transcription"], {"model": model, "file": file, "stream": stream, **params})

    @overload
    async def atranscription(
        self, model: str, file: FileInput, *, stream: Literal[True], **params: Unpack[TranscriptionParams]
    ) -> AsyncStream[TranscriptionEvent]: ...
    @overload
    async def atranscription(
        self,
        model: str,
        file: FileInput,
        *,
        stream: Literal[False] | None = None,
        **params: Unpack[TranscriptionParams],
    ) -> Transcription: ...
    @overload
    async def atranscription(
        self, model: str, file: FileInput, *, stream: bool | None = None, **params: Unpack[TranscriptionParams]
    ) -> Transcription | AsyncStream[TranscriptionEvent]: ...
    async def atranscription(
        self, model: str, file: FileInput, *, stream: bool | None = None, **params: Unpack[TranscriptionParams]
    ) -> Any:
        """`transcription`, asynchronously."""
        return await self._acall(
            BY_FUNCTION["transcription"], {"model": model, "file": file, "stream": stream, **params}
        )

    def translation(self, model: str, file: FileInput, **params: Unpack[TranscriptionParams]) -> Transcription:
        """Write down speech in English; else as `transcription`.

        https://platform.openai.com/docs/api-reference/audio/createTranslation
        """
        result: Transcription = self._call(BY_FUNCTION["translation"], {"model": model, "file": file, **params})
        return result

    async def atranslation(self, model: str, file: FileInput, **params: Unpack[TranscriptionParams]) -> Transcription:
        """`translation`, asynchronously."""
        result: Transcription = await self._acall(BY_FUNCTION["translation"], {"model": model, "file": file, **params})
        return result

    @overload
    def speech(
        self,
        model: str,
        input: str,
        voice: str | dict[str, Any] | None = None,
        *,
        stream: Literal[True],
        **params: Unpack[SpeechParams],
    ) -> Stream[bytes]: ...
    @overload
    def speech(
        self,
        model: str,
        input: str,
        voice: str | dict[str, Any] | None = None,
        *,
        stream: Literal[False] | None = None,
        **params: Unpack[SpeechParams],
    ) -> Binary: ...
    @overload
    def speech(
        self,
        model: str,
        input: str,
        voice: str | dict[str, Any] | None = None,
        *,
        stream: bool | None = None,
        **params: Unpack[SpeechParams],
    ) -> Binary | Stream[bytes]: ...
    def speech(
        self,
        model: str,
        input: str,
        voice: str | dict[str, Any] | None = None,
        *,
        stream: bool | None = None,
        **params: Unpack[SpeechParams],
    ) -> Any:
        """Say text: `.content`, `.stream_to_file(path)`. With `stream=True`, the audio's bytes as they come.

        https://platform.openai.com/docs/api-reference/audio/createSpeech
        """
        return self._call(
            BY_FUNCTION["speech"], {"model": model, "input": input, "voice": voice, "stream": stream, **params}
        )

    @overload
    async def aspeech(
        self,
        model: str,
        input: str,
        voice: str | dict[str, Any] | None = None,
        *,
        stream: Literal[True],
        **params: Unpack[SpeechParams],
    ) -> AsyncStream[bytes]: ...
    @overload
    async def aspeech(
        self,
        model: str,
        input: str,
        voice: str | dict[str, Any] | None = None,
        *,
        stream: Literal[False] | None = None,
        **params: Unpack[SpeechParams],
    ) -> Binary: ...
    @overload
    async def aspeech(
        self,
        model: str,
        input: str,
        voice: str | dict[str, Any] | None = None,
        *,
        stream: bool | None = None,
        **params: Unpack[SpeechParams],
    ) -> Binary | AsyncStream[bytes]: ...
    async def aspeech(
        self,
        model: str,
        input: str,
        voice: str | dict[str, Any] | None = None,
        *,
        stream: bool | None = None,
        **params: Unpack[SpeechParams],
    ) -> Any:
        """`speech`, asynchronously."""
        return await self._acall(
            BY_FUNCTION["speech"], {"model": model, "input": input, "voice": voice, "stream": stream, **params}
        )

    def video_generation(self, prompt: str, model: str, **params: Unpack[VideoParams]) -> Video:
        """Start a video job: `.id`, `.status`, `.progress`. The id alone is enough for `video_status`.

        https://platform.openai.com/docs/api-reference/videos/create
        """
        result: Video = self._call(BY_FUNCTION["video_generation"], {"prompt": prompt, "model": model, **params})
        return result

    async def avideo_generation(self, prompt: str, model: str, **params: Unpack[VideoParams]) -> Video:
        """`video_generation`, asynchronously."""
        result: Video = await self._acall(BY_FUNCTION["video_generation"], {"prompt": prompt, "model": model, **params})
        return result

    def video_status(self, video_id: str, **params: Unpack[CallParams]) -> Video:
        """Look how far a video job is; its id says whose it is."""
        result: Video = self._call(BY_FUNCTION["video_status"], {"video_id": video_id, **params})
        return result

    async def avideo_status(self, video_id: str, **params: Unpack[CallParams]) -> Video:
        """`video_status`, asynchronously."""
        result: Video = await self._acall(BY_FUNCTION["video_status"], {"video_id": video_id, **params})
        return result

    @overload
    def video_content(
        self, video_id: str, variant: str | None = None, *, stream: Literal[True], **params: Unpack[CallParams]
    ) -> Stream[bytes]: ...
    @overload
    def video_content(
        self,
        video_id: str,
        variant: str | None = None,
        *,
        stream: Literal[False] | None = None,
        **params: Unpack[CallParams],
    ) -> Binary: ...
    @overload
    def video_content(
        self, video_id: str, variant: str | None = None, *, stream: bool | None = None, **params: Unpack[CallParams]
    ) -> Binary | Stream[bytes]: ...
    def video_content(
        self, video_id: str, variant: str | None = None, *, stream: bool | None = None, **params: Unpack[CallParams]
    ) -> Any:
        """Fetch a finished video's bytes; `variant`: video, thumbnail, spritesheet."""
        return self._call(
            BY_FUNCTION["video_content"], {"video_id": video_id, "variant": variant, "stream": stream, **params}
        )

    @overload
    async def avideo_content(
        self, video_id: str, variant: str | None = None, *, stream: Literal[True], **params: Unpack[CallParams]
    ) -> AsyncStream[bytes]: ...
    @overload
    async def avideo_content(
        self,
        video_id: str,
        variant: str | None = None,
        *,
        stream: Literal[False] | None = None,
        **params: Unpack[CallParams],
    ) -> Binary: ...
    @overload
    async def avideo_content(
        self, video_id: str, variant: str | None = None, *, stream: bool | None = None, **params: Unpack[CallParams]
    ) -> Binary | AsyncStream[bytes]: ...
    async def avideo_content(
        self, video_id: str, variant: str | None = None, *, stream: bool | None = None, **params: Unpack[CallParams]
    ) -> Any:
        """`video_content`, asynchronously."""
        return await self._acall(
            BY_FUNCTION["video_content"], {"video_id": video_id, "variant": variant, "stream": stream, **params}
        )

    def video_remix(self, video_id: str, prompt: str, **params: Unpack[CallParams]) -> Video:
        """Start a job that changes a finished video."""
        result: Video = self._call(BY_FUNCTION["video_remix"], {"video_id": video_id, "prompt": prompt, **params})
        return result

    async def avideo_remix(self, video_id: str, prompt: str, **params: Unpack[CallParams]) -> Video:
        """`video_remix`, asynchronously."""
        result: Video = await self._acall(
            BY_FUNCTION["video_remix"], {"video_id": video_id, "prompt": prompt, **params}
        )
        return result

    def list_videos(self, **params: Unpack[VideoListParams]) -> VideoList:
        """List the video jobs of `provider=`, newest first."""
        result: VideoList = self._call(BY_FUNCTION["list_videos"], {**params})
        return result

    async def alist_videos(self, **params: Unpack[VideoListParams]) -> VideoList:
        """`list_videos`, asynchronously."""
        result: VideoList = await self._acall(BY_FUNCTION["list_videos"], {**params})
        return result

    def delete_video(self, video_id: str, **params: Unpack[CallParams]) -> VideoDeleted:
        """Delete a video job and its video."""
        result: VideoDeleted = self._call(BY_FUNCTION["delete_video"], {"video_id": video_id, **params})
        return result

    async def adelete_video(self, video_id: str, **params: Unpack[CallParams]) -> VideoDeleted:
        """`delete_video`, asynchronously."""
        result: VideoDeleted = await self._acall(BY_FUNCTION["delete_video"], {"video_id": video_id, **params})
        return result

    def create_file(self, file: FileInput, **params: Unpack[FileParams]) -> FileObject:
        """Upload a file to `provider=`. For purpose "batch", JSON lines; a JSON array is turned into them.

        https://platform.openai.com/docs/api-reference/files/create
        """
        result: FileObject = self._call(BY_FUNCTION["create_file"], {"file": file, **params})
        return result

    async def acreate_file(self, file: FileInput, **params: Unpack[FileParams]) -> FileObject:
        """`create_file`, asynchronously."""
        result: FileObject = await self._acall(BY_FUNCTION["create_file"], {"file": file, **params})
        return result

    def retrieve_file(self, file_id: str, **params: Unpack[CallParams]) -> FileObject:
        """Look up a file of `provider=`."""
        result: FileObject = self._call(BY_FUNCTION["retrieve_file"], {"file_id": file_id, **params})
        return result

    async def aretrieve_file(self, file_id: str, **params: Unpack[CallParams]) -> FileObject:
        """`retrieve_file`, asynchronously."""
        result: FileObject = await self._acall(BY_FUNCTION["retrieve_file"], {"file_id": file_id, **params})
        return result

    def list_files(self, **params: Unpack[FileListParams]) -> FileList:
        """List the files of `provider=`."""
        result: FileList = self._call(BY_FUNCTION["list_files"], {**params})
        return result

    async def alist_files(self, **params: Unpack[FileListParams]) -> FileList:
        """`list_files`, asynchronously."""
        result: FileList = await self._acall(BY_FUNCTION["list_files"], {**params})
        return result

    def delete_file(self, file_id: str, **params: Unpack[CallParams]) -> FileDeleted:
        """Delete a file of `provider=`."""
        result: FileDeleted = self._call(BY_FUNCTION["delete_file"], {"file_id": file_id, **params})
        return result

    async def adelete_file(self, file_id: str, **params: Unpack[CallParams]) -> FileDeleted:
        """`delete_file`, asynchronously."""
        result: FileDeleted = await self._acall(BY_FUNCTION["delete_file"], {"file_id": file_id, **params})
        return result

    @overload
    def file_content(self, file_id: str, *, stream: Literal[True], **params: Unpack[CallParams]) -> Stream[bytes]: ...
    @overload
    def file_content(
        self, file_id: str, *, stream: Literal[False] | None = None, **params: Unpack[CallParams]
    ) -> Binary: ...
    @overload
    def file_content(
        self, file_id: str, *, stream: bool | None = None, **params: Unpack[CallParams]
    ) -> Binary | Stream[bytes]: ...
    def file_content(self, file_id: str, *, stream: bool | None = None, **params: Unpack[CallParams]) -> Any:
        """Fetch the bytes of a file of `provider=`."""
        return self._call(BY_FUNCTION["file_content"], {"file_id": file_id, "stream": stream, **params})

    @overload
    async def afile_content(
        self, file_id: str, *, stream: Literal[True], **params: Unpack[CallParams]
    ) -> AsyncStream[bytes]: ...
    @overload
    async def afile_content(
        self, file_id: str, *, stream: Literal[False] | None = None, **params: Unpack[CallParams]
    ) -> Binary: ...
    @overload
    async def afile_content(
        self, file_id: str, *, stream: bool | None = None, **params: Unpack[CallParams]
    ) -> Binary | AsyncStream[bytes]: ...
    async def afile_content(self, file_id: str, *, stream: bool | None = None, **params: Unpack[CallParams]) -> Any:
        """`file_content`, asynchronously."""
        return await self._acall(BY_FUNCTION["file_content"], {"file_id": file_id, "stream": stream, **params})

    def create_batch(self, input_file_id: str, **params: Unpack[BatchParams]) -> Batch:
        """Start a batch over an uploaded file of `provider=`: `.status` tells how far it is.

        https://platform.openai.com/docs/api-reference/batch/create
        """
        result: Batch = self._call(BY_FUNCTION["create_batch"], {"input_file_id": input_file_id, **params})
        return result

    async def acreate_batch(self, input_file_id: str, **params: Unpack[BatchParams]) -> Batch:
        """`create_batch`, asynchronously."""
        result: Batch = await self._acall(BY_FUNCTION["create_batch"], {"input_file_id": input_file_id, **params})
        return result

    def retrieve_batch(self, batch_id: str, **params: Unpack[CallParams]) -> Batch:
        """Look how far a batch of `provider=` is."""
        result: Batch = self._call(BY_FUNCTION["retrieve_batch"], {"batch_id": batch_id, **params})
        return result

    async def aretrieve_batch(self, batch_id: str, **params: Unpack[CallParams]) -> Batch:
        """`retrieve_batch`, asynchronously."""
        result: Batch = await self._acall(BY_FUNCTION["retrieve_batch"], {"batch_id": batch_id, **params})
        return result

    def cancel_batch(self, batch_id: str, **params: Unpack[CallParams]) -> Batch:
        """Cancel a batch of `provider=`."""
        result: Batch = self._call(BY_FUNCTION["cancel_batch"], {"batch_id": batch_id, **params})
        return result

    async def acancel_batch(self, batch_id: str, **params: Unpack[CallParams]) -> Batch:
        """`cancel_batch`, asynchronously."""
        result: Batch = await self._acall(BY_FUNCTION["cancel_batch"], {"batch_id": batch_id, **params})
        return result

    def list_batches(self, **params: Unpack[ListParams]) -> BatchList:
        """List the batches of `provider=`, newest first."""
        result: BatchList = self._call(BY_FUNCTION["list_batches"], {**params})
        return result

    async def alist_batches(self, **params: Unpack[ListParams]) -> BatchList:
        """`list_batches`, asynchronously."""
        result: BatchList = await self._acall(BY_FUNCTION["list_batches"], {**params})
        return result

    def delete_batch(self, batch_id: str, **params: Unpack[CallParams]) -> BatchDeleted:
        """Delete a batch of `provider=` that is over, with its results; not all providers let go of them."""
        result: BatchDeleted = self._call(BY_FUNCTION["delete_batch"], {"batch_id": batch_id, **params})
        return result

    async def adelete_batch(self, batch_id: str, **params: Unpack[CallParams]) -> BatchDeleted:
        """`delete_batch`, asynchronously."""
        result: BatchDeleted = await self._acall(BY_FUNCTION["delete_batch"], {"batch_id": batch_id, **params})
        return result

    def list_models(self, **params: Unpack[ListParams]) -> ModelList:
        """List the models that the key may use at `provider=`."""
        result: ModelList = self._call(BY_FUNCTION["list_models"], {**params})
        return result

    async def alist_models(self, **params: Unpack[ListParams]) -> ModelList:
        """`list_models`, asynchronously."""
        result: ModelList = await self._acall(BY_FUNCTION["list_models"], {**params})
        return result
