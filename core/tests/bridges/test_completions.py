"""Text completion over a provider that only chats."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from openai.types import Completion as SDKCompletion

from polyport import Client, UnsupportedParamsError
from polyport.dialects.openai import Chat

TOKENS = [
    {"token": "Hel", "logprob": -0.1, "top_logprobs": [{"token": "Hel", "logprob": -0.1}]},
    {"token": "lo", "logprob": -0.2, "top_logprobs": []},
]


def test_a_prompt_is_asked_as_a_message(stage, says):
    """The prompt is a user's message, recorded as emulated; the reply satisfies OpenAI's own type."""
    reply = stage.answers(says("Hello")).text_completion(
        model="fake/m", prompt="Say hello", max_tokens=3, temperature=0, stop="\n", seed=1, user="u"
    )
    assert stage.asked.given() == {
        "messages": [{"role": "user", "content": "Say hello"}],
        "max_tokens": 3,
        "temperature": 0,
        "stop": "\n",
        "seed": 1,
        "user": "u",
    }
    read = SDKCompletion.model_validate(reply.to_dict(), strict=True)
    assert (read.id, read.choices[0].text, read.choices[0].finish_reason) == ("cmpl-1", "Hello", "stop")
    assert [(a.parameter, a.action) for a in reply.meta.adaptations] == [("prompt", "emulated")]


def test_several_prompts_are_answered_in_order(stage, says):
    """Choices stand prompt by prompt, and what they used is added up."""
    details = {"prompt_tokens_details": {"cached_tokens": 2}}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    client = stage.answers(says("a", usage=usage | details), says("b", usage=usage))
    reply = client.text_completion(model="fake/m", prompt=["1", "2"], echo=True)
    assert sorted(request.messages[0]["content"] for request in stage.provider.asked) == ["1", "2"]
    assert [choice.index for choice in reply.choices] == [0, 1]
    assert {choice.text for choice in reply.choices} <= {"1a", "1b", "2a", "2b"}
    assert reply.choices[0].text.startswith("1")
    assert (reply.usage.prompt_tokens, reply.usage.total_tokens) == (20, 30)
    assert reply.usage.prompt_tokens_details.cached_tokens == 2


class Wired(Chat):
    """A provider with OpenAI's chat over HTTP, and without its text completion."""

    base_url = "https://wired.test"


def test_several_prompts_go_over_the_wire_side_by_side(says):
    """Each prompt is a request of its own, made absolute and answered, sync and async."""

    def serve(request: httpx.Request) -> httpx.Response:
        import json

        return httpx.Response(200, json=says(json.loads(request.content)["messages"][0]["content"].upper()))

    with Client(providers={"wired": Wired}, http=httpx.MockTransport(serve)) as client:
        reply = client.text_completion(model="wired/m", prompt=["a", "b", "c"])
    assert [choice.text for choice in reply.choices] == ["A", "B", "C"]

    async def run():
        http = httpx.AsyncClient(transport=httpx.MockTransport(serve))
        async with Client(providers={"wired": Wired}, http=http) as client:
            return await client.atext_completion(model="wired/m", prompt=["a", "b", "c"])

    assert [choice.text for choice in asyncio.run(run()).choices] == ["A", "B", "C"]


def test_a_stream_is_chunks_of_the_same_shape(stage, streams):
    """The prompt comes first where it is to be echoed, then the text, then the usage."""
    client = stage.answers(streams({"content": "Hel"}, {"content": "lo"}))
    chunks = list(client.text_completion(model="fake/m", prompt=["Say: "], echo=True, stream=True))
    assert [choice.text for chunk in chunks for choice in chunk.choices] == ["Say: Hel", "lo", ""]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices] == [None, None, "stop"]
    assert chunks[-1].usage.total_tokens == 15


def test_logprobs_take_the_older_form(stage, says):
    """Tokens, their logprobs and where in the text they stand, after an echo too."""
    answer = says("Hello")
    answer["choices"][0]["logprobs"] = {"content": TOKENS}
    reply = stage.answers(answer).text_completion(model="fake/m", prompt="ab", logprobs=1, echo=True)
    assert (stage.asked.logprobs, stage.asked.top_logprobs) == (True, 1)
    assert reply.choices[0].logprobs == {
        "tokens": ["Hel", "lo"],
        "token_logprobs": [-0.1, -0.2],
        "top_logprobs": [{"Hel": -0.1}, {}],
        "text_offset": [2, 5],
    }


@pytest.mark.parametrize(
    ("params", "name"),
    [({"suffix": "end"}, "suffix"), ({"best_of": 3, "n": 1}, "best_of"), ({"prompt": [1, 2]}, "prompt")],
)
def test_what_a_chat_cannot_do_is_refused(stage, says, params, name):
    """A gap to fill, candidates to rank and token ids are errors that say why."""
    with pytest.raises(UnsupportedParamsError, match=f"{name} is not supported"):
        stage.answers(says("x")).text_completion(**{"model": "fake/m", "prompt": "a", **params})


def test_several_prompts_cannot_share_a_stream(stage, streams):
    """Chunks of two streams would be mixed up, so that is refused before anything is asked."""
    with pytest.raises(UnsupportedParamsError, match="pass one prompt"):
        stage.answers(streams()).text_completion(model="fake/m", prompt=["a", "b"], stream=True)
    assert stage.provider.asked == []
