"""What a provider made: the bytes themselves, or an address where they are for some time."""

from __future__ import annotations

import base64

import msgspec

from polyport.flow import Flow
from polyport.remote import fetch
from polyport.types.upload import Upload, media_type


class Found(msgspec.Struct, frozen=True):
    """Something made. Either `url` or `content` is there."""

    url: str = ""
    content: bytes = b""
    kind: str = ""

    def upload(self) -> Flow[Upload]:
        """Return it as a file, fetched where it is an address; the key does not go along."""
        if self.url:
            return (yield from fetch(self.url))
        said = self.kind.partition(";")[0]
        kind = said if "/" in said and said != "application/octet-stream" else media_type("", self.content[:16])
        return Upload("file", self.content, kind)


def of_base64(text: str) -> Found:
    """Return what came as base64. Raises ValueError where it is none."""
    return Found(content=base64.b64decode(text, validate=True))
