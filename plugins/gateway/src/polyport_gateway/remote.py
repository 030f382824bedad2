"""`polyport keys` and `polyport spend`: a running gateway's accounts, from the command line.

The gateway is at `--url`, or POLYPORT_GATEWAY; the key is in POLYPORT_GATEWAY_KEY, never on the command line, where
others would see it.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from polyport.cli import exits, show
from polyport.errors import APIConnectionError, class_for_status

keys = typer.Typer(help="Keys of a running gateway. Its own key is in POLYPORT_GATEWAY_KEY.", no_args_is_help=True)

Url = Annotated[str, typer.Option("--url", envvar="POLYPORT_GATEWAY", help="Where the gateway is.")]
Json = Annotated[bool, typer.Option("--json", help="All that is known, as JSON.")]
Id = Annotated[str, typer.Argument(help="The key's id, as `polyport keys list` shows it.")]
LOCAL = "http://127.0.0.1:4000"
KEY = "POLYPORT_GATEWAY_KEY"
#: Seconds for an answer.
TIMEOUT = 30.0
#: What can be added up.
BY = (
    "day",
    "model",
    "provider",
    "key",
    "user",
    "team",
    "project",
    "customer",
    "tag",
    "operation",
    "deployment",
    "status",
)


def ask(url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return a gateway's answer. Raises the error that it tells."""
    import httpx

    key = os.environ.get(KEY)
    if not key:
        exits.stop(f"Set {KEY} to the gateway's master key, or to a key with a role.", 3)
    try:
        reply = httpx.post(
            url.rstrip("/") + path, json=body, headers={"authorization": f"Bearer {key}"}, timeout=TIMEOUT
        )
        told = reply.json()
    except httpx.InvalidURL as error:
        exits.stop(f"--url {url} is no address: {error}")
    except httpx.HTTPError as error:
        raise APIConnectionError(f"No gateway answers at {url}: {error}") from error
    except ValueError as error:
        raise APIConnectionError(f"What answers at {url} is no gateway of polyport's") from error
    if reply.status_code >= 400:
        problem = told.get("error") if isinstance(told, dict) else None
        said = problem.get("message") if isinstance(problem, dict) else None
        raise class_for_status(reply.status_code)(str(said or f"HTTP {reply.status_code}"))
    return dict(told)


@keys.command("list")
def list_keys(
    url: Url = LOCAL,
    team: Annotated[str | None, typer.Option(help="Of this team.")] = None,
    user: Annotated[str | None, typer.Option(help="Of this user.")] = None,
    json: Json = False,
) -> None:
    """List keys, by id."""
    body = {name: value for name, value in (("team_id", team), ("user_id", user)) if value}
    found: list[dict[str, Any]] = []
    while page := ask(url, "/key/list", {**body, **({"after": found[-1]["key_id"]} if found else {})})["keys"]:
        found += page
    if json:
        show.json(found)
        return
    columns = ["id", "key", "name", "user", "team", "role", "budget", "per", "expires", "state"]
    show.table(columns, map(_row, found), right=[6])


@keys.command("make")
def make_key(
    url: Url = LOCAL,
    name: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    user: Annotated[str | None, typer.Option(help="Whose it is.")] = None,
    team: Annotated[str | None, typer.Option(help="Which team it spends for.")] = None,
    model: Annotated[list[str] | None, typer.Option("-m", "--model", help="What it may ask. Repeatable.")] = None,
    max_budget: Annotated[float | None, typer.Option(help="USD.")] = None,
    budget_duration: Annotated[str | None, typer.Option(help="30s, 12h, 7d, 1mo ...; without it, for ever.")] = None,
    rpm: Annotated[int | None, typer.Option(help="Requests a minute.")] = None,
    tpm: Annotated[int | None, typer.Option(help="Tokens a minute.")] = None,
    duration: Annotated[str | None, typer.Option(help="How long it holds: 30d ...")] = None,
    role: Annotated[str | None, typer.Option(help="admin, team_admin, member or viewer.")] = None,
    json: Json = False,
) -> None:
    """Make a key and print it: it is shown this once."""
    given = {
        "key_alias": name, "user_id": user, "team_id": team, "models": model or None, "max_budget": max_budget,
        "budget_duration": budget_duration, "rpm_limit": rpm, "tpm_limit": tpm, "duration": duration, "role": role,
    }  # fmt: skip
    made = ask(url, "/key/generate", {name: value for name, value in given.items() if value is not None})
    if json:
        show.json(made)
    else:
        show.text(made["key"])
        show.note(f"{made['key_id']}: keep it, it is not shown again")


@keys.command("info")
def info(id: Id, url: Url = LOCAL) -> None:
    """Show all that is known of a key, with what it has spent."""
    show.json(ask(url, "/key/info", {"key_id": id}))


@keys.command("rotate")
def rotate(id: Id, url: Url = LOCAL) -> None:
    """Put a new key in an old one's place, and print it."""
    show.text(ask(url, "/key/rotate", {"key_id": id})["key"])


@keys.command("block")
def block(id: Id, url: Url = LOCAL) -> None:
    """Refuse a key from now on."""
    ask(url, "/key/block", {"key_id": id})
    show.note(f"{id} is blocked")


@keys.command("unblock")
def unblock(id: Id, url: Url = LOCAL) -> None:
    """Let a key in again."""
    ask(url, "/key/unblock", {"key_id": id})
    show.note(f"{id} is let in")


@keys.command("delete")
def delete(id: Id, url: Url = LOCAL) -> None:
    """Remove a key; what it spent stays in the ledger."""
    ask(url, "/key/delete", {"key_id": id})
    show.note(f"{id} is gone")


def spend(
    url: Url = LOCAL,
    by: Annotated[list[str] | None, typer.Option("--by", help=f"{', '.join(BY)}. Repeatable.")] = None,
    days: Annotated[int, typer.Option(min=1, help="How many days back, today included.")] = 30,
    json: Json = False,
) -> None:
    """Tell what was spent at a running gateway. Its key is in POLYPORT_GATEWAY_KEY."""
    groups = by or ["model"]
    wrong = next((one for one in groups if one not in BY), None)
    if wrong is not None:
        exits.stop(f"--by {wrong}: there are {', '.join(BY)}")
    start = (datetime.now(UTC) - timedelta(days=days - 1)).strftime("%Y-%m-%d")
    rows = ask(url, "/spend/report", {"start_date": start, "group_by": groups})["results"]
    if json:
        show.json(rows)
        return
    sums = ("requests", "failures", "prompt", "completion", "spend")
    drawn = [[*(row[one] or "-" for one in groups), *(row[one] for one in sums)] for row in rows]
    if len(rows) > 1:
        total = [sum(row[one] for row in rows) for one in sums]
        drawn.append(["all", *[""] * (len(groups) - 1), *total])
    for row in drawn:
        row[-1] = f"${row[-1]:.6f}".rstrip("0").rstrip(".")
    columns = [*groups, "requests", "failed", "tokens in", "tokens out", "cost"]
    show.table(columns, drawn, right=range(len(groups), len(columns)))


def _row(key: dict[str, Any]) -> list[Any]:
    expires = key.get("expires")
    over = expires is not None and expires <= time.time()
    return [
        key["key_id"], key["key_name"], key["key_alias"], key["user_id"], key["team_id"], key["role"],
        None if key["max_budget"] is None else f"${key['max_budget']:g}", key["budget_duration"],
        None if expires is None else datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%d %H:%M"),
        "blocked" if key["blocked"] else "expired" if over else "",
    ]  # fmt: skip
