"""Files, which on Vertex AI are objects in a bucket of Cloud Storage: `gcs_bucket_name=` or GCS_BUCKET_NAME."""

from __future__ import annotations

import hashlib
from typing import Any

from polyport.flow import Flow, HttpReply, HttpRequest, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.types.audio import Binary
from polyport.types.batch import FileDeleted, FileIdRequest, FileList, FileListRequest, FileObject, FileRequest
from polyport.types.upload import Upload
from polyport_gemini.files import Pieces
from polyport_gemini.wire import ContentWire
from polyport_vertex import batch
from polyport_vertex.settings import VERTEX
from polyport_vertex.storage import FOLDER, HOST, media, place, to_file, to_files


class Files(ContentWire):
    """Objects below `polyport/` in a bucket."""

    @hookimpl
    def create_file(self, request: FileRequest) -> Flow[FileObject]:
        """Upload a file; lines of a batch become Vertex AI's, and the folder says what they are."""
        if request.expires_after is not None:
            request.unsupported("expires_after", "how long objects live is a rule of the bucket's")
        content, folder = request.upload, request.purpose
        if request.purpose == "batch":
            lines, model = yield from batch.to_lines(request, self.name, self.door)
            content, folder = Upload(content.filename, lines, "application/octet-stream"), f"batch/{model}"
        reply = yield self._upload(request, content, folder)
        return to_file(reply, request.purpose)

    def _upload(self, request: FileRequest, content: Upload, folder: str) -> HttpRequest:
        name = f"{FOLDER}/{folder}/{_digest(content)}/{content.filename}"
        params: dict[str, Any] = {"uploadType": "media", "name": name, **VERTEX.extras(request)}
        made = self.request("POST", f"{HOST}/upload/storage/v1/b/{{bucket}}/o", params=params)
        made.content = Pieces(content)
        made.headers = {**made.headers, "content-type": content.content_type}
        return made

    @hookimpl
    def retrieve_file(self, request: FileIdRequest) -> Flow[FileObject]:
        """Look a file up."""
        return to_file((yield self.get(place(request.file_id))))

    @hookimpl
    def list_files(self, request: FileListRequest) -> Flow[FileList]:
        """List files, by purpose where one is given; `after` is the `last_id` of the page before."""
        if request.order is not None:
            request.unsupported("order", "Cloud Storage lists by name")
        prefix = f"{FOLDER}/{request.purpose}/" if request.purpose else f"{FOLDER}/"
        params = {"prefix": prefix, "maxResults": request.limit, "pageToken": request.after}
        return to_files((yield self.get(f"{HOST}/storage/v1/b/{{bucket}}/o", params=params)))

    @hookimpl
    def delete_file(self, request: FileIdRequest) -> Flow[FileDeleted]:
        """Delete a file."""
        yield self.delete(place(request.file_id))
        return FileDeleted(id=request.file_id, deleted=True)

    @hookimpl
    def download_file(self, request: FileIdRequest) -> Flow[Binary | Streaming[bytes]]:
        """Fetch a file's bytes; a batch's results come as OpenAI's lines."""
        uri, kind = batch.results_of(request.file_id)
        reply: HttpReply = yield self.get(media(uri), stream=request.stream)
        if kind is None:
            if request.stream:
                return Streaming(reply, Raw())
            return Binary(
                content=reply.content, content_type=reply.headers.get("content-type") or "application/octet-stream"
            )
        lines = batch.Results(kind)
        if request.stream:
            return Streaming(reply, lines)
        return Binary(content=b"".join(lines.feed(reply.content) + lines.close()), content_type="application/jsonl")


def _digest(content: Upload) -> str:
    """Return a name for the content: the same content is kept once."""
    digest = hashlib.blake2b(digest_size=12)
    for piece in content:
        digest.update(piece)
    return digest.hexdigest()
