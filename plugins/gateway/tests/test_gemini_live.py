"""Live sessions with Google's own SDK, with limits and a ledger, to a provider on real sockets."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from websockets.asyncio.server import ServerConnection, serve as serve_sockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .waiting import until

genai = pytest.importorskip("google.genai")
pytest.importorskip("polyport_gemini")

MASTER, SECRET = "sk-master-1234", "AIza-upstream-secret"
USAGE = {
    "promptTokenCount": 30, "cachedContentTokenCount": 5, "responseTokenCount": 10, "totalTokenCount": 44,
    "thoughtsTokenCount": 4, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 20}],
    "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 6}, {"modality": "TEXT", "tokenCount": 4}],
}  # fmt: skip


class Provider:
    """A live provider in a thread of its own. `asked` has the path and key of each session, `heard` its messages."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.heard: list[Any] = []
        self.closed: list[int | None] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        async with serve_sockets(self._session, "127.0.0.1", 0, max_size=None) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            await self._over.wait()

    async def _session(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.asked.append((connection.request.path, connection.request.headers.get("x-goog-api-key")))
        try:
            async for frame in connection:
                told = json.loads(frame)
                self.heard.append(told)
                if "setup" in told:
                    await self._say(connection, {"setupComplete": {"sessionId": "s"}})
                elif "client_content" in told:
                    parts = [{"text": "Well, "}]
                    await self._say(connection, {"serverContent": {"modelTurn": {"role": "model", "parts": parts}}})
                    await self._say(connection, {"serverContent": {"turnComplete": True}, "usageMetadata": USAGE})
        except ConnectionClosed:
            pass
        self.closed.append(connection.close_code)

    async def _say(self, connection: ServerConnection, told: Any) -> None:
        await connection.send(json.dumps(told).encode())  # Google's are binary

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(60)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """The provider."""
    made = Provider()
    yield made
    made.stop()


def config(port: int, **sections: Any) -> dict[str, Any]:
    """Return a configuration with prices: 1 USD a million tokens read, 2 a million written."""
    prices = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    params = {"api_base": f"http://127.0.0.1:{port}", "api_key": SECRET, **prices}
    other = {"model": "openai/gpt-4o", "api_key": "sk-x", "api_base": f"http://127.0.0.1:{port}/v1"}
    models = [
        {"model_name": "live", "litellm_params": {"model": "gemini/gemini-live-2.5", **params}},
        {"model_name": "gpt", "litellm_params": other},
    ]
    return {"model_list": models, "general_settings": {"master_key": MASTER}, **sections}


@pytest.fixture(scope="module")
def gateway(provider: Provider, start: Callable[..., Any]) -> Any:
    """A gateway in front of it."""
    return start(config(provider.port))


def key_of(gateway: Any, **fields: Any) -> str:
    """Return a new key."""
    answer = httpx.post(
        f"{gateway.url}/key/generate", json=fields, headers={"authorization": f"Bearer {MASTER}"}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["key"])


def rows(gateway: Any, key: str, count: int) -> list[dict[str, Any]]:
    """Return the ledger's rows of a key, the first one first, once there are so many."""
    master = {"authorization": f"Bearer {MASTER}"}
    name = httpx.get(f"{gateway.url}/key/info", params={"key": key}, headers=master, timeout=60).json()["key_id"]

    def found() -> list[dict[str, Any]]:
        reply = httpx.get(f"{gateway.url}/spend/logs", params={"key": name}, headers=master, timeout=60)
        told = reply.json()["results"]
        return told[::-1] if len(told) >= count else []

    made: list[dict[str, Any]] = until(found, "the rows are in the ledger")
    return made


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A certificate: the SDK opens its sessions over TLS alone, which a proxy has before a gateway."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.sign(key, SHA256()).public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    PEMS.update(certfile=str(folder / "cert.pem"), keyfile=str(folder / "key.pem"))
    return PEMS


#: Where the certificate is, once it was made.
PEMS: dict[str, str] = {}
pytestmark = pytest.mark.usefixtures("tls")


@asynccontextmanager
async def encrypted(gateway: Any) -> AsyncIterator[str]:
    """Have a gateway behind a proxy that ends TLS, and return where."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(**PEMS)
    port = int(gateway.url.rpartition(":")[2])

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pipe(reader, back), pipe(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@asynccontextmanager
async def session(gateway: Any, key: str, model: str = "live", **setup: Any) -> AsyncIterator[Any]:
    """A session of the SDK's."""
    async with httpx.AsyncClient(timeout=60) as http, encrypted(gateway) as url:
        trusted = {"ssl": ssl.create_default_context(cafile=PEMS["certfile"])}
        trusted["ssl"].check_hostname = False
        options = {"base_url": url, "httpx_async_client": http, "async_client_args": trusted}
        client = genai.Client(api_key=key, http_options=options)
        async with client.aio.live.connect(model=model, config={"response_modalities": ["TEXT"], **setup}) as made:
            yield made


async def ask(made: Any, *parts: Any) -> list[Any]:
    """Take a turn, and return what comes of it."""
    turn = {"role": "user", "parts": list(parts) or [{"text": "Hello?"}]}
    await made.send_client_content(turns=turn, turn_complete=True)
    return [message async for message in made.receive()]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run it, within a minute."""
    return asyncio.run(asyncio.wait_for(work, 60))


def test_a_turn_is_a_row_of_the_ledger(provider: Provider, gateway: Any) -> None:
    """Under the caller's key, for the model that the first message names, with what Google says was used."""
    key = key_of(gateway)

    async def talk() -> list[Any]:
        async with session(gateway, key) as made:
            assert made.session_id == "s"
            return [await ask(made), await ask(made)]

    first, second = run(talk())
    assert first[0].text == "Well, "
    assert (first[-1].server_content.turn_complete, second[-1].usage_metadata.total_token_count) == (True, 44)
    path, secret = provider.asked[-1]
    assert path.endswith("GenerativeService.BidiGenerateContent")
    assert secret == SECRET
    setup = next(told["setup"] for told in reversed(provider.heard) if "setup" in told)
    assert setup["model"] == "models/gemini-live-2.5"
    assert setup["generationConfig"] == {"responseModalities": ["TEXT"]}
    found = rows(gateway, key, 3)
    told = found[0]
    assert (told["operation"], told["surface"], told["model"], told["provider"]) == (
        "realtime",
        "gemini",
        "live",
        "gemini",
    )
    assert (told["prompt"], told["completion"]) == (30, 14)
    assert told["usage"]["audio_input"] == 20
    assert [round(one["spend"], 9) for one in found] == [told["spend"], told["spend"], 0]
    assert told["spend"] > 0


def test_a_limit_ends_a_session(provider: Provider, gateway: Any) -> None:
    """With Google's way to say so: the close and its reason."""
    key = key_of(gateway, rpm_limit=2)

    async def talk() -> None:
        async with session(gateway, key) as made:
            await ask(made)
            await ask(made)
            await ask(made)

    with pytest.raises((genai.errors.APIError, ConnectionClosed)) as ended:
        run(talk())
    assert "1008" in str(ended.value)


@pytest.mark.parametrize(
    ("model", "says"), [("nope", "No model group"), ("gpt", "no live sessions"), ("other", "may not use")]
)
def test_a_model_that_cannot_be_had_is_told(gateway: Any, model: str, says: str) -> None:
    """As Google tells it, when the first message has named it."""
    key = key_of(gateway, models=["live", "nope", "gpt"])

    async def talk() -> None:
        async with session(gateway, key, model):
            raise AssertionError("it began")

    with pytest.raises((genai.errors.APIError, ConnectionClosed), match=says):
        run(talk())


def test_a_stranger_gets_no_session(gateway: Any) -> None:
    """The handshake is refused."""

    async def talk() -> None:
        async with session(gateway, "sk-nobody"):
            raise AssertionError("it began")

    with pytest.raises(InvalidStatus) as refused:
        run(talk())
    assert refused.value.response.status_code == 401


def test_what_is_named_in_a_session_is_the_callers(provider: Provider, gateway: Any) -> None:
    """Files by their address, at any time; and a session has one beginning."""
    key = key_of(gateway)
    uri = "https://generativelanguage.googleapis.com/v1beta/files/others"

    async def talk(*, again: bool = False) -> None:
        async with session(gateway, key) as made:
            if again:
                await made._ws.send(json.dumps({"setup": {"model": "models/else"}}))
                await made._ws.recv()
            await ask(made, {"file_data": {"file_uri": uri, "mime_type": "text/plain"}})

    for again in (False, True):
        with pytest.raises((genai.errors.APIError, ConnectionClosed), match="1008"):
            run(talk(again=again))
    assert uri not in json.dumps(provider.heard)
    assert "models/else" not in json.dumps(provider.heard)


def test_guardrails_cannot_see_a_session(provider: Provider, start: Callable[..., Any]) -> None:
    """So there is none where one is always on."""
    rails = [
        {"guardrail_name": "words", "litellm_params": {"guardrail": "regex", "mode": "pre_call", "patterns": ["x"]}}
    ]
    guarded = start(config(provider.port, guardrails=rails))

    async def talk() -> None:
        async with session(guarded, MASTER):
            raise AssertionError("it began")

    with pytest.raises((genai.errors.APIError, ConnectionClosed), match="Guardrails cannot see"):
        run(talk())
