"""Client secrets: what a browser holds a realtime session with, in place of the key that it must not have.

The secret is the gateway's own, and good for sessions at /v1/realtime alone: for the model that its session names, or
else those of whoever made it, who pays for it and is asked about at each turn; any replica takes it. Sessions begin
with what it was made with, and are for the `user` and `metadata.project` of its address, if it had them; callers may
change the session, as OpenAI has it. It begins sessions until it expires; those go on. The database has its digest, and
all else as only the secret itself can open it. `minting` makes them over HTTP.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, select

from polyport.errors import ServiceUnavailableError
from polyport_gateway import begun
from polyport_gateway.gate import GateError
from polyport_gateway.identity import MASTER, Principal, allows_route, digest, not_theirs
from polyport_gateway.sessions import OPERATION
from polyport_gateway.store import Connection, tables

if TYPE_CHECKING:
    from polyport_gateway.keeper import Keeper

#: How a secret of ours begins: whoever else has keys that begin with ek_, they are theirs.
PREFIX = "ek_gw_"
#: The only route that a principal of a secret may use: a session's that has looked whether the secret still begins one.
ROUTE = f"/{OPERATION}/with_client_secret"
#: Secrets that anybody may have at a time.
MANY = 10_000
#: Seconds for which what has expired is kept beyond the longest session that it may have begun.
AFTER = 60.0


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """What a secret stands for. `begun` says who made it, `master` is a mark of the master key's where that did.

    `model` is "" for any that they may use, and `named` what they called it. `older`: made in the beta's dialect.
    """

    begun: begun.Begun
    master: str = ""
    model: str = ""
    named: str = ""
    expires: float = 0.0
    session: dict[str, Any] = {}
    said: dict[str, Any] = {}
    older: bool = False


class ClientSecrets:
    """Makes secrets and reads them; a bearer of an Identity, too."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    @property
    def now(self) -> float:
        """What time it is, in seconds since 1970."""
        return self._keeper.clock()

    # --- making ---

    async def make(self, who: Principal, secret: Secret, keep: float) -> str:
        """Return the text of a new secret. `keep` is for how long sessions may go on that it began, in seconds.

        Raises GateError: 403 for who is not known again without their token, 429 for who has too many.
        """
        keeper, token = self._keeper, PREFIX + secrets.token_urlsafe(32)
        seal, maker = partial(_mark, token), who.key_id or who.id
        async with keeper.store.transaction() as connection:
            made = await begun.by(who, seal, connection)
            if who is MASTER:
                secret = msgspec.structs.replace(secret, master=seal(f"master {keeper.identity.master}"))
            elif not any(kind == ("key" if who.key_id else "user") for kind, *_ in made):
                raise GateError(403, "no_client_secrets", "Client secrets are made with keys that this gateway made.")
            old = tables.client_secrets.c.expires < self.now - keep - AFTER
            await connection.execute(delete(tables.client_secrets).where(old))
            count = (
                select(func.count()).select_from(tables.client_secrets).where(tables.client_secrets.c.maker == maker)
            )
            if int((await connection.execute(count)).scalar_one()) >= MANY:
                raise GateError(429, "too_many", "There are too many client secrets of this key.", retry_after=60)
            sealed = _seal(token, msgspec.structs.replace(secret, begun=made))
            row = {"id": digest(token), "expires": secret.expires, "maker": maker, "sealed": sealed}
            await connection.execute(keeper.store.insert(tables.client_secrets).values(**row))
        return token

    # --- reading ---

    async def read(self, token: str) -> Secret:
        """Return what a secret that begins a session stands for. Raises GateError: 401 for one that begins none."""
        try:
            async with self._keeper.store.reading() as connection:
                secret = await _found(connection, token)
        except ServiceUnavailableError as error:
            raise GateError(503, "store_unavailable", error.message, retry_after=1) from error
        if secret is None or secret.expires <= self.now:
            raise _no_secret()
        return secret

    def takes(self, token: str) -> bool:
        """Whether a token looks like a secret of ours."""
        return token.startswith(PREFIX)

    async def principal(self, token: str, team: str = "") -> Principal:
        """Return who made a secret, as they stand now, with nothing that they may do but hold such a session.

        Raises GateError.
        """
        found = await self._keeper.identity.known(
            f"client_secret {digest(token)} {team}", partial(self._load, token, team)
        )
        if found is None:
            raise _no_secret()
        return found

    async def _load(self, token: str, team: str, connection: Connection) -> Principal | None:
        secret = await _found(connection, token)
        if secret is None:
            return None
        seal = partial(_mark, token)
        if secret.master:
            same = hmac.compare_digest(secret.master, seal(f"master {self._keeper.identity.master}"))
            who = MASTER if same else None
        else:
            who = await begun.beginner(secret.begun, seal, connection)
        if who is None:
            return None
        if team and team != who.team_id:
            raise not_theirs(team)
        if not allows_route(who, f"/{OPERATION}"):
            raise GateError(403, "route_not_allowed", f"The key {who.key_id} may not be used for /{OPERATION}.")
        aliases = {} if secret.model else who.aliases
        role = "viewer" if who.role == "viewer" else ""
        return msgspec.structs.replace(who, routes=(ROUTE,), role=role, aliases=aliases, teams_led=frozenset())


def _no_secret() -> GateError:
    return GateError(401, "invalid_api_key", "This client secret begins no session here (any more): make another one.")


async def _found(connection: Connection, token: str) -> Secret | None:
    query = select(tables.client_secrets.c.sealed).where(tables.client_secrets.c.id == digest(token))
    row = (await connection.execute(query)).first()
    return None if row is None else _unseal(token, str(row[0]))


def _mark(token: str, text: str) -> str:
    return hmac.digest(token.encode(), text.encode(errors="replace"), "sha256").hex()


def _stream(token: str, size: int) -> bytes:
    """Return as many bytes as a text has, which only a secret tells: each secret seals one text."""
    return hashlib.shake_256(b"polyport client secret " + token.encode(errors="replace")).digest(size)


def _seal(token: str, secret: Secret) -> str:
    plain = msgspec.json.encode(secret)  # whose numbers may be as large as a caller's
    return base64.b85encode(bytes(a ^ b for a, b in zip(plain, _stream(token, len(plain)), strict=True))).decode()


def _unseal(token: str, sealed: str) -> Secret | None:
    hidden = base64.b85decode(sealed)
    plain = bytes(a ^ b for a, b in zip(hidden, _stream(token, len(hidden)), strict=True))
    try:
        return msgspec.json.decode(plain, type=Secret)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # made by another version
        return None
