"""Notices of budgets: a soft budget that is crossed is told to a webhook, once per period, whoever saw it cross.

A crossing is a row of the database, named by the account, its period and the amount: who inserts it first has noted
it, replicas included. The rows are sent beside the requests, one after the other, by whichever replica takes one;
what cannot be delivered is tried again after 1, 2, 4 ... seconds, at most an hour apart, for three days.

The body is JSON. `x-polyport-timestamp` is when it was sent, in seconds since 1970, and `x-polyport-signature` is
`sha256=` and the HMAC of timestamp, a full stop, and the body: to be compared by the receiver, who answers 2xx.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import select, update

from polyport.types.bill import NANO
from polyport_gateway.limits import Limit, period
from polyport_gateway.store import Store, tables

if TYPE_CHECKING:  # imported where there is a webhook: it weighs several megabytes
    import httpx

log = logging.getLogger("polyport.gateway.notices")
#: Notices of one round, seconds that a webhook has to answer, that one is lent to who sends it, and tries.
ROUND, TIMEOUT, LEASE, LONGEST, GIVE_UP = 20, 10.0, 60.0, 3600.0, 3 * 86_400.0


class Notices:
    """Takes note of crossings, and tells them. `clock` is in seconds since 1970."""

    def __init__(self, store: Store, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._store = store
        self._seen: deque[dict[str, Any]] = deque(maxlen=10_000)
        self._client: httpx.AsyncClient | None = None
        self._transport = transport

    def note(self, limit: Limit, now: float) -> None:
        """Take note of a soft budget that is used up: at once, and without waiting."""
        start, end = period(limit.duration, now)
        about = "/".join(f"{kind}:{name}" for kind, name in limit.about) or "gateway"
        name = f"{about} {start or 0:.0f} {limit.soft}"
        log.warning("The soft budget of %s is used up", about)
        body = {
            "event": "soft_budget_crossed", "account": about, "about": dict(limit.about),
            "soft_budget": _usd(limit.soft), "max_budget": _usd(limit.budget),
            "budget_duration": limit.duration or None, "period_start": start, "period_end": end, "at": now,
        }  # fmt: skip
        mark = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
        self._seen.append({
            "id": mark, "at": now, "body": {"id": mark, **body}, "state": "waiting", "tries": 0, "due": now,
        })  # fmt: skip

    async def write(self) -> None:
        """Write what was noted: only what nobody has noted before is new. Raises ServiceUnavailableError."""
        while self._seen:
            async with self._store.transaction() as connection:
                insert = self._store.insert(tables.notices).on_conflict_do_nothing(index_elements=["id"])
                await connection.execute(insert, [self._seen[0]])
            self._seen.popleft()

    async def send(self, url: str, secret: str, now: float | None = None) -> int:
        """Tell what is due, and return how much was delivered. Raises ServiceUnavailableError."""
        await self.write()
        if not url:
            return 0
        client = self._client or self._open()
        count = 0
        for row in await self._due(time.time() if now is None else now):
            if await self._lend(row):
                count += await self._tell(client, row, url, secret)
        return count

    async def aclose(self) -> None:
        """Let go of connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _due(self, now: float) -> list[Any]:
        query = (
            select(tables.notices).where(tables.notices.c.state == "waiting", tables.notices.c.due <= now).limit(ROUND)
        )
        async with self._store.reading() as connection:
            return list(await connection.execute(query.order_by(tables.notices.c.due)))

    async def _lend(self, row: Any) -> bool:
        """Take a notice for a while, so that no other replica sends it meanwhile."""
        where = (tables.notices.c.id == row.id, tables.notices.c.due == row.due, tables.notices.c.state == "waiting")
        async with self._store.transaction() as connection:
            taken = await connection.execute(update(tables.notices).where(*where).values(due=time.time() + LEASE))
            return taken.rowcount == 1

    async def _tell(self, client: httpx.AsyncClient, row: Any, url: str, secret: str) -> bool:
        error = await _post(client, url, secret, msgspec.json.encode(row.body))
        tries, now = row.tries + 1, time.time()
        state = "sent" if error is None else "failed" if now - row.at > GIVE_UP else "waiting"
        if error is not None:
            log.warning("The budget webhook did not take notice %s (%s), try %d", row.id, error, tries)
        wait = min(2.0 ** (tries - 1), LONGEST)
        async with self._store.transaction() as connection:
            values = {"state": state, "tries": tries, "due": now + wait}
            await connection.execute(update(tables.notices).where(tables.notices.c.id == row.id).values(**values))
        return error is None

    def _open(self) -> httpx.AsyncClient:
        import httpx

        self._client = httpx.AsyncClient(timeout=TIMEOUT, transport=self._transport)
        return self._client


async def _post(client: httpx.AsyncClient, url: str, secret: str, body: bytes) -> str | None:
    """Send a body; return what went wrong."""
    import httpx

    stamp = str(int(time.time()))
    try:
        reply = await client.post(url, content=body, headers={
            "content-type": "application/json",
            "x-polyport-timestamp": stamp,
            "x-polyport-signature": sign(secret, stamp, body),
        })  # fmt: skip
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return type(error).__name__
    return None if reply.is_success else f"HTTP {reply.status_code}"


def _usd(nano: int | None) -> float | None:
    return None if nano is None else nano / NANO


def sign(secret: str, stamp: str, body: bytes) -> str:
    """Return the signature of a body that is sent at an instant."""
    return "sha256=" + hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
