"""Files, which for Bedrock are objects in a bucket: `s3_bucket_name=` or AWS_S3_BUCKET_NAME."""

from __future__ import annotations

import hashlib
from typing import Any

from polyport.errors import NotFoundError
from polyport.flow import Body, Flow, HttpReply, HttpRequest, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.types.audio import Binary
from polyport.types.batch import FileDeleted, FileIdRequest, FileList, FileListRequest, FileObject, FileRequest
from polyport_bedrock import batch
from polyport_bedrock.settings import BUCKET, extras, wanted
from polyport_bedrock.storage import FOLDER, S3, Pieces, checked, plain, purpose_of, split, to_file, to_files

WHY = "Bedrock's files are kept in a bucket of yours"
#: An empty object has no first byte.
NO_BYTE = 416


class Files(S3):
    """Objects below `polyport/` in a bucket."""

    @hookimpl
    def create_file(self, request: FileRequest) -> Flow[FileObject]:
        """Upload a file; lines of a batch become Bedrock's, and the folder says what they are and who answers."""
        if request.expires_after is not None:
            request.unsupported("expires_after", "how long objects live is a rule of the bucket's")
        _nothing_else(request)
        upload = request.upload
        content: bytes | Body = Pieces(upload)
        folder, kind, named = request.purpose, upload.content_type, upload.filename
        if request.purpose == "batch":
            content, model, shape = yield from batch.to_lines(request, self.name)
            named = plain(named)
            folder, kind = f"batch/{shape}/{plain(model)}", "application/octet-stream"
        bucket = checked(wanted(request, BUCKET, WHY))
        uri = f"s3://{bucket}/{FOLDER}/{folder}/{_digest(content)}/{named}"
        reply = yield self.at("PUT", uri, content=content, headers={"content-type": kind})
        made = FileObject(
            id=uri,
            bytes=len(content) if isinstance(content, bytes) else content.length,
            filename=upload.filename,
            purpose=request.purpose,
            status="processed",
        )
        made.carry({"etag": reply.headers["etag"]} if "etag" in reply.headers else {})
        return made

    @hookimpl
    def retrieve_file(self, request: FileIdRequest) -> Flow[FileObject]:
        """Look a file up, by its first byte: that needs no more rights than to read it."""
        asked = self.at("GET", request.file_id, headers={"range": "bytes=0-0"})
        asked.expect = (NO_BYTE,)
        reply: HttpReply = yield asked
        return to_file(request.file_id, reply.headers, purpose_of(request.file_id))

    @hookimpl
    def list_files(self, request: FileListRequest) -> Flow[FileList]:
        """List files, by purpose where one is given; `after` is the `last_id` of the page before."""
        if request.order is not None:
            request.unsupported("order", "S3 lists by name")
        bucket = checked(wanted(request, BUCKET, WHY))
        prefix = f"{FOLDER}/{request.purpose}/" if request.purpose else f"{FOLDER}/"
        params: dict[str, Any] = {"prefix": prefix, "continuation-token": request.after, "max-keys": request.limit}
        reply = yield self.listing(bucket, **params, **extras(request))
        return to_files(reply, bucket)

    @hookimpl
    def delete_file(self, request: FileIdRequest) -> Flow[FileDeleted]:
        """Delete a file."""
        yield self.at("DELETE", request.file_id)
        return FileDeleted(id=request.file_id, deleted=True)

    @hookimpl
    def download_file(self, request: FileIdRequest) -> Flow[Binary | Streaming[bytes]]:
        """Fetch a file's bytes; a batch's results come as OpenAI's lines."""
        uri, kind = batch.results_of(request.file_id)
        if kind is not None:
            uri = yield from self._results(uri)
        reply: HttpReply = yield self.fetching(uri, stream=bool(request.stream))
        if kind is None:
            if request.stream:
                return Streaming(reply, Raw())
            said = reply.headers.get("content-type") or "application/octet-stream"
            return Binary(content=reply.content, content_type=said)
        lines = batch.ResultLines(kind, batch.shape_of(uri))
        if request.stream:
            return Streaming(reply, lines)
        return Binary(content=b"".join(lines.feed(reply.content) + lines.close()), content_type="application/jsonl")

    def fetching(self, uri: str, *, stream: bool) -> HttpRequest:
        """Return a request for an object's content."""
        made = self.at("GET", uri)
        made.stream = stream
        return made

    def _results(self, folder: str) -> Flow[str]:
        """Return the address of a job's results: the one file below its folder that is no manifest."""
        bucket, prefix = split(folder)
        listed = to_files((yield self.listing(bucket, prefix=prefix)), bucket)
        found = next((file.id for file in listed.data if file.id.endswith(".jsonl.out")), None)
        if found is None:
            raise NotFoundError(f"There are no results (yet) below {folder}.", status_code=404)
        return found


def _nothing_else(request: FileRequest) -> None:
    for name in extras(request):
        request.unsupported(name, "S3's objects take none; what else a bucket wants goes into extra_headers")


def _digest(content: bytes | Body) -> str:
    """Return a name for the content: the same content is kept once."""
    digest = hashlib.blake2b(digest_size=12)
    for piece in [content] if isinstance(content, bytes) else content:
        digest.update(piece)
    return digest.hexdigest()
