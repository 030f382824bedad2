"""The plugin as polyport finds it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import polyport
from polyport.dialects.openai import OpenAICompatible
from polyport.transport import TransportFactory, factory
from polyport_reqwest import AsyncReqwestTransport, Reqwest, ReqwestTransport

ASK = [{"role": "user", "content": "hello"}]


class Fake(OpenAICompatible):
    """Speaks OpenAI's dialect to wherever `api_base` says."""

    base_url = "http://fake.invalid/v1"


def completion(text: str) -> bytes:
    """A chat completion as it stands on the wire."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    ).encode()


def test_it_is_chosen_by_itself_or_by_name():
    """Installed is enough."""
    chosen: TransportFactory = factory(None)
    assert isinstance(chosen, Reqwest)
    assert isinstance(factory("reqwest"), Reqwest)
    assert not isinstance(factory("httpx"), Reqwest)


def test_calls_and_streams_go_through_it(serve):
    """From a client's function to the wire and back, blocking and not."""
    events = [
        {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "he"}}]},
        {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "llo"}, "finish_reason": "stop"}]},
    ]

    def answer(asked) -> None:
        if not json.loads(asked.body).get("stream"):
            return asked.reply(completion("hello"))
        asked.begin()
        asked.piece(*(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events), b"data: [DONE]\n\n")
        return asked.end()

    server = serve(answer)
    with polyport.Client(providers={"fake": Fake}, api_base=server.url, api_key="k", transport="reqwest") as client:
        assert isinstance(client._drivers.sync().transport, ReqwestTransport)
        assert client.completion("fake/m", ASK).choices[0].message.content == "hello"
        chunks = list(client.completion("fake/m", ASK, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "hello"

        async def main() -> None:
            assert isinstance((await client._drivers.aio()).transport, AsyncReqwestTransport)
            answers = await asyncio.gather(*(client.acompletion("fake/m", ASK) for _ in range(20)))
            assert {answer.choices[0].message.content for answer in answers} == {"hello"}
            stream = await client.acompletion("fake/m", ASK, stream=True)
            texts = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
            assert "".join(texts) == "hello"

        asyncio.run(main())


FORK = """
import asyncio, os, sys
from polyport.flow import HttpRequest
from polyport.transport import TransportOptions
from polyport_reqwest import Reqwest

url = sys.argv[1]
transport, other = Reqwest().open(TransportOptions()), Reqwest().open_async(TransportOptions())
request = HttpRequest(method="GET", url=url)

def calls():
    assert transport.send(request).content == b"ok"
    async def main():
        return (await other.send(request)).content
    assert asyncio.run(main()) == b"ok"

calls()
child = os.fork()
if child == 0:
    calls()
    transport.close()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
calls()
"""


def test_a_forked_child_has_connections_of_its_own(serve):
    """As under gunicorn with a preloaded application: parent and child both go on; a loop's connections end with it."""
    server = serve(lambda asked: asked.reply())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:.*fork.*:DeprecationWarning", "-c", FORK, server.url],
        timeout=300,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (len(server.seen), server.connections) == (6, 5)
