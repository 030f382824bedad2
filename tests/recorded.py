"""Reads recorded provider traffic, one xz file a provider, from `../shared/recorded` beside the repository.

The traffic is not part of the repository; tests that need it are skipped where it is not.
"""

from __future__ import annotations

import base64
import json
import lzma
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent.parent / "shared" / "recorded"

needs_recordings = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"recorded provider traffic is not here ({FOLDER}); these tests replay it"
)


@cache
def records(provider: str) -> list[dict[str, Any]]:
    """Return a provider's exchanges, each as {endpoint, request, response, features, source, shortened}."""
    with lzma.open(FOLDER / f"{provider}.jsonl.xz", "rt") as lines:
        return [json.loads(line) for line in lines]


def payload(record: dict[str, Any]) -> bytes:
    """Return the bytes of the recorded reply."""
    body = record["response"]["body"] or {}
    if "json" in body:
        return json.dumps(body["json"], ensure_ascii=False).encode()
    if "chunks" in body:
        return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in body["chunks"])
    if "b64" in body:
        return base64.b64decode(body["b64"])
    return (body.get("sse") or body.get("text") or "").encode()


def is_stream(record: dict[str, Any]) -> bool:
    """Whether the reply was a stream of events."""
    return not {"sse", "chunks"}.isdisjoint(record["response"]["body"] or ())


def status(record: dict[str, Any]) -> int:
    """Return the status; where only the body was recorded, it is taken for a success."""
    return record["response"]["status"] or 200


def cut(data: bytes, random: Random | None = None) -> Iterator[bytes]:
    """Cut bytes at random places, or, without `random`, at every byte."""
    at = 0
    while at < len(data):
        size = random.choice((1, 2, 3, 7, 40, 200, 1000)) if random else 1
        yield data[at : at + size]
        at += size


def events(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the JSON of a stream's events, read with nothing but `json` and string methods."""
    body = record["response"]["body"]
    if "chunks" in body:
        return body["chunks"]
    lines = body["sse"].replace("\r\n", "\n").split("\n")
    return [json.loads(line[5:]) for line in lines if line.startswith("data:") and line[5:].strip() != "[DONE]"]
