"""Beginnings and ends: threads, event loops, closing, and programs that end without closing anything."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from core.tests.conftest import ASK, Fake, Server, completion, event, wire

import polyport
from polyport.hookspecs import hookimpl

OK = completion("ok")


def replying(exchange) -> None:
    """Answer at once; a stream to who asks for one."""
    if exchange.json.get("stream"):
        exchange.begin()
        exchange.piece(event("a"), event("b"))
        exchange.wait_gone()
    else:
        exchange.reply(OK)


class Closing(Fake):
    """Holds something that close() must release."""

    closed: list[str] = []

    @hookimpl
    def close(self):
        """Note in which thread."""
        self.closed.append(threading.current_thread().name)


def test_leaving_the_block_closes_connections_and_providers(client, serve):
    """`with` and `async with`; a provider's close runs once, off the loop, and only where it was used."""
    server = serve(replying)
    Closing.closed.clear()
    providers = {"fake": Closing, "unused": Closing}
    with client(server.url, providers=providers) as one:
        one.completion("fake/m", ASK)
    assert server.until(lambda: server.open == 0)
    assert len(Closing.closed) == 1

    async def main() -> None:
        async with client(server.url, providers=providers) as two:
            await two.acompletion("fake/m", ASK)
        assert await asyncio.to_thread(server.until, lambda: server.open == 0)

    asyncio.run(main())
    assert len(Closing.closed) == 2
    assert Closing.closed[1] != threading.main_thread().name


def test_closing_twice_is_fine_and_a_closed_client_opens_again(mode, client, serve):
    """A program need not know who closed it."""
    server = serve(replying)
    one = client(server.url)
    one.close()
    assert mode.chat(one).text == "ok"
    one.close()
    one.close()
    asyncio.run(one.aclose())
    assert mode.chat(one).text == "ok"


def test_a_stream_that_outlives_its_client_is_closed_by_its_reader(client, serve):
    """And its connection is not kept for nobody."""
    server = serve(replying)
    one = client(server.url)
    stream = one.completion("fake/m", ASK, stream=True)
    one.close()
    assert next(stream).choices[0].delta.content == "a"
    stream.close()
    assert server.until(lambda: server.open == 0)

    async def main() -> None:
        again = await one.acompletion("fake/m", ASK, stream=True)
        await one.aclose()
        assert (await anext(again)).choices[0].delta.content == "a"
        await again.aclose()

    asyncio.run(main())
    assert server.until(lambda: server.open == 0)


def test_a_connection_in_use_at_the_end_is_closed_when_its_reply_is_done(client, serve):
    """Another thread's call goes on to its end."""
    go = threading.Event()
    server = serve(lambda exchange: [go.wait(60), exchange.reply(OK)])
    one = client(server.url)
    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(one.completion, "fake/m", ASK)
        server.until(lambda: server.seen)
        one.close()
        go.set()
        assert calling.result().text == "ok"
    assert server.until(lambda: server.open == 0)


def test_sixteen_threads_share_a_client(client, serve):
    """No reply goes to the wrong thread; no more connections than threads."""
    server = serve(lambda exchange: exchange.reply(completion(exchange.json["messages"][0]["content"])))
    one = client(server.url)

    def ask(number: int) -> bool:
        text = f"{number}"
        return one.completion("fake/m", [{"role": "user", "content": text}]).text == text

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(320)))
    assert len(server.seen) == 320
    assert server.connections <= 16


def test_threads_with_loops_of_their_own_share_a_client(client, serve):
    """Each loop has its own connections; all are closed when it ends."""
    server = serve(lambda exchange: exchange.reply(completion(exchange.json["messages"][0]["content"])))
    one = client(server.url)

    async def ask(number: int) -> list[bool]:
        async def single(part: int) -> bool:
            text = f"{number}.{part}"
            return (await one.acompletion("fake/m", [{"role": "user", "content": text}])).text == text

        return await asyncio.gather(*(single(part) for part in range(10)))

    with ThreadPoolExecutor(8) as pool:
        assert all(all(found) for found in pool.map(lambda number: asyncio.run(ask(number)), range(16)))
    assert server.until(lambda: server.open == 0)


def test_one_client_serves_loops_one_after_another(client, serve):
    """Nothing of the loop before is left."""
    server = serve(replying)
    one = client(server.url)
    for _ in range(4):
        assert asyncio.run(one.acompletion("fake/m", ASK)).text == "ok"
        assert server.until(lambda: server.open == 0)
    assert server.connections == 4


def test_a_blocking_call_works_inside_a_running_loop(client, serve):
    """It blocks the loop, and works: in a notebook, say."""
    server = serve(replying)
    one = client(server.url)

    async def main() -> list[str]:
        return [one.completion("fake/m", ASK).text, (await one.acompletion("fake/m", ASK)).text]

    assert asyncio.run(main()) == ["ok", "ok"]


def test_two_clients_share_nothing(client):
    """Neither settings nor providers nor connections."""
    a = client(http=wire(lambda _: httpx.Response(200, json=completion("a"))), num_retries=0)
    b = client(http=wire(lambda _: httpx.Response(200, json=completion("b"))))
    assert (a.completion("fake/m", ASK).text, b.completion("fake/m", ASK).text) == ("a", "b")
    assert a.providers.get("fake").plugin is not b.providers.get("fake").plugin
    assert b.num_retries is None


def test_requests_are_not_shared_between_calls(client):
    """Adaptations and meta belong to one call."""
    one = client(http=wire(lambda _: httpx.Response(200, json=OK)))
    first = one.completion("fake/m", ASK, top_k=5, drop_params=True)
    second = one.completion("fake/m", ASK)
    assert [a.parameter for a in first.meta.adaptations] == ["top_k"]
    assert second.meta.adaptations == []
    assert first.meta is not second.meta


# --- programs that end ---

HEAD = """
import asyncio, gc, os, sys, threading
sys.path.insert(0, {root!r})
import polyport
from core.tests.conftest import ASK, Fake
url = sys.argv[1]
os.environ["POLYPORT_TRANSPORT"] = "httpx"
def new(**more):
    return polyport.Client(api_base=url, api_key="k", providers={{"fake": Fake}}, **more)
"""
ROOT = str(Path(__file__).parents[2])
#: Dev mode tells of each callback that took long; how fast this machine is is not what is tested.
SLOW = "Executing <"


def program(url: str, body: str) -> str:
    """Run a program with every warning an error; return its stderr."""
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", HEAD.format(root=ROOT) + textwrap.dedent(body), url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    said = "".join(line for line in done.stderr.splitlines(keepends=True) if not line.startswith(SLOW))
    return said if done.returncode == 0 else f"{said}\nexit code {done.returncode}"


PROGRAMS = {
    "a client never closed": """
        client = new()
        print(client.completion("fake/m", ASK).text)
    """,
    "a client dropped": """
        client = new()
        client.completion("fake/m", ASK)
        del client
        gc.collect()
    """,
    "a client dropped with a stream of its still open": """
        client = new()
        stream = client.completion("fake/m", ASK, stream=True)
        del client
        gc.collect()
        next(stream)
        del stream
        gc.collect()
    """,
    "a stream open at the end": """
        client = new()
        stream = client.completion("fake/m", ASK, stream=True)
        next(stream)
    """,
    "an unread stream open at the end": """
        stream = new().completion("fake/m", ASK, stream=True)
    """,
    "a loop that ends without aclose": """
        async def main():
            client = new()
            await asyncio.gather(*(client.acompletion("fake/m", ASK) for _ in range(4)))
        asyncio.run(main())
        gc.collect()
    """,
    "a client kept over a loop's end": """
        client = new()
        async def main():
            await client.acompletion("fake/m", ASK)
        asyncio.run(main())
        asyncio.run(main())
    """,
    "a loop that ends with a stream open": """
        client = new()
        stream = None
        async def main():
            nonlocal stream
            stream = await client.acompletion("fake/m", ASK, stream=True)
            await anext(stream)
        asyncio.run(main())
        del stream
        gc.collect()
    """,
    "a loop that ends with a stream unread": """
        client = new()
        stream = None
        async def main():
            nonlocal stream
            stream = await client.acompletion("fake/m", ASK, stream=True)
        asyncio.run(main())
    """,
    "a stream dropped as the loop's last act": """
        client = new()
        async def main():
            stream = await client.acompletion("fake/m", ASK, stream=True)
            await anext(stream)
            del stream
        asyncio.run(main())
    """,
    "an unread stream dropped as the loop's last act": """
        client = new()
        async def main():
            stream = await client.acompletion("fake/m", ASK, stream=True)
            del stream
        asyncio.run(main())
    """,
    "a break out of an unnamed stream": """
        client = new()
        async def main():
            async for chunk in await client.acompletion("fake/m", ASK, stream=True):
                break
        asyncio.run(main())
        for chunk in client.completion("fake/m", ASK, stream=True):
            break
    """,
    "a call cancelled by the loop's end": """
        client = new()
        async def main():
            task = asyncio.create_task(client.acompletion("fake/m", ASK, stream=True))
            await asyncio.sleep(0.05)
        asyncio.run(main())
    """,
    "an error that ends the program's loop": """
        client = new()
        async def main():
            stream = await client.acompletion("fake/m", ASK, stream=True)
            async for chunk in stream:
                raise LookupError
        try:
            asyncio.run(main())
        except LookupError:
            pass
    """,
    "a Runner": """
        client = new()
        with asyncio.Runner() as runner:
            runner.run(client.acompletion("fake/m", ASK))
            runner.run(client.acompletion("fake/m", ASK))
    """,
    "a loop closed by hand": """
        client = new()
        loop = asyncio.new_event_loop()
        loop.run_until_complete(client.acompletion("fake/m", ASK))
        loop.run_until_complete(client.aclose())
        loop.close()
    """,
    "a loop shut down by hand": """
        client = new()
        loop = asyncio.new_event_loop()
        loop.run_until_complete(client.acompletion("fake/m", ASK))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        del client, loop
        gc.collect()
    """,
    "threads that end before the client": """
        client = new()
        threads = [threading.Thread(target=client.completion, args=("fake/m", ASK)) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    """,
    "a loop in a thread": """
        client = new()
        thread = threading.Thread(target=lambda: asyncio.run(client.acompletion("fake/m", ASK)))
        thread.start()
        thread.join()
        client.completion("fake/m", ASK)
    """,
    "a client made and never used": """
        client = new()
        with new():
            pass
    """,
    "the module's own functions": """
        polyport.api_base, polyport.api_key = url, "k"
        print(polyport.completion("openai/m", ASK).text)
        print(asyncio.run(polyport.acompletion("openai/m", ASK)).text)
    """,
    "an interrupt while a stream is read": """
        client = new()
        try:
            for chunk in client.completion("fake/m", ASK, stream=True):
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
    """,
}


#: Those that are about the interpreter's own end; the others run one after another in one process.
AT_EXIT = ("a client never closed", "a stream open at the end", "the module's own functions")


@pytest.fixture(scope="module")
def said() -> Iterator[dict[str, str]]:
    """What each program that is not about the interpreter's end wrote to stderr, and what it left open."""
    server = Server(replying)
    lines = []
    for name, body in PROGRAMS.items():
        if name not in AT_EXIT:
            lines.append(f"print({'== ' + name!r}, file=sys.stderr, flush=True)\ndef program():\n")
            lines.append(textwrap.indent(textwrap.dedent(body), "    ") + "\nprogram()\ngc.collect()\n")
    text = program(server.url, "".join(lines))
    found = dict(part.split("\n", 1) for part in text.split("== ")[1:])
    found["open connections"] = str(server.open) if server.until(lambda: server.open == 0) else ""
    yield found
    server.stop()


@pytest.mark.parametrize(
    "name", [name for name in PROGRAMS if name not in AT_EXIT], ids=lambda name: name.replace(" ", "-")
)
def test_a_loop_or_a_function_ends_cleanly(said, name):
    """No ResourceWarning, no message from the loop, nothing on stderr; and no connection stays open."""
    assert said[name] == ""
    assert said["open connections"] == "0"


@pytest.mark.parametrize("name", AT_EXIT)
def test_a_program_ends_cleanly(serve, name):
    """Nothing on stderr; and every connection is closed."""
    server = serve(replying)
    assert program(server.url, PROGRAMS[name]) == ""
    assert server.until(lambda: server.open == 0)


def test_importing_does_nothing():
    """No network, no threads, no plugin; closing what was never opened is fine."""
    code = "import polyport, threading; polyport.Client().close(); print(threading.active_count())"
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert polyport.__version__ == "0.1.0"
