"""What a function of the operator's may say of a key: which key of ours it is, or what a key of its own would be.

A text is a virtual key of this gateway. A mapping, or an object, has the names of /key/generate, and `key_id`: by it
the key is in the ledger as custom:<key_id>, else by a digest of `api_key`, else of what the caller sent. Its user, team
and project hold with their limits where they are here. What is empty says nothing; what has no meaning here is an error
in the log, and refuses the caller. `key_alias` and what else only tells goes to observers, as metadata does.

Limits of whom a call counts on have the names of LiteLLM's UserAPIKeyAuth: team_max_budget, user_rpm_limit,
team_member_tpm_limit, project_models, end_user_budget_duration and so on. They go before those that the team, user,
project or customer has here, and are counted on the same account, whether or not it is here. Those of the end user hold
for `end_user_id`, or else for whomever a request names as its `user`. What such an object says was spent is left out:
the ledger knows. https://docs.litellm.ai/docs/proxy/custom_auth#userapikeyauth-fields-reference
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from polyport.errors import BadRequestError
from polyport_gateway.client_secrets import PREFIX as SECRETS
from polyport_gateway.custom_auth import Custom
from polyport_gateway.fields import KINDS, LIMITS, MODEL_LIMITS, Read, read as read_fields
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
TELLING = frozenset({"key_alias", "key_name", "user_email", "user_alias", "team_alias", "project_alias", "org_id",
                     "organization_id"})  # fmt: skip
#: How names about somebody else begin -> about whom, and what has to be named then. The first that fits counts.
OTHERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "team_member_": ("member", ("team_id", "user_id")),
    "team_": ("team", ("team_id",)),
    "user_": ("user", ("user_id",)),
    "project_": ("project", ("project_id",)),
    "end_user_": ("customer", ()),
}
#: What can be said of them.
HELD = {**LIMITS, **MODEL_LIMITS, "blocked": KINDS["team"][1]["blocked"]}
OF_OTHERS: dict[str, dict[str, tuple[str, Read]]] = {
    "member": {**LIMITS, "budget": LIMITS["max_budget"]},
    "customer": HELD,
    **{kind: {**HELD, "models": KINDS[kind][1]["models"]} for kind in ("team", "user", "project")},
}
#: What the ledger knows, and what LiteLLM notes of a request.
KNOWN = frozenset({
    "spend", "model_spend", "team_spend", "team_member_spend", "user_spend", "end_user_spend", "project_spend",
    "budget_reset_at", "request_route", "last_refreshed_at",
})  # fmt: skip
#: Other names of limits by models; and those that may stand in metadata, too.
RENAMED = {"rpm_limit_per_model": "model_rpm_limit", "tpm_limit_per_model": "model_tpm_limit"}
IN_METADATA = ("model_rpm_limit", "model_tpm_limit")
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
        if token.startswith((PREFIX, SECRETS)):
            return None  # somebody who is signed in, or had a secret made here: that was proved
        found = await self._custom.asked(token)
        return found if found is None or isinstance(found, str) else await _principal(identity, found, token, team)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a function says: the key's columns, its name (`plain`: as it is), and the columns of others by kind."""

    columns: dict[str, Any]
    name: str | None
    plain: bool
    customer: str
    others: dict[str, dict[str, Any]]


def _read(found: Any) -> Said:
    """Return what a function says. Raises GateError for no key."""
    try:
        said = _named(found)
        role = said.pop("user_role", None) or said.pop("role", "")
        role = str(getattr(role, "value", role))
        if role:
            said["role"] = USERS.get(role, (role,))[0]
        if "expires" in said:
            said["expires"] = _instant(said["expires"])
        named = next((said[name] for name in NAMING if said.get(name)), None)
        customer = read_fields({"end_user_id": FIELDS["user_id"]}, "", {"end_user_id": said.pop("end_user_id", None)})
        telling = {name: said[name] for name in TELLING & said.keys()}
        others = _of_others(said)
        fields = {name: value for name, value in said.items() if name not in {*NAMING, *TELLING}}
        columns = whole(read_fields(FIELDS, "custom_auth", fields))
        if named is not None and not isinstance(named, str):
            raise BadRequestError("key_id must be a text")
    except BadRequestError as error:
        log.error("custom_auth returned what is no key: %s", error.message)
        raise GateError(500, "custom_auth", "This gateway's custom_auth gave an answer that it cannot use.") from error
    columns["details"] = {**columns.get("details", {}), **telling}
    key_id = said.get("key_id")
    return Said(
        columns=columns, name=key_id or named, plain=key_id is not None, customer=customer["user_id"], others=others
    )


def _named(found: Any) -> dict[str, Any]:
    """Return what is said by its names, without what says nothing. Raises BadRequestError."""
    given = found
    if not isinstance(given, Mapping):
        dump = getattr(found, "model_dump", None)
        given = dump() if callable(dump) else getattr(found, "__dict__", None)
    if not isinstance(given, Mapping):
        raise BadRequestError(f"{type(found).__name__} is no key, and nothing that has its names")
    said: dict[str, Any] = {}
    for name, value in given.items():
        if name not in KNOWN and value is not None and value is not False and value not in ("", [], {}):
            said[RENAMED.get(name, str(name))] = value
    for begins in ("", *OTHERS):
        metadata = said.get(f"{begins}metadata")
        if isinstance(metadata, Mapping):
            there = {begins + limit: metadata[limit] for limit in IN_METADATA if metadata.get(limit)}
            said = {**there, **said}
    return said


def _instant(value: Any) -> Any:
    """Return when a key expires, in seconds since 1970. Raises BadRequestError."""
    try:
        value = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError as error:
        raise BadRequestError("expires must be an instant, such as 2030-01-01T00:00:00Z") from error
    return value.timestamp() if isinstance(value, datetime) else value


def _of_others(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Take out what is said of others than the key. Raises BadRequestError."""
    found: dict[str, dict[str, Any]] = {}
    for name in [name for name in said if name not in FIELDS and name not in TELLING]:
        begins = next((one for one in OTHERS if name.startswith(one)), None)
        if begins is None:
            continue
        kind, needed = OTHERS[begins]
        value = said.pop(name)
        missing = next((one for one in needed if one not in said), None)
        if missing is not None:
            raise BadRequestError(f"{name} needs {missing}: whose is it?")
        if name == f"{begins}metadata":
            said["metadata"] = {**value, **said.get("metadata", {})} if isinstance(value, Mapping) else value
        else:
            found.setdefault(kind, {})[name.removeprefix(begins)] = value
    return {
        kind: whole(read_fields(OF_OTHERS[kind], f"custom_auth, of the {kind},", one)) for kind, one in found.items()
    }


async def _principal(identity: Identity, said: Any, token: str, team: str) -> Principal:
    """Return who a key is. What was made of the same words before is taken again, until something changes."""
    found = _read(said)
    name, columns = found.name, found.columns
    if name is None:
        name = token or str(columns.get("user_id", ""))
    if not name:
        raise GateError(500, "custom_auth", "This gateway's custom_auth did not say who calls.")
    known = str(name)[:200] if found.plain else digest(str(name))[:16]
    row = {**NEW, **columns, "id": f"custom:{known}"}
    mark = digest(msgspec.json.encode([sorted(row.items()), found.customer, found.others], enc_hook=str).decode())
    made = await identity.known(f"custom {mark} {team}", partial(_load, row, found, team))
    if made is None:
        raise GateError(401, "invalid_api_key", "The key is not one that this gateway takes.")
    return made


async def _load(row: Mapping[str, Any], found: Said, team: str, connection: Connection) -> Principal:
    who = await of_key(connection, KeyRow(digest="", hint="", **row), team, found.others)
    return msgspec.structs.replace(who, customer=found.customer, of_customer=found.others.get("customer", {}))
