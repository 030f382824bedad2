"""Sessions of people: a signed text in a cookie, which says who signed in, and until when it holds.

Nothing is kept of a session but that it was ended before its time. What it stands for is looked up as a key's is, so
that a session of a user who was blocked, of a key that was rotated, or one that was ended, is refused by all processes
within a second.

    sessions = Sessions(identity, store, secret)
    text = sessions.issue(Session(kind="user", subject="anna", name="Anna", mark=mark_of(row)))
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from functools import cached_property, partial
from typing import TypeVar

import msgspec
from sqlalchemy import delete

from polyport_gateway.gate import GateError
from polyport_gateway.identity import MASTER, Identity, Principal, not_theirs, of_key
from polyport_gateway.rows import KeyRow, RevokedRow, UserRow
from polyport_gateway.signon import people
from polyport_gateway.store import Connection, Store, tables

Sealed = TypeVar("Sealed", bound=msgspec.Struct)

PREFIX = "ps_"
#: Characters that no session has.
LONGEST = 4000


class Session(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Who signed in: `kind` is master, key or user, `subject` the id of it, `name` what a page calls it.

    `mark` tells whether it is still the same one: a key that was rotated, or another user by the same id, is not.
    `until` is in seconds since 1970.
    """

    kind: str
    subject: str
    name: str
    mark: str
    id: str = ""
    until: int = 0


class Sessions:
    """Issues sessions, reads them, ends them. `secret` is any text; who knows it can sign in as anybody."""

    def __init__(
        self, identity: Identity, store: Store, secret: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._identity, self._store, self._clock, self._secret = identity, store, clock, secret

    @cached_property
    def _key(self) -> bytes:
        # slow on purpose: the secret may be a master key that somebody thought of, and a cookie must not give it away
        return hashlib.scrypt(self._secret.encode(), salt=b"polyport session", n=2**14, r=8, p=1)

    def follow(self, secret: str) -> None:
        """Sign with another secret from now on: all sessions that were signed with the old one are over."""
        if secret != self._secret:
            self._secret = secret
            self.__dict__.pop("_key", None)

    def issue(self, session: Session, hours: float) -> tuple[str, Session]:
        """Return the text of a new session, which holds for so long, and what is in it."""
        until = int(self._clock() + hours * 3600)
        made = msgspec.structs.replace(session, id=secrets.token_urlsafe(16), until=until)
        return PREFIX + self.seal("session", made), made

    def takes(self, token: str) -> bool:
        """Whether a token looks like a session."""
        return token.startswith(PREFIX)

    def read(self, token: str) -> Session:
        """Return what a session says. Raises GateError: 401 for one that is not ours, or is over."""
        session = self.unseal("session", token.removeprefix(PREFIX), Session)
        if session is None or session.until <= self._clock():
            raise _over()
        return session

    async def principal(self, token: str, team: str = "") -> Principal:
        """Return who a session stands for. Raises GateError: 401, and 403 for who was blocked, and another's team."""
        session = self.read(token)
        if session.kind == "master" and not self._of_master(session):  # asked each time: it is in no database
            raise _over()
        found = await self._identity.known(f"session {session.id} {team}", partial(self._load, session, team))
        if found is None:
            raise _over()
        return found

    async def end(self, session: Session) -> None:
        """Refuse a session from now on, everywhere."""
        async with self._store.change() as database:
            await database.execute(delete(tables.revoked).where(tables.revoked.c.until < self._clock()))
            if await database.get(RevokedRow, session.id) is None:
                await database.add(RevokedRow(id=session.id, until=float(session.until)))

    def seal(self, purpose: str, value: msgspec.Struct) -> str:
        """Return a text that only this gateway can have made, for one purpose."""
        payload = _encode(msgspec.msgpack.encode(value))
        return f"{payload}.{self._signature(f'{purpose} {payload}')}"

    def unseal(self, purpose: str, text: str, kind: type[Sealed]) -> Sealed | None:
        """Return what was sealed for a purpose; None for anything else."""
        payload, _, signature = text[:LONGEST].partition(".")
        expected = self._signature(f"{purpose} {payload}")
        if not hmac.compare_digest(signature.encode(errors="replace"), expected.encode()):
            return None
        try:
            return msgspec.msgpack.decode(_decode(payload), type=kind)
        except (msgspec.DecodeError, binascii.Error):  # made by another version
            return None

    async def once(self, id: str, until: float) -> bool:
        """Whether something is used for the first time, of all processes; asked until then."""
        row = {"id": id, "until": until}
        async with self._store.transaction() as connection:
            await connection.execute(delete(tables.revoked).where(tables.revoked.c.until < self._clock()))
            done = await connection.execute(self._store.insert(tables.revoked).values(**row).on_conflict_do_nothing())
            return bool(done.rowcount == 1)

    def mark(self, text: str) -> str:
        """Return by what a secret, such as a key's digest, is known again."""
        return self._signature(f"mark {text}")[:22]

    def _signature(self, text: str) -> str:
        return _encode(hmac.digest(self._key, text.encode(errors="replace"), "sha256"))

    # --- reading ---

    async def _load(self, session: Session, team: str, database: Connection) -> Principal | None:
        if await database.get(RevokedRow, session.id) is not None:
            return None
        if session.kind == "user":
            return await self._user(session, team, database)
        if session.kind == "key":
            return await self._key_of(session, team, database)
        if session.kind == "master" and team:
            raise not_theirs(team)
        return MASTER if session.kind == "master" else None

    def _of_master(self, session: Session) -> bool:
        master = self._identity.master
        return master is not None and self._same(session, self.mark(master))

    async def _user(self, session: Session, team: str, database: Connection) -> Principal | None:
        user = await database.get(UserRow, session.subject)
        if user is None or not self._same(session, people.mark_of(user)):
            return None
        return await people.principal_of(database, user, team)

    async def _key_of(self, session: Session, team: str, database: Connection) -> Principal | None:
        key = await database.get(KeyRow, session.subject)
        if key is None or not self._same(session, self.mark(key.digest)):
            return None
        return await of_key(database, key, team)

    def _same(self, session: Session, mark: str) -> bool:
        return hmac.compare_digest(session.mark.encode(), mark.encode())


def _over() -> GateError:
    return GateError(401, "invalid_session", "This session is over: sign in again.")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
