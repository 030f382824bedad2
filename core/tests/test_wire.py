"""Bytes to events and values to bytes, cut and mixed by hypothesis."""

from __future__ import annotations

import base64
from email import message_from_bytes
from email.policy import HTTP
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from polyport import ids
from polyport.errors import BadRequestError
from polyport.types.batch import as_json_lines
from polyport.types.upload import Upload, media_type, split_data_url
from polyport.wire.multipart import Multipart
from polyport.wire.ndjson import Lines
from polyport.wire.sse import SSE

FAST = settings(max_examples=60, deadline=None)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Return the data in pieces."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(edges)]


def feed(parser, pieces):
    """Give a parser pieces, then the end."""
    return [found for piece in pieces for found in parser.feed(piece)] + parser.close()


# --- server-sent events ---

LINE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)
ENDS = st.sampled_from(["\n", "\r", "\r\n"])
NAMES = st.sampled_from(["", "message", "error", "response.done"])
COMMENTS = st.sampled_from(["", ": keep-alive", ":", "id: 7", "retry: 100", "unknown: x", "nonsense"])


@st.composite
def streams(draw) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """A stream as a server might write it, and the events it holds."""
    end = draw(ENDS)
    text, events = draw(st.sampled_from(["", "\ufeff"])), []
    for _ in range(draw(st.integers(0, 5))):
        name, lines = draw(NAMES), draw(st.lists(LINE, max_size=3))
        noise = draw(COMMENTS)
        if noise:
            text += noise + end
        if name:
            text += f"event: {name}{end}"
        for line in lines:
            space = " " if line.startswith(" ") else draw(st.sampled_from(["", " "]))
            text += f"data:{space}{line}{end}"
        text += end * draw(st.integers(1, 3))
        if lines:
            events.append((name.encode(), "\n".join(lines).encode()))
    return text.encode(), events


@FAST
@given(streams(), st.lists(st.integers(0, 500), max_size=8))
def test_events_are_the_same_wherever_the_stream_is_cut(stream, places):
    """LF, CR or CRLF; comments, ids, unknown fields, several data lines, a byte order mark, blank lines."""
    data, events = stream
    assert feed(SSE(), cut(data, places)) == events
    assert feed(SSE(), [data[i : i + 1] for i in range(len(data))]) == events


@FAST
@given(streams(), st.lists(st.integers(0, 500), max_size=4))
def test_a_last_event_without_its_blank_line_is_still_one(stream, places):
    """Some servers leave it out."""
    data, events = stream
    assert feed(SSE(), cut(data.rstrip(b"\r\n"), places)) == events or not events or data.endswith(b"data:\n\n")


def test_a_long_event_in_small_pieces_is_not_copied_with_each():
    """A base64 image of 8 MB in pieces of 4 kB is joined once: with each, 8 GB would be copied."""
    import time

    data = b"data: " + b"x" * 8_000_000 + b"\n\n"
    pieces = [data[i : i + 4096] for i in range(0, len(data), 4096)]
    start = time.process_time()  # the processor's time: a busy machine takes no more of it
    found = feed(SSE(), pieces)
    assert time.process_time() - start < 2
    assert found == [(b"", data[6:-2])]


# --- JSON lines ---


@FAST
@given(st.lists(st.dictionaries(LINE, LINE, max_size=2)), st.sampled_from([b"\n", b"\r\n", b"\n\n"]), st.booleans(),
       st.lists(st.integers(0, 500), max_size=8))  # fmt: skip
def test_lines_are_the_same_wherever_the_stream_is_cut(values, end, ended, places):
    """Blank ones are left out, the last needs no line feed."""
    data = end.join(msgspec.json.encode(value) for value in values) + (end if ended else b"")
    assert [msgspec.json.decode(line) for line in feed(Lines(), cut(data, places))] == values


@FAST
@given(st.lists(st.dictionaries(LINE, LINE, max_size=2), max_size=4), st.integers(0, 4))
def test_a_json_array_becomes_json_lines(values, indent):
    """However it was laid out; lines stay as they are."""
    array = msgspec.json.format(msgspec.json.encode(values), indent=indent)
    made = as_json_lines(Upload("batch.json", array))
    assert [msgspec.json.decode(line) for line in made.read().splitlines()] == values
    assert (made.filename, made.content_type) == ("batch.jsonl", "application/jsonl")
    assert as_json_lines(made) is made


# --- multipart ---

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAME = st.text("abcXYZ09_-[]\"' \u00e9\u4e2d", min_size=1, max_size=12)
VALUE = TEXT | st.binary(max_size=40) | st.booleans() | st.integers(-9, 9) | st.dictionaries(TEXT, TEXT, max_size=2)


def parse(form: Multipart) -> list[tuple[bytes, bytes, bytes | None]]:
    """Read a form back: name, content and content type of each part. RFC 7578 by hand, as browsers write it."""
    body = b"".join(form)
    assert len(body) == form.length
    found = []
    for part in body.split(f"--{form.boundary}".encode())[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        name = lines[0].split(b'name="')[1].split(b'"')[0]
        kind = lines[1].removeprefix(b"Content-Type: ") if len(lines) > 1 else None
        assert len(lines) <= 2
        found.append((name, content[:-2], kind))
    return found


@FAST
@given(st.lists(st.tuples(NAME, VALUE), max_size=4))
def test_a_form_is_read_back_as_it_was_written(fields):
    """Names and values of every kind; its length is known before it is sent; twice the same."""
    form = Multipart(fields, boundary="0123456789abcdef")
    assert b"".join(form) == b"".join(form)
    read = parse(form)
    assert [name.decode() for name, _, _ in read] == [name.replace('"', "%22") for name, _ in fields]
    for (_, content, kind), (_, given_value) in zip(read, fields, strict=True):
        assert kind is None
        if isinstance(given_value, bytes):
            assert content == given_value
        elif isinstance(given_value, str):
            assert content.decode() == given_value
        else:
            assert msgspec.json.decode(content) == given_value


@FAST
@given(st.binary(max_size=300), st.text('ab "\r\n;\u00e9.', min_size=1, max_size=10), st.text("ab/;= \r\n", max_size=9))
def test_a_file_part_cannot_break_out_of_its_headers(content, filename, kind):
    """Whatever its name and type are."""
    form = Multipart([("file", Upload(filename, content, kind or None)), ("after", "x")], boundary="0123456789abcdef")
    message = message_from_bytes(f"content-type: {form.content_type}\r\n\r\n".encode() + b"".join(form), policy=HTTP)
    file, after = message.iter_parts()
    assert [name.lower() for name in file] == ["content-disposition", "content-type"]
    assert after.get_payload(decode=True) == b"x"
    assert parse(form)[0][1] == content


# --- uploads ---


@FAST
@given(st.binary(max_size=200), st.booleans(), st.booleans(), st.booleans())
def test_a_data_url_gives_its_bytes_back(content, padded, wrapped, upper):
    """Padded or not, wrapped or not: as browsers read it."""
    encoded = base64.b64encode(content).decode()
    encoded = encoded if padded else encoded.rstrip("=")
    encoded = "\n".join(encoded[i : i + 60] for i in range(0, len(encoded), 60)) if wrapped else encoded
    url = f"data:image/png;{'BASE64' if upper else 'base64'},{encoded}"
    assert split_data_url(url) == ("image/png", content)
    assert Upload.of(url).read() == content
    assert split_data_url(Upload.of(content).data_url())[1] == content


def test_a_data_url_without_base64_is_percent_encoded():
    """And plain text where it does not say."""
    assert split_data_url("data:,a%20b%00") == ("text/plain", b"a b\x00")
    assert split_data_url("data:text/html;charset=utf-8,%3Cp%3E") == ("text/html", b"<p>")
    assert split_data_url("data:image/png;base64,YQ%3D%3D") == ("image/png", b"a")
    for wrong in ("data:nothing", "data:a;base64,a", "data:a;base64,a*b="):
        with pytest.raises(BadRequestError):
            split_data_url(wrong)


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("x", b"\x89PNG\r\n\x1a\n....", "image/png"),
        ("x.txt", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("x", b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        ("x", b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        ("x", b"\x00\x00\x00\x18ftypM4A ", "audio/mp4"),
        ("x", b"\x00\x00\x00\x18ftypisom", "video/mp4"),
        ("x", b"%PDF-1.7", "application/pdf"),
        ("x", b"ID3\x04", "audio/mpeg"),
        ("x", b"OggS", "audio/ogg"),
        ("lines.jsonl", b"{}", "application/jsonl"),
        ("x.mp3", b"", "audio/mpeg"),
        ("x", b"", "application/octet-stream"),
    ],
)
def test_a_file_s_type_is_told_by_its_first_bytes_then_by_its_name(name, head, kind):
    """Some users' names lie."""
    assert media_type(name, head) == kind


@pytest.mark.parametrize(
    ("value", "name", "kind"),
    [
        (b"%PDF-1.7", "image.pdf", "application/pdf"),
        (bytearray(b"ab"), "image", "application/octet-stream"),
        (("a.png", b"x"), "a.png", "image/png"),
        (("a.bin", b"x", "audio/x-own"), "a.bin", "audio/x-own"),
        (["a.txt", "text"], "a.txt", "text/plain"),
        ("data:image/png;base64,eA==", "file.png", "image/png"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "image.wav", "audio/wav"),
    ],
)
def test_an_upload_is_read_from_whatever_a_user_gives(value, name, kind):
    """Bytes, pairs, triples, data: URLs; a name fits its content."""
    upload = Upload.of(value, "image")
    assert (upload.filename, upload.content_type) == (name, kind)
    assert upload.length == len(upload.read())
    assert Upload.of(upload) is upload
    assert "eA==" not in repr(upload)


# --- ids ---

ISSUED = st.builds(ids.Issued, provider=LINE, id=LINE, model=LINE)


@FAST
@given(ISSUED)
def test_an_issued_id_carries_what_it_was_given(issued):
    """It is one word that fits a URL; issuing it again changes nothing."""
    text = ids.issue(issued)
    assert ids.read(text) == (ids.read(issued.id) or issued)
    assert text == issued.id or text.replace("-", "_").isidentifier()
    assert ids.issue(ids.Issued(provider="other", id=text)) == text


@FAST
@given(st.text(max_size=20) | st.binary(max_size=20).map(lambda b: base64.urlsafe_b64encode(b).decode()))
def test_an_id_that_was_not_issued_here_passes_as_it_is(text):
    """Nor does a broken one raise."""
    assert text.startswith((ids.VIDEO, ids.MESSAGES)) or ids.read(text) is None
    for prefix in (ids.VIDEO, ids.MESSAGES):
        assert ids.read(prefix + text) is None or isinstance(ids.read(prefix + text), ids.Issued)
