"""Files on their way in: small ones as data: URLs, large ones through fal's storage.

https://fal.ai/docs/documentation/model-apis/media-files
"""

from __future__ import annotations

import msgspec

from polyport.flow import Flow, HttpReply, HttpRequest
from polyport.provider import decode
from polyport.types.record import Request
from polyport.types.upload import Upload
from polyport_fal.queue import Queue

#: Bytes that still go along in the request: as base64, with the rest, they stay well below the queue's limit.
LARGEST_INLINE = 4 * 1024 * 1024
#: Where an upload begins, as fal's own clients do it.
STORAGE = "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3"


class _Slot(msgspec.Struct):
    upload_url: str
    file_url: str


class Files(Queue):
    """Puts files where the queue's workers can read them."""

    def place(self, upload: Upload, request: Request) -> Flow[str]:
        """Return an address of the file. At somebody else's `api_base` it always goes along: the key is not fal's."""
        if upload.length <= LARGEST_INLINE or request.options.api_base:
            return upload.data_url()
        named = {"file_name": upload.filename, "content_type": upload.content_type}
        reply: HttpReply = yield self.post(STORAGE, json=named)
        slot = decode(reply, _Slot)
        yield HttpRequest(
            method="PUT",
            url=slot.upload_url,
            headers={"content-type": upload.content_type},
            content=upload.read(),
            unsigned=True,
        )
        return slot.file_url

    def download(self, url: str, *, stream: bool = False) -> HttpRequest:
        """Return the request for a file that a job made; whose host it is on does not matter, as no key goes along."""
        return HttpRequest(method="GET", url=url, stream=stream, unsigned=True)
