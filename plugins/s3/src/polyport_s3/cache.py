"""The cache's store: one object an entry, by `obstore`. https://developmentseed.org/obstore/latest/api/get/"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import obstore
from obstore.store import ObjectStore, S3Store, from_url

from polyport.caching import Kept, Store
from polyport.errors import BadRequestError
from polyport.flow import Call, Flow

#: An object begins with when it was made and when its time is over, in seconds since 1970 by its maker's clock.
TIMES = struct.Struct("<dd")
NEVER = float("inf")
#: Names that users know from elsewhere -> ours.
ALIASES: Mapping[str, str] = {
    "s3_bucket_name": "bucket",
    "s3_path": "prefix",
    "s3_region_name": "region",
    "s3_endpoint_url": "endpoint",
    "s3_aws_access_key_id": "access_key_id",
    "s3_aws_secret_access_key": "secret_access_key",
    "s3_aws_session_token": "session_token",
}
#: Settings that are the object store's own.
OWN = ("region", "endpoint", "access_key_id", "secret_access_key", "session_token")
#: How many objects are deleted in one request: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
AT_ONCE = 1000


class S3Cache(Store):
    """Keeps entries as objects; how many is not bounded. Settings: see the README. `objects` is a store of your own."""

    def __init__(
        self,
        *,
        bucket: str | None = None,
        url: str | None = None,
        objects: ObjectStore | None = None,
        prefix: str = "polyport",
        region: str | None = None,
        endpoint: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        session_token: str | None = None,
        timeout: float = 5.0,
        **aliases: str,
    ) -> None:
        given = dict(zip(OWN, (region, endpoint, access_key_id, secret_access_key, session_token), strict=True))
        settings = {"bucket": bucket, "prefix": prefix, **given, **_named(aliases)}
        self._root = str(settings.pop("prefix")).strip("/")
        self._objects = objects if objects is not None else _open(url, settings, timeout)

    def get(self, key: str) -> Flow[Kept | None]:
        """Return what is kept under a key, if its time is not over."""
        objects, path = self._objects, self._path(key)

        async def aget() -> bytes:
            return bytes(await (await obstore.get_async(objects, path)).bytes_async())

        try:
            value: bytes = yield Call(lambda: bytes(obstore.get(objects, path).bytes()), aget)
        except FileNotFoundError:
            return None
        return _kept(value)

    def set(self, key: str, value: bytes, ttl: float | None) -> Flow[None]:
        """Keep a value."""
        objects, path, now = self._objects, self._path(key), time.time()
        content = TIMES.pack(now, NEVER if ttl is None else now + ttl) + value
        yield Call(lambda: obstore.put(objects, path, content), lambda: obstore.put_async(objects, path, content))

    def delete(self, key: str) -> Flow[None]:
        """Forget a key."""
        yield from self._delete([self._path(key)])

    def clear(self, prefix: str = "") -> Flow[None]:
        """Forget every key that begins with `prefix`."""
        objects = self._objects
        start = f"{self._root}/{_spelled(prefix)}".lstrip("/")
        folder = start.rpartition("/")[0]  # object stores list whole folders
        listed: Iterable[Any] = yield Call(
            lambda: [one for page in obstore.list(objects, folder or None) for one in page]
        )
        paths = [one["path"] for one in listed if one["path"].startswith(start)]
        for first in range(0, len(paths), AT_ONCE):
            yield from self._delete(paths[first : first + AT_ONCE])

    def _delete(self, paths: list[str]) -> Flow[None]:
        objects = self._objects
        try:
            yield Call(lambda: obstore.delete(objects, paths), lambda: obstore.delete_async(objects, paths))
        except FileNotFoundError:
            return

    def _path(self, key: str) -> str:
        return f"{self._root}/{_spelled(key)}".lstrip("/")


def _named(aliases: Mapping[str, str]) -> dict[str, str]:
    unknown = sorted(set(aliases).difference(ALIASES))
    if unknown:
        names = ", ".join(["bucket", "prefix", *OWN, "url", "timeout", *ALIASES])
        raise BadRequestError(f"The s3 cache has no setting {', '.join(map(repr, unknown))}. It has {names}.")
    return {ALIASES[name]: value for name, value in aliases.items()}


def _open(url: str | None, settings: Mapping[str, Any], timeout: float) -> ObjectStore:
    wait = timedelta(seconds=timeout)
    retries: Any = {"max_retries": 1, "retry_timeout": wait}  # a cache is not waited for
    client: Any = {"timeout": wait, "connect_timeout": wait, "allow_http": True}
    if url is not None:
        return from_url(url, client_options=client, retry_config=retries)
    if not settings["bucket"]:
        raise BadRequestError('The s3 cache needs bucket="...", or url="s3://..."')
    given: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    return S3Store(given.pop("bucket"), client_options=client, retry_config=retries, **given)


def _spelled(key: str) -> str:
    """Return a key as a path: `namespace/digest`, with signs that mean something in paths spelled out by =XX."""
    namespace, colon, digest = key.partition(":")
    if not colon:
        return namespace.replace("%", "=").replace(".", "=2E")
    return f"{namespace.replace('%', '=').replace('.', '=2E') or '='}/{digest}"


def _kept(value: bytes) -> Kept | None:
    if len(value) < TIMES.size:
        return None
    made, expires = TIMES.unpack_from(value)
    now = time.time()
    return Kept(value[TIMES.size :], max(0.0, now - made)) if now < expires else None
