"""A gateway put together: the surfaces, the accounts, and the parts that are mounted beside them.

    app = app_of(config.load("config.yaml"))

Accounts (keys, limits, a ledger) are there where there is a `master_key`, a `database_url` or `custom_auth`; without
any of them the gateway is open to whoever reaches it. A part is a function that is given the Gateway and returns
applications by the first word of their addresses; it may also add to `gateway.app.starting` and `gateway.app.closing`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from polyport.errors import BadRequestError
from polyport_gateway import (
    checks,
    cohere_kept,
    forwards,
    gemini_live,
    gemini_upload,
    keeping,
    metrics,
    openapi,
    passthrough,
    realtime,
    reloading,
    tracing,
    ui,
)
from polyport_gateway.app import ASGI, App
from polyport_gateway.config import Config
from polyport_gateway.limits import Limits, MemoryLimits
from polyport_gateway.purses import Purses

if TYPE_CHECKING:  # imported where there are accounts: with the database, they are a third of a worker's memory
    from polyport_gateway.keeper import Keeper
    from polyport_gateway.ledger import Ledger

#: Where an instance keeps its database, where none is named, and its journal.
DATA = "polyport-data"

Part = Callable[["Gateway"], Mapping[str, ASGI]]


class Gateway:
    """What parts are given. `keeper` is None for a gateway without accounts; `data` is this instance's own folder."""

    def __init__(self, app: App, keeper: Keeper | None, data: Path) -> None:
        self.app, self.keeper, self.data = app, keeper, data

    @property
    def config(self) -> Config:
        """The configuration that serves now; another one after a reload."""
        return self.app.running.config


def _desk(gateway: Gateway) -> Mapping[str, ASGI]:
    if gateway.keeper is None:
        return {}
    from polyport_gateway import desk

    return dict.fromkeys(desk.MOUNTS, desk.Desk(gateway.keeper))


def _custom(gateway: Gateway) -> Mapping[str, ASGI]:
    """Have the accounts ask the function that the configuration names, if it does."""
    keeper, app = gateway.keeper, gateway.app
    if keeper is None:
        return {}
    from polyport_gateway import custom_keys

    def follow(*_: Config) -> None:
        custom = app.running.custom
        keeper.identity.custom = None if custom is None else custom_keys.Keys(custom)

    follow()
    app.following.append(follow)
    return {}


def _purses(gateway: Gateway) -> Mapping[str, ASGI]:
    """Have the router go by the budgets of providers and deployments, where there are some."""
    keeper, app = gateway.keeper, gateway.app
    limits = MemoryLimits(_nothing_spent) if keeper is None else keeper.limits

    def follow(*_: Config) -> None:
        running, budgets = app.running, None
        if running.config.budgets or any("max_budget" in one.info for one in running.router.groups.all()):
            clock, allow = (time.time, lambda: True) if keeper is None else (keeper.clock, lambda: keeper.allow)
            budgets = Purses(running.router, running.config.budgets, limits, clock=clock, allow=allow)
            running.router.budgets = budgets
        if keeper is not None:
            keeper.purses = () if budgets is None else budgets.all()

    follow()
    app.following.append(follow)
    return {}


async def _nothing_spent(*_: object) -> int:
    """Return what was spent before, where nobody kept it."""
    return 0


def _looking(gateway: Gateway) -> Mapping[str, ASGI]:
    if gateway.keeper is None:
        return {}
    from polyport_gateway import looking

    return looking.mounts(gateway)


def _door(gateway: Gateway) -> Mapping[str, ASGI]:
    if gateway.keeper is None:
        return {}
    from polyport_gateway.signon import door

    found = door.Door(gateway.keeper, lambda: gateway.config)
    gateway.app.following.append(found.follow)
    gateway.app.closing.append(found.aclose)
    return {"auth": found}


#: What is mounted, in this order; a later one may not take an earlier one's word.
PARTS: tuple[Part, ...] = (
    _desk,
    _door,
    _custom,
    _purses,
    reloading.mounts,
    checks.mounts,
    metrics.mounts,
    tracing.mounts,
    openapi.mounts,
    passthrough.mounts,
    gemini_upload.mounts,
    keeping.mounts,
    cohere_kept.mounts,
    forwards.mounts,
    ui.mounts,
    realtime.mounts,
    _looking,
    gemini_live.mounts,
)


def app_of(config: Config, *, data: Path | None = None) -> App:
    """Return the gateway that a configuration describes. Raises BadRequestError."""
    folder = data or Path(str(config.general.given.get("data_dir") or DATA))
    keeper = _keeper(config, folder, lambda: app)
    app = App(config, gate=keeper, prompts=keeper.prompts if keeper is not None else None)
    gateway = Gateway(app, keeper, folder)
    if keeper is not None:
        app.starting.append(keeper.begin)
    for part in PARTS:
        app.mount(part(gateway))
    return app


def _keeper(config: Config, folder: Path, app: Callable[[], App]) -> Keeper | None:
    given = config.general.given
    url = given.get("database_url")
    if not config.general.has_accounts:
        return None
    from polyport_gateway.estimate import prices_of
    from polyport_gateway.keeper import Keeper
    from polyport_gateway.store import Store

    return Keeper(
        Store(str(url or f"sqlite:///{folder / 'gateway.db'}")),
        folder / "journal",
        master_key=config.general.master_key,
        prices=prices_of(lambda: app().running.router),
        limits=_shared(str(given["redis_url"])) if given.get("redis_url") else None,
        general=lambda: app().running.general,
        on_store_failure=config.general.on_store_failure,
    )


def _shared(url: str) -> Callable[[Ledger], Limits]:
    try:
        from polyport_gateway.shared import SharedLimits
    except ImportError as error:
        raise BadRequestError("redis_url needs the client: pip install 'polyport-gateway[redis]'") from error
    return lambda ledger: SharedLimits(url, ledger.spent)
