"""The cache in an object store: over HTTP against a server that speaks S3, and over stores of obstore's own."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest
from local_server import LocalServer
from obstore.store import LocalStore, MemoryStore, ObjectStore

from polyport import Client
from polyport.auth import Bearer
from polyport.caching import Cache
from polyport.dialects.openai import OpenAICompatible
from polyport.drivers.simulation import Simulation
from polyport.errors import BadRequestError
from polyport.testing import Wire
from polyport_s3 import S3Cache

ASK = [{"role": "user", "content": "hello"}]
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
ANSWER = {"id": "c1", "model": "m", "choices": [CHOICE]}


class Fake(OpenAICompatible):
    """Speaks OpenAI's dialect."""

    auth = Bearer()
    base_url = "http://fake.invalid/v1"


class Handler(BaseHTTPRequestHandler):
    """As much of S3 as a cache asks for. https://docs.aws.amazon.com/AmazonS3/latest/API/"""

    server: Bucket
    protocol_version = "HTTP/1.1"

    def _begin(self) -> tuple[str, dict[str, list[str]], bytes]:
        parts = urlsplit(self.path)
        bucket, _, name = unquote(parts.path).lstrip("/").partition("/")
        assert bucket == "answers"
        assert re.match(
            r"AWS4-HMAC-SHA256 Credential=me/\d{8}/eu-central-1/s3/aws4_request", self.headers["authorization"]
        )
        return (
            name,
            parse_qs(parts.query, keep_blank_values=True),
            self.rfile.read(int(self.headers.get("content-length", 0))),
        )

    def _end(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for header, value in {"content-length": str(len(body)), "etag": '"1"', **headers}.items():
            self.send_header(header.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        """Keep an object."""
        name, _, body = self._begin()
        self.server.objects[name] = body
        self._end(200)

    def do_GET(self) -> None:
        """Give an object, or a list of them."""
        name, query, _ = self._begin()
        if "list-type" in query:
            names = [one for one in sorted(self.server.objects) if one.startswith(query.get("prefix", [""])[0])]
            rows = "".join(
                f"<Contents><Key>{escape(one)}</Key><Size>1</Size><ETag>1</ETag>"
                "<LastModified>2026-11-23T00:00:00.000Z</LastModified></Contents>"
                for one in names
            )
            self._end(200, f"<ListBucketResult>{rows}<IsTruncated>false</IsTruncated></ListBucketResult>".encode())
        elif name in self.server.objects:
            self._end(200, self.server.objects[name], last_modified="Mon, 23 Nov 2026 00:00:00 GMT")
        else:
            self._end(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def do_POST(self) -> None:
        """Delete several objects."""
        _, query, body = self._begin()
        assert "delete" in query
        names = re.findall(r"<Key>(.*?)</Key>", body.decode())
        for one in names:
            self.server.objects.pop(one, None)
        gone = "".join(f"<Deleted><Key>{one}</Key></Deleted>" for one in names)
        self._end(200, f"<DeleteResult>{gone}</DeleteResult>".encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class Bucket(LocalServer):
    """A server with one bucket, `answers`."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.objects: dict[str, bytes] = {}


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    """A running server."""
    made = Bucket()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def over_http(bucket: Bucket) -> dict[str, Any]:
    """The settings for a server."""
    return {
        "bucket": "answers",
        "endpoint": bucket.address,
        "region": "eu-central-1",
        "access_key_id": "me",
        "secret_access_key": "never-shown",
    }


@pytest.fixture(params=["http", "memory", "folder"])
def store(request: pytest.FixtureRequest, bucket: Bucket, tmp_path: Any) -> S3Cache:
    """Each kind of object store."""
    if request.param == "http":
        return S3Cache(**over_http(bucket))
    objects: ObjectStore = MemoryStore() if request.param == "memory" else LocalStore(str(tmp_path))
    return S3Cache(objects=objects)


def run(flow: Any) -> Any:
    """Run a store's flow."""
    return Simulation(lambda request, now: pytest.fail("a store sends nothing")).run_flow(flow)


def test_a_store_keeps_and_forgets(store):
    """The whole interface; a namespace may be called as one likes."""
    assert run(store.get("a:1")) is None
    run(store.set("a:1", b"x", None))
    run(store.set_many({":1": b"y", "a%2Fb:1": b"z", "..:1": b"w", "a:2": b"v"}, 100.0))
    found = run(store.get_many(["a:1", ":1", "a%2Fb:1", "..:1", "b:1"]))
    assert [kept and kept.value for kept in found] == [b"x", b"y", b"z", b"w", None]
    assert 0 <= found[0].age < 60
    run(store.delete("a:1"))
    run(store.delete("a:1"))
    assert run(store.get("a:1")) is None
    run(store.clear("..:"))
    run(store.clear(":"))
    kept = run(store.get_many(["..:1", ":1", "a%2Fb:1", "a:2"]))
    assert [one is not None for one in kept] == [False, False, True, True]
    run(store.clear())
    assert run(store.get("a:2")) is None
    run(store.clear())


def test_what_expired_is_not_given(store):
    """Its time is in the object."""
    run(store.set("a:1", b"x", 0.0))
    assert run(store.get("a:1")) is None
    run(store.set("a:1", b"x", 60.0))
    assert run(store.get("a:1")) is not None


def test_answers_come_from_a_bucket(bucket):
    """For blocking code and for event loops."""
    cache, wire = Cache(type="s3", **over_http(bucket), prefix="mine", namespace="team"), Wire(lambda sent: ANSWER)
    with Client(http=wire, providers={"fake": Fake}, api_key="k", cache=cache) as client:
        assert not client.completion("fake/m", ASK).meta.cache_hit
        assert client.completion("fake/m", ASK).meta.cache_hit
        assert asyncio.run(client.acompletion("fake/m", ASK)).meta.cache_hit
        other = [{"role": "user", "content": "other"}]
        assert not asyncio.run(client.acompletion("fake/m", other)).meta.cache_hit
        assert client.completion("fake/m", other).meta.cache_hit
    assert len(wire.requests) == 2
    assert all(re.fullmatch("mine/team/[0-9a-f]{64}", name) for name in bucket.objects)
    cache.clear("team")
    assert bucket.objects == {}


def test_a_bucket_that_is_away_breaks_no_call(bucket, caplog):
    """It is said in one line, without a key."""
    settings = over_http(bucket) | {"endpoint": "http://127.0.0.1:9"}
    cache, wire = Cache(type="s3", **settings), Wire(lambda sent: ANSWER)
    with Client(http=wire, providers={"fake": Fake}, api_key="k", cache=cache) as client:
        for _ in range(2):
            assert not client.completion("fake/m", ASK).meta.cache_hit
    assert len(caplog.records) == 1
    assert "\n" not in caplog.records[0].getMessage()
    assert "never-shown" not in caplog.text


def test_names_that_users_know_from_elsewhere_are_understood(bucket):
    """Others are errors that list the right ones."""
    store = S3Cache(
        s3_bucket_name="answers",
        s3_region_name="eu-central-1",
        s3_endpoint_url=bucket.address,
        s3_aws_access_key_id="me",
        s3_aws_secret_access_key="x",
        s3_path="there",
    )
    run(store.set("a:1", b"x", None))
    assert list(bucket.objects) == ["there/a/1"]
    with pytest.raises(BadRequestError, match=r"no setting 's3_bucket'\. It has bucket"):
        S3Cache(s3_bucket="answers")
    with pytest.raises(BadRequestError, match="needs bucket"):
        Cache(type="s3")


def test_an_address_stands_for_its_parts():
    """Of any store that obstore knows."""
    store = S3Cache(url="memory:///")
    run(store.set("a:1", b"x", None))
    assert run(store.get("a:1")).value == b"x"
