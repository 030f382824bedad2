"""What the audit log keeps of signing on: who came, who was refused and why, who left. Never a secret."""

from __future__ import annotations

import time
from typing import Any

from polyport_gateway.lines import clean
from polyport_gateway.rows import AuditRow
from polyport_gateway.store import Connection, Store


async def signed_in(store: Store, who: str, way: str) -> None:
    """Keep that somebody signed in: by a key, or with which provider."""
    await _keep(store, who, "sign_in", who, {"by": way})


async def signed_out(store: Store, who: str) -> None:
    """Keep that somebody signed out."""
    await _keep(store, who, "sign_out", who, {})


async def failed(store: Store, who: str, way: str, why: str) -> None:
    """Keep that somebody could not sign in. `who` is the name that was given: no key, which people mix up with it."""
    named = "" if who.startswith("sk-") else clean(who, 240)
    await _keep(store, "", "sign_in_failed", named, {"by": way, "why": why})


async def change(
    connection: Connection, by: str, action: str, kind: str, id: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Keep a change that signing in brought with it, in the same transaction."""
    row = AuditRow(at=time.time(), by=clean(by), action=action, kind=kind, entity_id=id, before=before, after=after)
    await connection.add(row)


async def _keep(store: Store, by: str, action: str, who: str, after: dict[str, Any]) -> None:
    async with store.transaction() as connection:
        await change(connection, by, action, "session", clean(who), {}, after)
