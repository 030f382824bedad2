"""A gateway's month, made up but reproducible: teams, users, keys and thousands of requests, for the pages' tests."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any

from polyport_gateway import management as manage
from polyport_gateway.identity import MASTER
from polyport_gateway.journal import Journal
from polyport_gateway.ledger import Ledger
from polyport_gateway.lines import Entry
from polyport_gateway.store import Store

#: Model -> its provider, what a token costs in nano-dollars (read, written), how long it takes.
MODELS = {
    "gpt-4o": ("openai", 2_500, 10_000, 1.4),
    "gpt-4o-mini": ("openai", 150, 600, 0.6),
    "claude-sonnet-4": ("anthropic", 3_000, 15_000, 2.1),
    "gemini-2.5-flash": ("gemini", 300, 2_500, 0.8),
    "llama-3.3-70b": ("groq", 590, 790, 0.35),
    "text-embedding-3-small": ("openai", 20, 0, 0.12),
    "mistral-large": ("mistral", 2_000, 6_000, 1.1),
}
OFTEN = [6, 12, 5, 4, 3, 4, 1]
TEAMS = ("Search", "Support", "Data science", "Mobile")
PEOPLE = ("Ada Lovelace", "Grace Hopper", "Katherine Johnson", "Alan Turing", "Edsger Dijkstra", "Barbara Liskov")
USES = ("api", "batch", "notebook", "ci")
FAILURES = (
    (429, "RateLimitError", "The provider allows no more requests this minute."),
    (500, "InternalServerError", "The provider failed."),
    (400, "BadRequestError", "max_tokens is too large."),
    (504, "Timeout", "No answer within 60 s."),
)
#: The name that a stranger gave a key.
STRANGE = "<img src=x onerror=\"document.title='taken over'\"><script>document.title='taken over'</script>"


def month(folder: Path, *, requests: int = 4000, days: int = 30) -> dict[str, Any]:
    """Fill the database in a gateway's folder, and return the users, teams and keys."""
    return asyncio.run(_month(folder, requests, days))


async def _month(folder: Path, requests: int, days: int) -> dict[str, Any]:
    store = Store(f"sqlite:///{folder / 'gateway.db'}")
    await store.migrate()
    made = await _people(store)
    ledger = Ledger(store, Journal(folder / "journal"))
    chance, now = random.Random(7), time.time()
    for place in range(requests):
        ledger.record(_entry(chance, made["keys"], now, days, place))
    await ledger.aclose()
    await store.aclose()
    return made


async def _people(store: Store) -> dict[str, Any]:
    await manage.create(store, MASTER, "budget", {"budget_id": "trial", "max_budget": 5, "budget_duration": "1w"})
    users = [await manage.create(store, MASTER, "user", _user(place, name)) for place, name in enumerate(PEOPLE)]
    teams = []
    for place, name in enumerate(TEAMS):
        members = {users[place]["user_id"]: "admin", users[place + 1]["user_id"]: "member"}
        body = {"team_alias": name, "members": members, "max_budget": 10.0 * (place + 1), "budget_duration": "1mo"}
        teams.append(await manage.create(store, MASTER, "team", body))
    await manage.create(store, MASTER, "project", {"project_alias": "Autumn launch", "team_id": teams[0]["team_id"]})
    acme = {"customer_id": "acme", "alias": "Acme Corporation", "rpm_limit": 60, "budget_id": "trial"}
    await manage.create(store, MASTER, "customer", acme)
    keys = [await manage.generate_key(store, MASTER, _key(place, teams, users)) for place in range(14)]
    keys.append(await manage.generate_key(store, MASTER, {"key_alias": STRANGE, "tags": ["<b>bold</b>"]}))
    await manage.block_key(store, MASTER, {"key_id": keys[5]["key_id"]})
    return {"users": users, "teams": teams, "keys": keys}


def _user(place: int, name: str) -> dict[str, Any]:
    role = "admin" if place == 0 else "member"
    return {"user_alias": name, "user_email": f"{name.split()[0].lower()}@example.com", "user_role": role}


def _key(place: int, teams: list[Any], users: list[Any]) -> dict[str, Any]:
    team, user = teams[place % len(teams)], users[place % len(users)]
    alias = f"{team['team_alias'].lower().replace(' ', '-')}-{USES[place // 4]}"
    body = {"key_alias": alias, "team_id": team["team_id"], "user_id": user["user_id"], "rpm_limit": 60 * (place + 1)}
    if place % 3 == 0:
        body |= {"max_budget": 2 + place, "models": ["gpt-4o", "gpt-4o-mini", "claude-*"]}
    if place % 3 == 0 and place:  # the first one's budget is for its whole life, and used up on any day
        body["budget_duration"] = "1mo"
    if place % 5 == 0:
        body |= {"duration": "30d", "tags": ["production", "europe"]}
    if place == 4:
        body |= {"model_limits": {"gpt-4o": {"max_budget": 1.5, "budget_duration": "1w", "rpm_limit": 20}}}
    return body


def _entry(chance: random.Random, keys: list[Any], now: float, days: int, place: int) -> Entry:
    model = chance.choices(list(MODELS), weights=OFTEN)[0]
    provider, read, written, pace = MODELS[model]
    key = chance.choices(keys, weights=[*(1 / (n + 1) for n in range(len(keys) - 1)), 0.4])[0]
    back = days * 86400 * (1 - chance.random() ** 0.7)
    failed, stream = chance.random() < 0.025, chance.random() < 0.5 and written > 0
    status, error, message = chance.choice(FAILURES) if failed else (200, "", "")
    prompt = 0 if failed else int(chance.lognormvariate(7.4, 0.9))
    completion = 0 if failed or not written else int(chance.lognormvariate(5.6, 0.8))
    cached = prompt // 3 if chance.random() < 0.3 else 0
    retried = chance.random() < 0.06
    usage = {"input": prompt - cached, "cached_input": cached, "output": completion}
    return Entry(
        id=f"{chance.getrandbits(128):032x}",
        at=now - back,
        key_id=key["key_id"],
        user_id=key["user_id"],
        team_id=key["team_id"],
        customer_id="acme" if place % 9 == 0 else "",
        model=model,
        provider=provider,
        upstream=model,
        deployment=f"{model}-{'east' if chance.random() < 0.6 else 'west'}",
        operation="completion" if written else "embedding",
        surface="openai",
        stream=stream,
        status=status,
        error=error,
        message=message,
        prompt=prompt,
        completion=completion,
        usage={} if failed else {bucket: count for bucket, count in usage.items() if count},
        nano=prompt * read + completion * written,
        seconds=pace * chance.lognormvariate(0, 0.45) + completion / 160,
        first_byte=0.3 * pace if stream and not failed else None,
        cache_hit=not failed and chance.random() < 0.04,
        attempts=2 if retried else 1,
        failures=[_failure(model, provider)] if retried else (),
        adaptations=[{"parameter": "logit_bias", "action": "dropped", "why": f"{provider} takes none"}]
        if cached
        else (),
        upstream_id=f"req_{place:08x}",
        tags=("production",) if place % 4 == 0 else (),
    )


def _failure(model: str, provider: str) -> dict[str, Any]:
    said = "The provider allows no more requests this minute."
    where = {"deployment": f"{model}-east", "provider": provider, "status": 429}
    return {**where, "error": "RateLimitError", "message": said, "seconds": 0.21}
