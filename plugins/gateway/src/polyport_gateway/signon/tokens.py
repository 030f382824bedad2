"""Tokens of services: JWTs that an issuer of the configuration signed, as who calls.

    jwt_auth:
      - {id: cloud, issuer: https://login.example.com, audience: polyport, team_claim: team, scopes: {chat: [/chat/*]}}

A token that was proved is remembered by its digest until it expires, or its issuer withdraws the key that proved it
(`keys_seconds`: how often that is looked at; `keys_stale_seconds`: how long without an answer). What it stands for is
looked up as a key's is: its user, team and project, with their limits. In the ledger and the audit log it is
`jwt:<id>:<subject>`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import httpx
import msgspec

from polyport.errors import BadRequestError
from polyport_gateway.fields import LIMITS, read
from polyport_gateway.gate import GateError
from polyport_gateway.identity import (
    COLUMNS,
    Identity,
    Names,
    Party,
    Principal,
    common,
    digest,
    parties_of,
    tags_of,
    team_of,
    teams_led,
)
from polyport_gateway.limits import Limit
from polyport_gateway.policy import policy_of
from polyport_gateway.rows import Entity, ProjectRow, TeamRow, UserRow
from polyport_gateway.signon import audit
from polyport_gateway.signon.issuer import Issuer
from polyport_gateway.signon.jwks import LEEWAY, Keys, TokenError, claim, jwk_of, texts, unverified
from polyport_gateway.signon.people import Starts
from polyport_gateway.signon.settings import ROLES, JwtRules
from polyport_gateway.store import Connection, Store

#: Tokens that are remembered, and for how many seconds.
REMEMBERED, PROVED = 10_000, 3600.0
#: Numbers of configurations: what one made of a token is not what another makes of it.
NUMBERS = itertools.count()
#: What a claim may name -> its table.
TABLES: dict[str, type[Entity]] = {"user": UserRow, "team": TeamRow, "project": ProjectRow}


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says, by our names. `owners` are ids of user, team and project; `expires` in seconds since 1970.

    `key` is the public one that proves it.
    """

    id: str
    expires: float
    owners: Mapping[str, str]
    role: str
    models: tuple[str, ...] | None
    limits: Mapping[str, Any]
    routes: tuple[str, ...]
    key: dict[str, Any]


class Trusted:
    """One issuer whose tokens are taken."""

    def __init__(self, rules: JwtRules, http: httpx.AsyncClient) -> None:
        self.rules = rules
        issuer = Issuer(rules.id, rules.issuer, http, rules.timeout)
        if rules.public_key is not None:
            self._keys = Keys(fixed=[jwk_of(rules.public_key, f"jwt_auth {rules.id}")])
        else:
            fetch = issuer.keys if rules.jwks_url is None else partial(issuer.keys_at, rules.jwks_url)
            self._keys = Keys(fetch, fresh=rules.keys_seconds, usable=rules.keys_stale_seconds)

    async def still(self, service: Service) -> bool:
        """Whether the key that proved a token is one of the issuer's. Raises GateError where that cannot be known."""
        return await self._keys.still(service.key)

    async def service(self, token: str) -> Service:
        """Return what a token says. Raises GateError: 401 for one that proves nothing, 403 without a scope."""
        rules = self.rules
        claims, key = await self._keys.prove(
            token, issuer=rules.issuer, audience=rules.audience, algorithms=rules.algorithms, require=("iss", "exp")
        )
        subject = claim(claims, rules.subject_claim)
        if not isinstance(subject, str) or not _fits(subject, 200):
            raise TokenError(f"its {rules.subject_claim} is no name")
        models = claim(claims, rules.models_claim)
        return Service(
            id=f"jwt:{rules.id}:{subject}",
            expires=float(claims["exp"]),
            owners={kind: self._owner(claims, kind) for kind in TABLES},
            role=self._role(claims),
            models=None if models is None else tuple(texts(models)),
            limits=_limits(claim(claims, rules.limits_claim)),
            routes=self._routes(claims),
            key=key,
        )

    def _owner(self, claims: dict[str, Any], kind: str) -> str:
        path = {"user": self.rules.user_claim, "team": self.rules.team_claim, "project": self.rules.project_claim}[kind]
        found = claim(claims, path)
        if found is not None and (not isinstance(found, str) or not _fits(found, 240)):
            raise TokenError(f"its {path} is no name")
        return found or ""

    def _role(self, claims: dict[str, Any]) -> str:
        rules = self.rules
        words = texts(claim(claims, rules.role_claim))
        meant = {rules.roles.get(word) if rules.roles else word for word in words}
        return next((role for role in ROLES if role in meant), rules.default_role)

    def _routes(self, claims: dict[str, Any]) -> tuple[str, ...]:
        """Return the routes that a token's scopes open; no routes at all means all of them."""
        rules = self.rules
        if not rules.scopes:
            return ()
        scopes = texts(claim(claims, rules.scope_claim))
        routes = tuple(dict.fromkeys(route for scope in scopes for route in rules.scopes.get(scope, ())))
        if not routes:
            raise GateError(403, "insufficient_scope", f"The token has none of the scopes {', '.join(rules.scopes)}.")
        return routes


class Tokens:
    """Tokens as bearers of an Identity; see there. `trusted` are the issuers of one configuration."""

    def __init__(
        self, identity: Identity, store: Store, trusted: Sequence[Trusted], *,
        clock: Callable[[], float] = time.time, starts: Starts = lambda _: {},
    ) -> None:  # fmt: skip
        self._identity, self._store, self._trusted, self._clock, self._starts = identity, store, trusted, clock, starts
        self._proved: dict[str, tuple[float, Trusted, Service]] = {}
        self._number = next(NUMBERS)

    def takes(self, token: str) -> bool:
        """Whether a token looks like a JWT."""
        return token.count(".") == 2

    async def principal(self, token: str, team: str = "") -> Principal:
        """Return who has a token. Raises GateError: 401 for one that proves nothing, 403 for who is not let in."""
        mark = digest(token)
        trusted, service = await self._prove(token, mark)
        load = partial(self._load, trusted.rules, service, team)
        name = f"jwt {self._number} {mark} {team}"
        found = await self._identity.known(name, load)
        if found is None:
            await self._make(trusted.rules, service)
            found = await self._identity.known(name, load)
        if found is None:  # somebody deleted it again meanwhile
            raise TokenError("what it stands for is not there")
        return found

    async def _prove(self, token: str, mark: str) -> tuple[Trusted, Service]:
        now = self._clock()
        until, trusted, service = self._proved.get(mark, (0.0, None, None))
        if trusted is not None and service is not None and now < until and await trusted.still(service):
            return trusted, service
        named = unverified(token).get("iss")
        trusted = next((one for one in self._trusted if one.rules.issuer == named), None)
        if trusted is None:
            raise TokenError("another issuer made it")
        service = await trusted.service(token)
        while len(self._proved) >= REMEMBERED:
            del self._proved[next(iter(self._proved))]
        self._proved[mark] = min(service.expires + LEEWAY, now + PROVED), trusted, service
        return trusted, service

    # --- what it stands for ---

    async def _load(self, rules: JwtRules, service: Service, team: str, connection: Connection) -> Principal | None:
        """Return who calls; None where something is to be made first."""
        owners = dict(service.owners)
        rows: dict[str, Entity] = {}
        for kind in ("project", "user", "team"):
            if kind == "team":
                owners["team"] = await team_of(connection, owners["user"], owners["team"], team)
            row = await connection.get(TABLES[kind], owners[kind]) if owners[kind] else None
            if row is not None:
                rows[kind] = row
            elif owners[kind] and rules.unknown != "ignore":
                if rules.unknown == "create":
                    return None
                raise GateError(403, f"unknown_{kind}", f"The token's {kind} is none of this gateway's.")
            if isinstance(row, ProjectRow):
                owners["team"] = owners["team"] or row.team_id
        led = await teams_led(connection, owners["user"]) if service.role == "team_admin" else frozenset()
        parties = (_own(service), *await parties_of(connection, rows.items()))
        return Principal(
            id=service.id, key_id=service.id, role=service.role, user_id=owners["user"], team_id=owners["team"],
            project_id=owners["project"], teams_led=led, parties=parties, tags=tags_of(rows.values()),
            routes=service.routes, models=common(parties), policy=policy_of([one.policy for one in parties]),
        )  # fmt: skip

    async def _make(self, rules: JwtRules, service: Service) -> None:
        """Make the user, team and project of a token that are not there yet."""
        now = time.time()
        own: dict[str, dict[str, Any]] = {
            "team": {"members": {}},
            "user": {"email": ""},
            "project": {"team_id": service.owners["team"]},
        }
        for kind, owner in service.owners.items():
            async with self._store.change() as connection:
                if owner and await connection.get(TABLES[kind], owner) is None:
                    row = {**self._starts(kind), "id": owner, "created_at": now, "updated_at": now, **own[kind]}
                    await connection.add(TABLES[kind](**row))
                    await audit.change(connection, service.id, "create", kind, owner, {}, own[kind])


def _own(service: Service) -> Party:
    """Return a token's own limits, as a key's are."""
    about = (("key", service.id),)
    limits = {COLUMNS[name]: value for name, value in service.limits.items()}
    models = None if service.models is None else Names(service.models)
    return Party(
        kind="key", id=service.id, blocked=False, limit=Limit(about=about, **limits), by_model={}, models=models
    )  # fmt: skip


def _limits(value: Any) -> dict[str, Any]:
    """Return columns and values of limits, by the names that keys have them by: {"rpm_limit": 10}."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TokenError("its limits are no object")
    try:
        found = read(LIMITS, "limits", value)
    except BadRequestError as error:
        raise TokenError("its limits cannot be read") from error
    return {name: one for name, one in found.items() if one is not None}


def _fits(text: str, length: int) -> bool:
    return 0 < len(text) <= length and text.isprintable()
