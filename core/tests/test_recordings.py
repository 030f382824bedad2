"""Recordings as users give them: a file, or an address for the providers that fetch one themselves."""

from __future__ import annotations

import pytest

from polyport.errors import BadRequestError
from polyport.types.audio import TranscriptionRequest


def asked(file: object) -> TranscriptionRequest:
    """A request that has been checked."""
    request = TranscriptionRequest(model="m", file=file)
    request.check()
    return request


@pytest.mark.parametrize("address", ["https://example.com/talk.mp3", "http://localhost/talk.mp3"])
def test_an_address_is_told_from_a_path(address):
    """Nobody tries to open it, and a provider that wants a file to send says what to do."""
    request = asked(address)
    assert request.url == address
    with pytest.raises(BadRequestError, match=r"give the bytes.*\$\.file"):
        _ = request.upload


def test_a_file_has_no_address(tmp_path):
    """Bytes, and a path."""
    path = tmp_path / "talk.mp3"
    path.write_bytes(b"ID3")
    for file in (b"ID3", str(path), ("talk.mp3", b"ID3")):
        request = asked(file)
        assert request.url is None
        assert request.upload.read() == b"ID3"
    with pytest.raises(BadRequestError, match="Cannot read the file"):
        asked("httpx://nowhere.mp3")
