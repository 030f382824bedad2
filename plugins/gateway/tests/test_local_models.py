"""`polyport serve --model local/...`: real models, official SDKs, nothing else to start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

openai = pytest.importorskip("openai")
cohere = pytest.importorskip("cohere")
pytest.importorskip("polyport_local")

MODELS = ("local/smollm2", "local/e5", "local/espeak", "local/whisper")


@pytest.fixture(scope="module")
def url(serve: Callable[..., Any]) -> str:
    """A gateway over the models of this machine, without a key."""
    from polyport_local import weights

    if weights.located("smollm2") is None:
        pytest.skip("the weights of SmolLM2 are not here: polyport local pull smollm2")
    found: str = serve(*(word for model in MODELS for word in ("--model", model))).url
    return found


def test_real_models_answer_the_openai_sdk(url: str) -> None:
    """Chat, whole and streamed, vectors, speech, and what was said in it."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        hello = [{"role": "user", "content": "What is the capital of France? One word."}]
        answer = client.chat.completions.create(model="local/smollm2", messages=hello, max_tokens=12, temperature=0)
        text = answer.choices[0].message.content
        assert "Paris" in text
        stream = client.chat.completions.create(
            model="local/smollm2", messages=hello, max_tokens=12, temperature=0, stream=True
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == text
        with client.responses.stream(model="local/smollm2", input="Say hello.", max_output_tokens=8) as events:
            kinds = [event.type for event in events]
        assert (kinds[0], "response.output_text.delta" in kinds) == ("response.created", True)
        assert len(client.embeddings.create(model="local/e5", input=["a", "b"]).data[1].embedding) == 384
        sound = client.audio.speech.create(
            model="local/espeak",
            voice="en",
            input="The quick brown fox jumps over the lazy dog.",
            response_format="wav",
        )
        assert sound.content[:4] == b"RIFF"
        heard = client.audio.transcriptions.create(model="local/whisper", file=("fox.wav", sound.content))
        assert "fox" in heard.text.lower()


@pytest.mark.parametrize("kind", ["Client", "ClientV2"])
def test_real_models_answer_the_cohere_sdk(url: str, kind: str) -> None:
    """Rerank by both of its interfaces."""
    pytest.importorskip("tokenizers", reason="the cohere SDK needs it, and fastavro")
    with httpx.Client(timeout=120) as http:  # the first call loads the model
        client = getattr(cohere, kind)(api_key="any", base_url=url, httpx_client=http)
        ranked = client.rerank(
            model="local/e5", query="What do cats eat?", documents=["Paris is in France.", "Cats eat mice and fish."]
        )
    assert ranked.results[0].index == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK calls pydantic by names that have gone
def test_real_models_chat_and_embed_by_the_cohere_sdk(url: str) -> None:
    """By both versions, whole and streamed, over a model and vectors of this machine."""
    pytest.importorskip("tokenizers", reason="the cohere SDK needs it, and fastavro")
    question = "What is the capital of France? One word."
    asked = {"model": "local/smollm2", "temperature": 0, "max_tokens": 12}
    with httpx.Client(timeout=120) as http:
        second = cohere.ClientV2(api_key="any", base_url=url, httpx_client=http)
        turns = [{"role": "user", "content": question}]
        told = second.chat(messages=turns, **asked)
        text = told.message.content[0].text
        assert "Paris" in text
        assert told.usage.tokens.output_tokens > 0
        events = [event for event in second.chat_stream(messages=turns, **asked) if event.type == "content-delta"]
        assert "".join(event.delta.message.content.text for event in events) == text
        vectors = second.embed(
            model="local/e5", texts=["a", "b"], input_type="search_query", embedding_types=["float", "ubinary"]
        )
        assert [len(one) for one in vectors.embeddings.float_] == [384, 384]
        assert [len(one) for one in vectors.embeddings.ubinary] == [48, 48]
        first = cohere.Client(api_key="any", base_url=url, httpx_client=http)
        assert first.chat(message=question, **asked).text == text
        lines = [one for one in first.chat_stream(message=question, **asked) if one.event_type == "text-generation"]
        assert "".join(one.text for one in lines) == text
        assert len(first.embed(model="local/e5", texts=["a"]).embeddings[0]) == 384


def test_real_models_answer_other_sdks(url: str) -> None:
    """Anthropic's, Google's and LangChain's clients, whole and streamed, over the same model."""
    anthropic, genai = pytest.importorskip("anthropic"), pytest.importorskip("google.genai")
    langchain_openai = pytest.importorskip("langchain_openai")
    question = "What is the capital of France? One word."
    asked = {"model": "local/smollm2", "max_tokens": 12, "messages": [{"role": "user", "content": question}]}
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as claude:
        assert "Paris" in claude.messages.create(**asked, extra_body={"temperature": 0}).content[0].text
        with claude.messages.stream(**asked, extra_body={"temperature": 0}) as stream:
            assert "Paris" in "".join(stream.text_stream)
            assert stream.get_final_message().usage.output_tokens > 0
    with httpx.Client(timeout=60) as http:
        gemini = genai.Client(api_key="any", http_options={"base_url": url, "httpx_client": http})
        config = {"temperature": 0, "max_output_tokens": 12}
        told = gemini.models.generate_content(model="local/smollm2", contents=question, config=config)
        assert "Paris" in told.text
        assert gemini.models.count_tokens(model="local/smollm2", contents=question).total_tokens > 5
        vectors = gemini.models.embed_content(model="local/e5", contents=["a", "b"]).embeddings
        assert [len(one.values) for one in vectors] == [384, 384]
        chat = langchain_openai.ChatOpenAI(
            model="local/smollm2", base_url=f"{url}/v1", api_key="any", temperature=0, max_tokens=12, http_client=http
        )
        assert "Paris" in chat.invoke(question).content
        assert "Paris" in "".join(str(piece.content) for piece in chat.stream(question))


def test_callers_do_not_say_how_a_model_is_loaded(url: str) -> None:
    """Each size of context is a model of its own in memory: a caller could have it filled."""
    hello = [{"role": "user", "content": "Hi"}]
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client,
        pytest.raises(openai.BadRequestError, match="n_ctx"),
    ):
        client.chat.completions.create(model="local/smollm2", messages=hello, extra_body={"n_ctx": 100_000})
