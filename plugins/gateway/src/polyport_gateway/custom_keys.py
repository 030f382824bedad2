"""What a function of the operator's may say of a key: which key of ours it is, or what a key of its own would be.

A text is a virtual key of this gateway. A mapping, or an object, has the names of /key/generate, and `key_id`: by it
the key is in the ledger as custom:<key_id>, else by a digest of `api_key`, else of what the caller sent. Its user, team
and project hold with their limits where they are here. What is empty says nothing; what has no meaning here is an error
in the log, and refuses the caller. `key_alias` and what else only tells goes to observers, as metadata does.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from polyport.errors import BadRequestError
from polyport_gateway.custom_auth import Custom
from polyport_gateway.fields import KINDS, read as read_fields
from polyport_gateway.gate import GateError
from polyport_gateway.identity import Identity, Principal, digest, of_key
from polyport_gateway.issuing import USERS
from polyport_gateway.management import whole
from polyport_gateway.rows import KeyRow
from polyport_gateway.signon.sessions import PREFIX
from polyport_gateway.store import Connection

log = logging.getLogger("polyport.gateway.custom_auth")
FIELDS = {name: row for name, row in KINDS["key"][1].items() if name not in ("duration", "key_alias")}
#: What says who a key is, and limits nothing: it goes to observers, as metadata does.
TELLING = frozenset({"key_alias", "key_name", "user_email", "team_alias", "org_id", "organization_id"})
#: What names a key: one of these, in this order.
NAMING = ("key_id", "token", "api_key")
#: When a row without an account was made.
NEW = {"created_at": 0.0, "updated_at": 0.0}


class Keys:
    """What asks the function of the configuration that serves; see `polyport_gateway.identity.Asks`."""

    def __init__(self, custom: Custom) -> None:
        self._custom = custom

    async def identify(self, identity: Identity, token: str, team: str) -> str | Principal | None:
        """Return who calls, or their virtual key, or None where that is for the gateway to say. Raises GateError."""
        if token.startswith(PREFIX):
            return None  # somebody who is signed in: that was proved
        found = await self._custom.asked(token)
        return found if found is None or isinstance(found, str) else await _principal(identity, found, token, team)


def _read(found: Any) -> dict[str, Any]:
    """Return what a function says of a key: its columns, and what names it. Raises GateError for no key."""
    given = found
    if not isinstance(given, Mapping):
        dump = getattr(found, "model_dump", None)
        given = dump() if callable(dump) else getattr(found, "__dict__", None)
    try:
        if not isinstance(given, Mapping):
            raise BadRequestError(f"{type(found).__name__} is no key, and nothing that has its names")
        said = {str(name): value for name, value in given.items() if value not in (None, "", [], {}, False)}
        role = said.pop("user_role", None) or said.pop("role", "")
        role = str(getattr(role, "value", role))
        if role:
            said["role"] = USERS.get(role, (role,))[0]
        expires = said.get("expires")
        if isinstance(expires, datetime):
            said["expires"] = expires.timestamp()
        named = next((said[name] for name in NAMING if said.get(name)), None)
        telling = {name: said[name] for name in TELLING & said.keys()}
        fields = {name: value for name, value in said.items() if name not in {*NAMING, *TELLING}}
        columns = whole(read_fields(FIELDS, "custom_auth", fields))
        if named is not None and not isinstance(named, str):
            raise BadRequestError("key_id must be a text")
    except BadRequestError as error:
        log.error("custom_auth returned what is no key: %s", error.message)
        raise GateError(500, "custom_auth", "This gateway's custom_auth gave an answer that it cannot use.") from error
    columns["details"] = {**columns.get("details", {}), **telling}
    key_id = said.get("key_id")
    return {"columns": columns, "name": key_id or named, "plain": key_id is not None}


async def _principal(identity: Identity, said: Any, token: str, team: str) -> Principal:
    """Return who a key is. What was made of the same words before is taken again, until something changes."""
    found = _read(said)
    name, columns = found["name"], found["columns"]
    if name is None:
        name = token or str(columns.get("user_id", ""))
    if not name:
        raise GateError(500, "custom_auth", "This gateway's custom_auth did not say who calls.")
    known = str(name)[:200] if found["plain"] else digest(str(name))[:16]
    row = {**NEW, **columns, "id": f"custom:{known}"}
    mark = digest(msgspec.json.encode(sorted(row.items()), enc_hook=str).decode())
    made = await identity.known(f"custom {mark} {team}", partial(_load, row, team))
    if made is None:
        raise GateError(401, "invalid_api_key", "The key is not one that this gateway takes.")
    return made


async def _load(row: Mapping[str, Any], team: str, connection: Connection) -> Principal:
    return await of_key(connection, KeyRow(digest="", hint="", **row), team)
