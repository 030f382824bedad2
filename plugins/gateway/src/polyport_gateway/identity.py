"""Who calls: the master key, or a virtual key with its user, team and project.

A virtual key is shown once, when it is made; the database has its SHA-256 digest. (The key is 256 random bits: no
slower hash would add anything.) What was looked up is remembered until something changes: every change counts a
number up, and that number is asked for at most every REFRESH seconds, so that a key blocked in one process is refused
by all within a second. While the database is away, keys that are known go on, and others are refused.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import msgspec

from polyport.errors import ServiceUnavailableError
from polyport_gateway.gate import Caller, GateError
from polyport_gateway.limits import Limit, Together, together
from polyport_gateway.policy import Policy, policy_of
from polyport_gateway.rows import BudgetRow, CustomerRow, Entity, KeyRow, ProjectRow, TeamRow, UserRow

if TYPE_CHECKING:  # configurations are read without accounts, too, and then without a database
    from polyport_gateway.store import Connection, Store

log = logging.getLogger("polyport.gateway.identity")
PREFIX = "sk-"
#: Seconds between two looks at whether anything has changed.
REFRESH = 0.4
#: Keys, and customers, that are remembered.
REMEMBERED = 50_000
#: Columns of an entity -> fields of a Limit.
COLUMNS = {
    "rpm": "rpm",
    "tpm": "tpm",
    "parallel": "parallel",
    "max_budget": "budget",
    "soft_budget": "soft",
    "budget_duration": "duration",
}


#: How many models a caller's limits are remembered for.
MODELS = 1000


class Names(frozenset[str]):
    """Names of models, of which some may be patterns: openai/*."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or any(
            "*" in one and isinstance(name, str) and fnmatchcase(name, one) for one in self
        )


def fits(name: str, model: str) -> bool:
    """Whether a name of limits is a model's: its own, or the beginning of several, openai/*."""
    return name == model or (name.endswith("*") and bool(model) and model.startswith(name[:-1]))


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who spends: a key, user, team, project or customer, as it stands in the database."""

    kind: str
    id: str
    blocked: bool
    limit: Limit
    by_model: Mapping[str, Limit]
    models: Names | None = None
    policy: Mapping[str, Any] = {}


class Principal(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Who calls, and what of it matters. No key is in it. `key_id` is "" for the master key.

    `teams` are those that a person who is signed in may spend with. `customer` goes before the one that a request
    names, and `of_customer`, in columns, before the limits that it has here.
    """

    id: str
    role: str = ""
    key_id: str = ""
    user_id: str = ""
    team_id: str = ""
    project_id: str = ""
    teams_led: frozenset[str] = frozenset()
    expires: float | None = None
    parties: tuple[Party, ...] = ()
    aliases: Mapping[str, str] = {}
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = {}
    routes: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    models: Names | None = None
    policy: Policy | None = None
    teams: tuple[str, ...] = ()
    customer: str = ""
    of_customer: Mapping[str, Any] = {}

    @cached_property
    def caller(self) -> Caller:
        """Who that is to the surfaces."""
        return Caller(id=self.id, team=self.team_id, tags=self.tags, metadata=self.metadata)

    @cached_property
    def blocked(self) -> Party | None:
        """The first of its parties that is blocked."""
        return next((party for party in self.parties if party.blocked), None)

    @cached_property
    def bound(self) -> bool:
        """Whether anything is to be checked of its requests beside their limits and models."""
        lasts = self.expires is None and self.blocked is None
        return not (lasts and self.role != "viewer" and not self.routes and not self.ips)

    @cached_property
    def limits(self) -> Together:
        """The limits of its requests for models that none of its parties has limits for."""
        return together(limits_of(self.parties))

    @cached_property
    def limits_by_model(self) -> dict[str, Together]:
        """The limits of its requests for the other models, as far as they are known by name."""
        names = {name for party in self.parties for name in party.by_model}
        return {name: together(limits_of(self.parties, name)) for name in names}

    @cached_property
    def has_patterns(self) -> bool:
        """Whether a party has limits for models by the beginning of their names."""
        return any(name.endswith("*") for party in self.parties for name in party.by_model)

    def limits_for(self, model: str) -> Together:
        """Return the limits of its requests for a model."""
        found = self.limits_by_model.get(model)
        if found is not None or not self.has_patterns:
            return found or self.limits
        found = together(limits_of(self.parties, model))
        if len(self.limits_by_model) < MODELS:  # what callers ask for is theirs to make up
            self.limits_by_model[model] = found
        return found


def limits_of(parties: Iterable[Party], model: str = "") -> list[Limit]:
    """Return the limits that a request falls under: of everybody for all models, and for this one.

    Limits by the beginning of names, openai/*, hold for all those models together.
    """
    found = []
    for party in parties:
        found.append(party.limit)
        if party.by_model:
            found += [limit for name, limit in party.by_model.items() if fits(name, model)]
    return found


Known = TypeVar("Known", Principal, Party)
Load: TypeAlias = "Callable[[Connection], Awaitable[Principal | None]]"
MASTER = Principal(id="master", role="admin")
#: Stands for a customer that must be looked up first.
UNKNOWN = Party(kind="customer", id="", blocked=False, limit=Limit(about=()), by_model={})


class Asks(Protocol):
    """Asks somebody else whose a key is."""

    async def identify(self, identity: Identity, token: str, team: str) -> str | Principal | None:
        """Return who calls, or their key here; None where that is for the Identity to say. Raises GateError."""


class Bearer(Protocol):
    """A kind of token that is no key of ours: a session, a JWT."""

    def takes(self, token: str) -> bool:
        """Whether a token looks like one of these."""

    async def principal(self, token: str, team: str = "") -> Principal:
        """Return who has it, spending with a team where one is named. Raises GateError."""


def digest(key: str) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def make_key() -> str:
    """Return a new key: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


class Identity:
    """Looks callers up. `clock` is in seconds since 1970; without a master key, only virtual keys are let in.

    `stranger` returns what limits a customer that nobody has set up, by the budget that `strangers_budget` names too.
    """

    def __init__(
        self,
        store: Store,
        *,
        master_key: str | None = None,
        known_while_away: bool = True,
        stranger: Callable[[str, BudgetRow | None], Party | None] = lambda *_: None,
        strangers_budget: Callable[[], str] = lambda: "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stranger, self._strangers_budget = stranger, strangers_budget
        self._store, self._known_while_away, self._clock = store, known_while_away, clock
        #: The master key's digest.
        self.master = None if master_key is None else digest(master_key)
        #: Who else is asked about a token, in this order, before the keys are.
        self.bearers: list[Bearer] = []
        #: A function of the operator's that is asked first, where there is one.
        self.custom: Asks | None = None
        self._keys: dict[str, Principal | None] = {}
        self._customers: dict[str, Party | None] = {}
        self._old_keys: dict[str, Principal | None] = {}
        self._old_customers: dict[str, Party | None] = {}
        self._revision: int | None = None
        self._generation = 0
        self._looked = float("-inf")
        self._own_changes = 0

    def follow(self, master_key: str | None, *, known_while_away: bool) -> None:
        """Let in by another master key from now on."""
        self._known_while_away = known_while_away
        self.master = None if master_key is None else digest(master_key)
        self._forget()  # what was somebody's key may be the master's now, or a token

    def identify_now(self, token: str | None) -> Principal | None:
        """Return who has a key, where nothing must be looked up; else None. Raises GateError as `identify` does."""
        if not token or self.custom is not None:
            return None
        mark = digest(token)
        found = self._keys.get(mark) if self._is_fresh() else None
        if found is None:
            return MASTER if self._is_master(mark) else None
        if found.bound:
            self._check(found)
        return found

    def customer_now(self, id: str) -> Party | None:
        """Return a customer as `customer` does; UNKNOWN where it must be looked up first."""
        found = self._customers.get(id, UNKNOWN) if self._is_fresh() else UNKNOWN
        return found if found is UNKNOWN else self._customer(id, found)

    async def identify(self, token: str | None, team: str = "") -> Principal:
        """Return who has a key, spending with a team where one is named.

        Raises GateError: 401 for none and for unknown keys, 403 for blocked and expired, and for another's team.
        """
        if self.custom is not None and not self._is_master(digest(token or "")):
            found = await self.custom.identify(self, token or "", team)
            if isinstance(found, Principal):
                self._check(found)
                return found
            token = found or token
        return await self._identify(token, team)

    async def _identify(self, token: str | None, team: str) -> Principal:
        if not token:
            raise GateError(401, "missing_api_key", "This gateway needs a key: send `Authorization: Bearer <key>`.")
        mark = digest(token)
        if self._is_master(mark):
            if team:
                raise not_theirs(team)
            return MASTER
        for bearer in self.bearers:
            if bearer.takes(token):
                return await bearer.principal(token, team)
        name = f"{mark} {team}" if team else mark
        found = await self._remembered(name, self._keys, self._old_keys, self._load)
        if found is None:
            raise GateError(401, "invalid_api_key", "The key is not one of this gateway's.")
        self._check(found)
        return found

    async def known(self, name: str, load: Load) -> Principal | None:
        """Return what `load` finds, remembered by a name until something changes. Raises GateError: 403 for blocked.

        A name has a space in it, which no digest of a key has.
        """
        found = await self._remembered(name, self._keys, self._old_keys, lambda connection, _: load(connection))
        if found is not None:
            self._check(found)
        return found

    async def customer(self, id: str, said: Mapping[str, Any] | None = None) -> Party | None:
        """Return a customer; None for one that nobody has set up, and nothing limits. Raises GateError: 403.

        What is `said` of it, in columns, goes before what is known.
        """
        found = await self._remembered(id, self._customers, self._old_customers, self._load_customer)
        if said:
            found = said_of("customer", id, found or self._stranger(id, None), said)
        return self._customer(id, found)

    def _is_master(self, mark: str) -> bool:
        return self.master is not None and hmac.compare_digest(mark, self.master)

    def _customer(self, id: str, found: Party | None) -> Party | None:
        if found is None:
            return self._stranger(id, None)
        if found.blocked:
            raise GateError(403, "customer_blocked", "This customer is blocked.")
        return found

    def _check(self, principal: Principal) -> None:
        if principal.expires is not None and principal.expires <= self._clock():
            raise GateError(401, "expired_api_key", f"The key {principal.key_id} has expired.")
        party = principal.blocked
        if party is not None:
            raise GateError(403, f"{party.kind}_blocked", f"The {party.kind} {party.id} is blocked.")

    # --- what is remembered ---

    async def _remembered(
        self,
        name: str,
        fresh: dict[str, Known | None],
        old: dict[str, Known | None],
        load: Callable[[Connection, str], Awaitable[Known | None]],
    ) -> Known | None:
        try:
            await self._refresh()
            if name in fresh:
                return fresh[name]
            generation = self._generation
            async with self._store.reading() as connection:
                found = await load(connection, name)
        except ServiceUnavailableError as error:
            known = fresh.get(name, old.get(name))
            if known is not None and self._known_while_away:
                return known
            raise GateError(
                503, "store_unavailable", "Keys cannot be looked up now. Try again.", retry_after=1
            ) from error
        if generation == self._generation:  # else something changed meanwhile, perhaps this
            while len(fresh) >= REMEMBERED:
                del fresh[next(iter(fresh))]
            fresh[name] = found
        return found

    def _is_fresh(self) -> bool:
        """Whether it was seen just now that nothing has changed."""
        return self._own_changes == self._store.changes and time.monotonic() - self._looked < REFRESH

    async def _refresh(self) -> None:
        """See whether anything has changed, if that was not looked at just now."""
        if self._own_changes != self._store.changes:
            self._own_changes = self._store.changes
            self._forget()
        if self._is_fresh():
            return
        self._looked = time.monotonic()  # one request asks; neither the others nor a database that is away wait for it
        revision = await self._store.revision()
        if revision != self._revision:
            self._revision = revision
            self._forget()

    def _forget(self) -> None:
        """Look everything up anew; what was known is for when nothing can be looked up."""
        self._generation += 1
        self._old_keys = {**self._old_keys, **self._keys}
        self._old_customers = {**self._old_customers, **self._customers}
        for old in (self._old_keys, self._old_customers):
            for name in list(old)[: max(0, len(old) - REMEMBERED)]:
                del old[name]
        self._keys.clear()
        self._customers.clear()

    # --- reading ---

    async def _load(self, connection: Connection, name: str) -> Principal | None:
        mark, _, team = name.partition(" ")
        key = await connection.one(KeyRow, digest=mark)
        return None if key is None else await of_key(connection, key, team)

    async def _load_customer(self, connection: Connection, id: str) -> Party | None:
        row = await connection.get(CustomerRow, id)
        if row is not None:
            return await party(connection, "customer", row)
        name = self._strangers_budget()
        budget = await connection.get(BudgetRow, name) if name else None
        if name and budget is None:
            log.error("there is no budget %r, by which customers are to be limited that nobody set up", name)
        return None if budget is None else self._stranger(id, budget)


async def of_key(
    connection: Connection, key: KeyRow, asked: str = "", said: Mapping[str, Mapping[str, Any]] | None = None
) -> Principal:
    """Return who has a key, with its user, team and project; the team is the key's, else the one that is asked for.

    What is `said` of these, in columns by kind, goes before what is known of them.
    """
    user = await connection.get(UserRow, key.user_id) if key.user_id else None
    project = await connection.get(ProjectRow, key.project_id) if key.project_id else None
    team_id = await team_of(connection, key.user_id, key.team_id or (project.team_id if project else ""), asked)
    team = await connection.get(TeamRow, team_id) if team_id else None
    rows: list[tuple[str, Entity | None]] = [("key", key), ("user", user), ("team", team), ("project", project)]
    parties = await parties_of(connection, rows)
    if said:
        ids = {"user": key.user_id, "team": team_id, "project": key.project_id, "member": f"{team_id}/{key.user_id}"}
        parties = _spoken_for(parties, {kind: (ids[kind], one) for kind, one in said.items() if kind in ids})
    led = await teams_led(connection, key.user_id) if key.role == "team_admin" else frozenset()
    return Principal(
        id=key.id,
        role=key.role,
        key_id=key.id,
        user_id=key.user_id,
        team_id=team_id,
        project_id=key.project_id,
        teams_led=led,
        expires=key.expires,
        parties=parties,
        aliases=key.aliases,
        tags=tags_of(row for _, row in rows if row is not None),
        metadata=key.details,
        routes=tuple(key.routes),
        ips=tuple(key.ips),
        models=common(parties),
        policy=policy_of([one.policy for one in parties]),
    )


async def team_of(connection: Connection, user: str, bound: str, asked: str) -> str:
    """Return the team that calls count on: the one that a key is bound to, or one of its user's that a call names.

    Raises GateError, 403, for another.
    """
    if not asked or asked == bound:
        return bound
    row = await connection.get(TeamRow, asked) if user and not bound else None
    if row is None or user not in row.members:
        raise not_theirs(asked)
    return asked


def not_theirs(team: str) -> GateError:
    """Return the refusal of a team that is not the caller's."""
    return GateError(403, "team_not_allowed", f"{team[:100]!r} is no team that this key may spend with.")


async def parties_of(connection: Connection, rows: Iterable[tuple[str, Entity | None]]) -> tuple[Party, ...]:
    """Return those who spend together, with what a team lets each of its members spend."""
    found = [(kind, row) for kind, row in rows if row is not None]
    parties = [await party(connection, kind, row) for kind, row in found]
    user = next((row for kind, row in found if kind == "user"), None)
    for _, row in found:
        if isinstance(row, TeamRow) and row.member_limits and user is not None:
            parties.append(member_of(row, user.id))
    return tuple(parties)


def member_of(team: TeamRow, user: str) -> Party:
    """Return a team's member, as far as the team limits what each may spend in it."""
    limits = {field: team.member_limits[name] for name, field in COLUMNS.items() if name in team.member_limits}
    limit = Limit(about=(("team", team.id), ("user", user)), **limits)
    return Party(kind="member", id=f"{team.id}/{user}", blocked=False, limit=limit, by_model={})


def party_of(kind: str, id: str, values: Mapping[str, Any]) -> Party:
    """Return somebody who is in no table: of whom limits are known, by their columns' names, and nothing else."""
    about = ((kind, id),) if kind else ()
    return Party(kind=kind, id=id, blocked=False, limit=_limit(about, values), by_model=_by_model(about, values))


def said_of(kind: str, id: str, found: Party | None, said: Mapping[str, Any]) -> Party:
    """Return somebody with what is said of them, in columns, before what was found."""
    about = (("team", id.partition("/")[0]), ("user", id.partition("/")[2])) if kind == "member" else ((kind, id),)
    found = found or Party(kind=kind, id=id, blocked=False, limit=Limit(about=about), by_model={})
    own = {field: said[name] for name, field in COLUMNS.items() if said.get(name) is not None}
    return msgspec.structs.replace(
        found,
        blocked=found.blocked or bool(said.get("blocked")),
        limit=msgspec.structs.replace(found.limit, **own),
        by_model={**found.by_model, **_by_model(about, said)},
        models=Names(said["models"]) if said.get("models") else found.models,
    )


def _spoken_for(parties: Iterable[Party], said: Mapping[str, tuple[str, Mapping[str, Any]]]) -> tuple[Party, ...]:
    known = {one.kind: one for one in parties}
    for kind, (name, one) in said.items():
        known[kind] = said_of(kind, name, known.get(kind), one)
    return tuple(known.values())


def _limit(about: tuple[tuple[str, str], ...], values: Mapping[str, Any]) -> Limit:
    return Limit(about=about, **{f: values[n] for n, f in COLUMNS.items() if values.get(n) is not None})


def _by_model(about: tuple[tuple[str, str], ...], values: Mapping[str, Any]) -> dict[str, Limit]:
    limits: Mapping[str, Any] = values.get("model_limits") or {}
    return {model: _limit((*about, ("model", model)), one) for model, one in limits.items()}


def tags_of(rows: Iterable[Entity]) -> tuple[str, ...]:
    """Return the tags of all, each once."""
    return tuple(dict.fromkeys(tag for row in rows for tag in row.tags))


async def party(connection: Connection, kind: str, row: Entity) -> Party:
    """Return an entity with its limits; those of its own go before those of the budget that it names."""
    budget = await connection.get(BudgetRow, row.budget_id) if row.budget_id else None
    about = ((kind, row.id),)
    given = {name: _first(getattr(row, name), getattr(budget, name, None)) for name in COLUMNS}
    models = {**(budget.model_limits if budget else {}), **row.model_limits}
    return Party(
        kind=kind,
        id=row.id,
        blocked=row.blocked,
        limit=_limit(about, given),
        by_model=_by_model(about, {"model_limits": models}),
        models=Names(row.models) or None,
        policy=row.policy,
    )


async def teams_led(connection: Connection, user: str) -> frozenset[str]:
    """Return the teams that a user leads."""
    rows = await connection.columns(TeamRow, "id", "members")
    return frozenset(team for team, members in rows if user and members.get(user) == "admin")


def _first(own: Any, shared: Any) -> Any:
    return shared if own is None or own == "" else own


def common(parties: Iterable[Party]) -> Names | None:
    """Return the models that all allow; a pattern of one is narrowed by the names of another."""
    lists = [party.models for party in parties if party.models is not None]
    if not lists:
        return None
    first, *others = lists
    for names in others:
        first = Names({*(one for one in first if one in names), *(one for one in names if one in first)})
    return first


def allows_route(principal: Principal, path: str) -> bool:
    """Whether a key may be used on a path (without /v1). Patterns may end in *."""
    bare = [route.removeprefix("/v1") for route in principal.routes]
    return not bare or any(fnmatchcase(path, route) for route in bare)


def allows_address(principal: Principal, client: str | None) -> bool:
    """Whether a key may be used from an address; a key bound to networks is not, where no address is known."""
    if not principal.ips:
        return True
    address = address_of(client)
    return address is not None and any(
        address in ipaddress.ip_network(network, strict=False) for network in principal.ips
    )


def address_of(client: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address of a peer, one of IPv4 as such however it is written; None where it has none."""
    try:
        address = ipaddress.ip_address((client or "").split("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
