"""Real models in this process. No key, and no network once the weights are pulled.

local/smollm2           chat, text completion        llama.cpp
local//models/x.gguf    the same with any GGUF file; also embeddings
local/e5                embeddings, rerank           extra `embed`
local/whisper-tiny.en   speech to text, English      extra `audio`
local/espeak            text to speech               extra `audio`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from polyport.flow import Call, Flow, Items, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import Provider, Setting
from polyport.types.audio import Binary, SpeechRequest, Transcription, TranscriptionEvent, TranscriptionRequest
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest
from polyport.types.completion import TextCompletion, TextCompletionRequest
from polyport.types.embed import EmbeddingResponse, EmbedRequest
from polyport.types.models import Model, ModelList, ModelListRequest
from polyport.types.rerank import RerankRequest, RerankResponse
from polyport_local import chat, inventory, sound, vectors
from polyport_local.e5 import DIMENSIONS
from polyport_local.engines import Engines, is_path

if TYPE_CHECKING:
    from polyport_local.llama import Llama


class Local(Provider):
    """Models in this process. `n_ctx` (tokens of context) and `n_threads` say how a chat model is loaded.

    They are settings: each choice of them is a model of its own in memory, so a gateway's callers have none.
    """

    settings: ClassVar[tuple[Setting, ...]] = (Setting("n_ctx", ("n_ctx",)), Setting("n_threads", ("n_threads",)))

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.engines = Engines()

    @hookimpl
    def chat(self, request: ChatRequest) -> Flow[ChatCompletion | Streaming[ChatCompletionChunk]]:
        """Answer a conversation. The first call fetches the weights of a known model, and says so on stderr."""
        body, load = chat.to_chat(request), chat.loading(request)
        model: Llama = yield Call(lambda: self.engines.llama(request.model, load))
        chat.describe_tools(request, native=model.knows_tools)
        if request.stream:
            pieces = yield Call(lambda: model.stream(body))
            return Streaming(Items(pieces), chat.Typed(ChatCompletionChunk))
        reply = yield Call(lambda: model.chat(body, timeout=chat.timeout(request)))
        return chat.to_result(reply, ChatCompletion)

    @hookimpl
    def complete_text(self, request: TextCompletionRequest) -> Flow[TextCompletion | Streaming[TextCompletion]]:
        """Continue a text."""
        body, load = chat.to_completion(request), chat.loading(request)
        model: Llama = yield Call(lambda: self.engines.llama(request.model, load))
        if request.stream:
            pieces = yield Call(lambda: model.stream_completion(body))
            return Streaming(Items(pieces), chat.Typed(TextCompletion))
        reply = yield Call(lambda: model.complete(body, timeout=chat.timeout(request)))
        return chat.to_result(reply, TextCompletion)

    @hookimpl
    def embed(self, request: EmbedRequest) -> Flow[EmbeddingResponse]:
        """Return one vector per text: e5's, or those of a GGUF file."""
        if is_path(request.model):
            return (yield from self._embed_by_file(request))
        engine = self.engines.e5(request.model)
        chat.refuse_extra(request)
        texts = vectors.to_texts(request, width=DIMENSIONS)
        made, tokens = yield Call(lambda: engine.embed(texts, input_type=request.input_type))
        return vectors.to_embeddings(request, made, tokens)

    def _embed_by_file(self, request: EmbedRequest) -> Flow[EmbeddingResponse]:
        texts, load = vectors.to_texts(request, width=None), chat.loading(request)
        chat.refuse_extra(request, loads=True)
        if request.input_type is not None:
            request.unsupported("input_type", "what a GGUF model wants before its texts is not known here")
        model: Llama = yield Call(lambda: self.engines.llama(request.model, load, embedding=True))
        made, tokens = yield Call(lambda: model.embed(texts))
        return vectors.to_embeddings(request, made, tokens)

    @hookimpl
    def rerank(self, request: RerankRequest) -> Flow[RerankResponse]:
        """Return documents by the similarity of their embeddings to the query's."""
        engine = self.engines.e5(request.model)
        chat.refuse_extra(request)
        vectors.check_rerank(request)
        scores, tokens = yield Call(lambda: engine.rank(request.query, request.texts))
        return vectors.to_ranks(request, scores, tokens)

    @hookimpl
    def transcribe(self, request: TranscriptionRequest) -> Flow[Transcription | str | Streaming[TranscriptionEvent]]:
        """Write down English speech. Streamed, each segment is an event."""
        engine = self.engines.whisper(request.model)
        chat.refuse_extra(request)
        sound.check_transcription(request)
        if request.stream:
            return Streaming(Items(sound.listening(engine, request)), Raw())
        result: Transcription | str = yield Call(lambda: sound.listen(engine, request))
        return result

    @hookimpl
    def speak(self, request: SpeechRequest) -> Flow[Binary | Streaming[bytes]]:
        """Say text: WAV, or what `response_format` asks for."""
        engine = self.engines.espeak(request.model)
        chat.refuse_extra(request)
        voice, form = sound.speech_of(request)
        if request.stream:
            pieces = yield Call(lambda: sound.speaking(engine, request, voice, form))
            return Streaming(Items(pieces), Raw())
        result: Binary = yield Call(lambda: sound.speak(engine, request, voice, form))
        return result

    @hookimpl
    def list_models(self, request: ModelListRequest) -> Flow[ModelList]:
        """List the models that answer by name; any GGUF file answers by its path."""
        for name in request.given():
            request.unsupported(name, "the whole list comes at once")
        known = yield Call(inventory.models)
        return ModelList(
            data=[Model(id=one.name, owned_by=self.name, display_name=one.about) for one in known if one.ready]
        )

    @hookimpl
    def close(self) -> None:
        """Let go of the models; their memory is given back when nobody else in the process uses them."""
        self.engines.close()
