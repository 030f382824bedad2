"""Reads a multipart form with the standard library's mail parser."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP

import httpx


def parts(request: httpx.Request):
    """Give (name, file name or None, media type, content) of each part."""
    head = b"content-type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
    for part in BytesParser(policy=HTTP).parsebytes(head + request.content).iter_parts():
        name = part.get_param("name", header="content-disposition")
        yield name, part.get_filename(), part.get_content_type(), part.get_payload(decode=True)


def fields(request: httpx.Request) -> dict[str, str]:
    """Return the fields that are not files; one given several times is joined by commas."""
    found: dict[str, list[str]] = {}
    for name, filename, _, content in parts(request):
        if filename is None:
            found.setdefault(name, []).append(content.decode())
    return {name: ",".join(values) for name, values in found.items()}


def files(request: httpx.Request):
    """Return (name, file name, media type, content) of each file."""
    return [part for part in parts(request) if part[1] is not None]
