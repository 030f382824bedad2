"""The parser alone: whatever way a reply is cut, and whatever comes instead of one."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given, settings, strategies as st

from polyport_reqwest.answer import LONGEST, Answer, Broken, Undecodable

PACKED = gzip.compress(b"hello " * 20)
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n"
#: Name -> (method, what is on the wire, whether the connection then ends; status, headers, body, reusable).
REPLIES = {
    "content-length": (
        ("POST", b"HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\nB:\r\nContent-Length: 5\r\n\r\nhello", False),
        (200, {"a": "1, 2", "b": "", "content-length": "5"}, b"hello", True),
    ),
    "chunked, with an extension and trailers": (
        ("POST", CHUNKED + b"\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nx-after: 1\r\n\r\n", False),
        (200, {"transfer-encoding": "chunked"}, b"hello", True),
    ),
    "until the end": (("GET", b"HTTP/1.1 200 OK\r\n\r\nhello", True), (200, {}, b"hello", False)),
    "HTTP/1.0": (
        ("GET", b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", False),
        (200, {"content-length": "5"}, b"hello", False),
    ),
    "HTTP/1.0, kept": (
        ("GET", b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi", False),
        (200, {"connection": "keep-alive", "content-length": "2"}, b"hi", True),
    ),
    "close": (
        ("GET", b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi", False),
        (200, {"connection": "close", "content-length": "2"}, b"hi", False),
    ),
    "204": (("POST", b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n", False), (204, {"x": "y"}, b"", True)),
    "304": (
        ("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\n\r\n", False),
        (304, {"content-length": "99"}, b"", True),
    ),
    "HEAD": (
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n", False),
        (200, {"content-length": "99"}, b"", True),
    ),
    "interim replies": (
        (
            "POST",
            b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 H\r\nlink: x\r\n\r\nHTTP/1.1 201 A\r\ncontent-length: 2\r\n\r\nhi",
            False,
        ),
        (201, {"content-length": "2"}, b"hi", True),
    ),
    "gzip": (
        ("GET", CHUNKED + b"content-encoding: GZip\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(PACKED), PACKED), False),
        (200, {"transfer-encoding": "chunked", "content-encoding": "GZip"}, b"hello " * 20, True),
    ),
    "deflate without its wrapper": (
        ("GET", b"HTTP/1.1 200 OK\r\ncontent-encoding: deflate\r\n\r\n" + zlib.compress(b"hello", wbits=-15), True),
        (200, {"content-encoding": "deflate"}, b"hello", False),
    ),
    "an encoding that is not known": (
        ("GET", b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 2\r\n\r\n\x0b\x02", False),
        (200, {"content-encoding": "br", "content-length": "2"}, b"\x0b\x02", True),
    ),
}


def read(answer: Answer, method: str, pieces: list[bytes], ended: bool) -> tuple[int, dict[str, str], bytes, bool]:
    """Feed pieces, taking what there is after each, and return what became of them."""
    answer.expect(method)
    body = b""
    for piece in pieces:
        answer.feed(piece)
        body += answer.take() if answer.began else b""
    if ended:
        assert not answer.complete
        answer.feed(b"")
        body += answer.take()
    assert answer.complete
    return answer.status, answer.headers, body, answer.reusable


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_may_be_cut_anywhere(name):
    """In two at every byte, and in single bytes; always the same reply."""
    (method, wire, ended), expected = REPLIES[name]
    for cut in range(1, len(wire)):
        assert read(Answer(), method, [wire[:cut], wire[cut:]], ended) == expected
    assert read(Answer(), method, [bytes([byte]) for byte in wire], ended) == expected


@settings(deadline=None)
@given(st.data())
def test_replies_follow_one_another_on_a_connection(data):
    """Any that leave it reusable, each cut in any way, with the same parser."""
    answer = Answer()
    for name in data.draw(st.lists(st.sampled_from([n for n, (_, said) in REPLIES.items() if said[3]]), max_size=6)):
        (method, wire, ended), expected = REPLIES[name]
        cuts = sorted(data.draw(st.sets(st.integers(1, len(wire) - 1), max_size=5)))
        pieces = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
        assert read(answer, method, pieces, ended) == expected


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=300), st.sampled_from(list(REPLIES)), st.integers(0, 60))
def test_whatever_comes_is_a_reply_or_an_error_of_ours(noise, name, at):
    """Noise at any place in a reply raises Broken or Undecodable, or makes another reply; never anything else."""
    (method, wire, _), _ = REPLIES[name]
    answer = Answer(method)
    try:
        answer.feed(wire[:at] + noise + wire[at:])
        answer.take()
        answer.feed(b"")
        answer.take()
    except (Broken, Undecodable):
        return
    assert answer.complete
    assert not answer.reusable


@pytest.mark.parametrize("name", [name for name, ((_, _, ended), _) in REPLIES.items() if not ended])
def test_a_reply_that_ends_early_is_broken(name):
    """At every byte but the last; a reply to HEAD and its like has no body to miss."""
    (method, wire, _), _ = REPLIES[name]
    for cut in range(len(wire)):
        answer = Answer(method)
        with pytest.raises(Broken, match="closed before"):
            answer.feed(wire[:cut]) if cut else None
            answer.feed(b"")


def test_more_than_was_announced_spoils_the_connection():
    """It is an error where it cannot be a reply, and never the beginning of the next one."""
    wire, answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", Answer("GET")
    with pytest.raises(Broken, match="not HTTP"):
        answer.feed(wire + b" more")
    answer = Answer("GET")
    answer.feed(wire + wire)
    assert (answer.take(), answer.reusable) == (b"hi", False)


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        CHUNKED + b"\r\nzz\r\n",
        CHUNKED + b"\r\n-1\r\n",
        CHUNKED + b"\r\n1\r\nabc\r\n",
        CHUNKED + b"\r\nfffffffffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na\0b: c\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"<html>",
    ],
)
def test_what_is_no_reply_is_broken(wire):
    """Lengths that contradict each other, chunks that are none, lines that are none."""
    answer = Answer("GET")
    with pytest.raises(Broken):
        answer.feed(wire)
        answer.feed(b"")
    assert not answer.reusable


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"HTTP/1.1 200 OK\r\nx: ", b"a" * 8192),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 1000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 200),
        (CHUNKED + b"\r\n1\r\na\r\n0\r\n", b"after: b\r\n" * 1000),
        (CHUNKED + b"\r\n1;", b"a" * 8192),
    ],
    ids=["a header", "headers", "interim replies", "trailers", "an extension"],
)
def test_framing_without_end_is_broken(begin, more):
    """No server may fill the memory with what is not a body."""
    answer = Answer("GET")
    answer.feed(begin + more)
    with pytest.raises(Broken, match=r"256 KiB of headers"):
        for _ in range(LONGEST // len(more) + 1):
            answer.feed(more)


def test_a_long_body_is_not_framing():
    """However long it is, and however small its chunks."""
    answer = Answer("GET")
    answer.feed(CHUNKED + b"\r\n")
    for _ in range(100):
        answer.feed(b"1\r\na\r\n" * 2000)
    answer.feed(b"0\r\n\r\n")
    assert (len(answer.take()), answer.complete, answer.reusable) == (200_000, True, True)
