"""Ids that carry their provider, so that an id alone is enough to ask for a video or a batch, in another process too.

`video_pp_<base64url of JSON>`, for batches of messages `msgbatch_pp_...`, holds the provider's name, its own id, the
model and the deployment. No key and no address is in it: an id that somebody else made up must not send a key anywhere.
An id that was not issued here passes as it is.
"""

from __future__ import annotations

import base64

import msgspec

from polyport.types.record import learn

VIDEO, MESSAGES = "video_pp_", "msgbatch_pp_"


class Issued(msgspec.Struct, omit_defaults=True):
    """What an id carries; `deployment` is whose of a router's it is."""

    provider: str
    id: str
    model: str = ""
    deployment: str = ""


def issue(issued: Issued, prefix: str = VIDEO) -> str:
    """Return the id that carries `issued`; one that already does stays as it is."""
    if read(issued.id) is not None:
        return issued.id
    return prefix + base64.urlsafe_b64encode(msgspec.json.encode(issued)).decode().rstrip("=")


def read(id: str) -> Issued | None:
    """Return what an id carries; None for one that was not issued here."""
    prefix = next((prefix for prefix in (VIDEO, MESSAGES) if id.startswith(prefix)), None)
    if prefix is None:
        return None
    text = id.removeprefix(prefix)
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=learn(Issued))
    except ValueError:  # not base64, not UTF-8, not JSON, not of this shape
        return None
