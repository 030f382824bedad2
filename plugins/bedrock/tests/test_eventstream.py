"""Frames: cut anywhere, damaged, of exceptions, of types that nobody reads."""

from __future__ import annotations

import struct
from random import Random
from zlib import crc32

import pytest

from polyport import errors
from polyport.testing import Reply, Wire
from polyport_bedrock.conformance import STREAM, frame
from polyport_bedrock.eventstream import Frames
from polyport_bedrock.stream import ConverseEvents

ASK = [{"role": "user", "content": "x"}]
HEAD = frame("messageStart", {"role": "assistant"}) + frame(
    "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}}
)


def test_frames_are_read_as_botocore_reads_them():
    """Headers of every type stand in a frame; those that are text are kept."""
    eventstream = pytest.importorskip("botocore.eventstream")
    values = [b"\x00", b"\x01", b"\x02\x05", b"\x03\x00\x05", b"\x04\x00\x00\x00\x05", b"\x05" + bytes(8),
              b"\x06\x00\x03abc", b"\x07\x00\x04text", b"\x08" + bytes(8), b"\x09" + bytes(16)]  # fmt: skip
    head = b"".join(b"\x02" + f"h{number}".encode() + value for number, value in enumerate(values))
    prelude = struct.pack(">II", 16 + len(head) + 2, len(head))
    data = prelude + struct.pack(">I", crc32(prelude)) + head + b"{}"
    data += struct.pack(">I", crc32(data))
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(data)
    (theirs,) = list(buffer)
    (ours,) = Frames().feed(data)
    assert ours.headers == {"h7": "text"} == {"h7": theirs.headers["h7"]}
    assert ours.payload == theirs.payload == b"{}"


def test_a_stream_cut_at_every_byte_gives_the_same_frames():
    """Wherever it is cut, and however many frames a piece holds."""
    whole = Frames().feed(STREAM.content)
    assert len(whole) == 14
    one_by_one = Frames()
    assert [
        found for at in range(len(STREAM.content)) for found in one_by_one.feed(STREAM.content[at : at + 1])
    ] == whole
    assert one_by_one.is_empty
    random = Random(3)
    for _ in range(200):
        frames, found, at = Frames(), [], 0
        while at < len(STREAM.content):
            size = random.choice((1, 5, 11, 12, 13, 90, 400))
            found += frames.feed(STREAM.content[at : at + size])
            at += size
        assert found == whole


@pytest.mark.parametrize("place", [0, 3, 5, 9, 14, 40, len(HEAD) - 2])
def test_a_damaged_byte_is_noticed(place):
    """Each checksum is verified: of the lengths, and of the whole."""
    broken = bytearray(HEAD)
    broken[place] ^= 0x40
    with pytest.raises(errors.InvalidResponseError):
        Frames().feed(bytes(broken))


def test_what_is_no_event_stream_is_said_to_be_none():
    """A page of a proxy's, and a frame that lies about its size."""
    with pytest.raises(errors.InvalidResponseError, match="<!DOCTYPE"):
        Frames().feed(b"<!DOCTYPE html><html></html>")
    prelude = struct.pack(">II", 1 << 30, 0)
    with pytest.raises(errors.InvalidResponseError, match="1073741824 bytes"):
        Frames().feed(prelude + struct.pack(">I", crc32(prelude)))
    head = b"\x02h1\x63"
    prelude = struct.pack(">II", 16 + len(head), len(head))
    data = prelude + struct.pack(">I", crc32(prelude)) + head
    with pytest.raises(errors.InvalidResponseError, match="headers"):
        Frames().feed(data + struct.pack(">I", crc32(data)))


@pytest.mark.parametrize(
    ("name", "kind", "status"),
    [
        ("throttlingException", errors.RateLimitError, 429),
        ("modelStreamErrorException", errors.InternalServerError, 424),
        ("internalServerException", errors.InternalServerError, 500),
        ("serviceUnavailableException", errors.ServiceUnavailableError, 503),
        ("validationException", errors.BadRequestError, 400),
        ("modelTimeoutException", errors.Timeout, 408),
        ("somethingNewException", errors.InternalServerError, 500),
    ],
)
def test_an_exception_in_the_stream_is_an_error_of_its_kind(connect, name, kind, status):
    """What came before it is given first; before any content it can still be tried again."""
    wire = Wire(Reply.of(HEAD + frame(name, {"message": "No more"}, message="exception")))
    with connect(wire) as asked:
        stream = asked.completion("bedrock/amazon.nova-lite-v1:0", ASK, stream=True)
        assert next(stream).choices[0].delta.role == "assistant"
        with pytest.raises(kind, match="No more") as raised:
            list(stream)
    assert (raised.value.status_code, raised.value.provider) == (status, "bedrock")


def test_an_error_frame_without_a_type_tells_its_code():
    """AWS' other kind of failure: code and message are headers."""
    head = b"".join(
        bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value
        for name, value in ((b":message-type", b"error"), (b":error-code", b"Broken"), (b":error-message", b"It broke"))
    )
    prelude = struct.pack(">II", 16 + len(head), len(head))
    data = prelude + struct.pack(">I", crc32(prelude)) + head
    with pytest.raises(errors.InternalServerError, match="Broken: It broke"):
        ConverseEvents("m").feed(data + struct.pack(">I", crc32(data)))


@pytest.mark.parametrize("payload", [b"{", b"\xff\xfe", b"[]", b'{"contentBlockIndex": 0}', b'{"delta": {"text": 7}}'])
def test_an_event_that_cannot_be_read_is_named(payload):
    """Not JSON, or not of the promised shape."""
    with pytest.raises(errors.InvalidResponseError, match="cannot be read"):
        ConverseEvents("m").feed(frame("contentBlockDelta", payload))


def test_events_that_are_not_known_are_passed_over():
    """AWS adds kinds of events."""
    events = ConverseEvents("m")
    assert events.feed(frame("somethingNew", {"a": 1})) == []
    with pytest.raises(errors.APIConnectionError, match="before it was complete"):
        events.close()


def test_a_stream_that_ends_in_a_frame_was_cut_off():
    """Even behind its stop."""
    events = ConverseEvents("m")
    events.feed(HEAD + frame("messageStop", {"stopReason": "end_turn"}) + STREAM.content[:20])
    with pytest.raises(errors.APIConnectionError, match="middle of a frame"):
        events.close()
    calm = ConverseEvents("m")
    calm.feed(HEAD + frame("messageStop", {"stopReason": "end_turn"}))
    assert [chunk.choices[0].finish_reason for chunk in calm.close()] == ["stop"]
