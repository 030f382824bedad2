"""Another configuration while the gateway runs: asked for over HTTP, by SIGHUP, or found in the file.

GET  /config          what serves, with every secret hidden
GET  /config/diff     what a reload would change
POST /config/reload   check the file, then serve by it, whole; requests on their way finish by the old one

A configuration that cannot be used changes nothing, and is told. What waits for a restart is named. Each reload is in
the audit log. Several processes of one gateway have one file: the one that is asked tells the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyport.errors import BadRequestError, PolyportError, ServiceUnavailableError
from polyport.states import MemoryState, State
from polyport_gateway import config as configs, showing
from polyport_gateway.app import ASGI
from polyport_gateway.config import FOLLOWED, Config, ConfigError
from polyport_gateway.console import ADMINS, READERS, Console, Page
from polyport_gateway.identity import Principal
from polyport_gateway.rows import AuditRow
from polyport_gateway.running import Running
from polyport_gateway.upkeep import Upkeep

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway

log = logging.getLogger("polyport.gateway")
#: Seconds between two looks at the files. A file is read when two looks find it alike: not in the middle of a write.
LOOK = 0.5
#: Settings of the router that put its state into Redis.
IN_REDIS = ("redis_url", "redis_host")
#: A file as it lies on the disk: a ConfigMap's symbolic link leads to another inode after a change.
Version = tuple[tuple[int, int, int], ...]


def mounts(gateway: Gateway) -> Mapping[str, ASGI]:
    """Return the part."""
    reloader = Reloader(gateway)
    gateway.app.hangup = reloader.hang_up
    gateway.app.following.append(reloader.follow)
    gateway.app.starting.append(reloader.start)
    gateway.app.closing.append(reloader.aclose)
    pages = {
        "GET /config": Page(READERS, reloader.show),
        "GET /config/diff": Page(READERS, reloader.diff),
        "POST /config/reload": Page(ADMINS, reloader.asked),
    }
    return {"config": Console(gateway, pages)}


class Reloader:
    """Reads a gateway's configuration again."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._began: Config = gateway.config
        self._loaded = time.time()
        self._lock = asyncio.Lock()
        self._upkeep = Upkeep()
        #: What serves, and what the last look found.
        self._seen: Version = version_of(gateway.config.files)
        self._found = self._seen
        #: Why the last reload did not come about.
        self._error: str | None = None

    # --- over HTTP ---

    async def show(self, by: Principal, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration that serves."""
        config = self._gateway.config
        return {
            "files": [str(path) for path in config.files],
            "loaded_at": self._loaded,
            "watched": config.general.watch_config and bool(config.files),
            "config": showing.shown(config.source),
            "notes": config.notes,
            "needs_restart": self._waiting(config),
            "error": self._error,
        }

    async def diff(self, by: Principal, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a reload would change, or why it could not be."""
        config = self._gateway.config
        try:
            fresh = await asyncio.to_thread(self._read)
            await asyncio.to_thread(configs.check, fresh)
        except PolyportError as error:
            return {"changes": [], "needs_restart": [], "notes": [], "error": self._told(error)}
        return {
            "changes": showing.changes(config.source, fresh.source),
            "needs_restart": self._waiting(fresh),
            "notes": fresh.notes,
            "error": None,
        }

    async def asked(self, by: Principal, given: Mapping[str, Any]) -> dict[str, Any]:
        """Reload. Raises ConfigError of a file that cannot be used: nothing has changed then."""
        if given:
            raise BadRequestError(f"/config/reload takes nothing; what is {next(iter(given))[:60]!r}?")
        answer = await self.reload(by.id, always=True)
        if self._gateway.app.tell_others is not None:
            self._gateway.app.tell_others()
        return answer

    # --- by signals and files ---

    async def hang_up(self) -> None:
        """Reload because of SIGHUP; what is wrong is logged."""
        await self._try("SIGHUP")

    async def start(self) -> None:
        """Watch the files from now on, whenever the configuration says so."""
        self._upkeep.start((LOOK, self._look))

    async def aclose(self) -> None:
        """Watch no more."""
        await self._upkeep.aclose()

    async def _look(self) -> None:
        if not self._gateway.config.general.watch_config:
            self._found = self._seen
            return
        before, self._found = self._found, await asyncio.to_thread(version_of, self._gateway.config.files)
        if self._found == before and self._found != self._seen and all(one[1] for one in self._found):
            self._seen = self._found
            await self._try("the file's change")

    async def _try(self, by: str) -> None:
        try:
            answer = await self.reload(by)
        except PolyportError:
            return
        waiting = ", ".join(answer["needs_restart"])
        log.info("the configuration was reloaded%s", f"; these wait for a restart: {waiting}" if waiting else "")

    # --- the reload ---

    async def reload(self, by: str, *, always: bool = False) -> dict[str, Any]:
        """Serve by what the file says now, and return what is different. Raises what is wrong with it.

        `always`: it is noted in the audit log even if no other process has noted it, and nothing is different.
        """
        async with self._lock:
            app = self._gateway.app
            old = app.running
            version = version_of(old.config.files)
            try:
                fresh = await asyncio.to_thread(self._read)
                running = await asyncio.to_thread(Running, fresh, self._kept(old, fresh), app.prompts)
            except PolyportError as error:
                self._error = self._told(error)
                log.error("the configuration was not reloaded, the old one goes on: %s", self._error)
                if always:
                    await self._audit(by, "reload_failed", version, {}, {"error": self._error}, always=True)
                raise ConfigError(self._error) from error
            app.swap(running)
            self._seen, self._loaded, self._error = version_of(fresh.files), time.time(), None
            changes = showing.changes(old.config.source, fresh.source)
            audited = await self._audit(
                by,
                "reload",
                version,
                {one["path"]: one["before"] for one in changes},
                {one["path"]: one["after"] for one in changes},
                always=always,
            )
            return {
                "reloaded": True,
                "changes": changes,
                "needs_restart": self._waiting(fresh),
                "notes": fresh.notes,
                "audited": audited,
            }

    def follow(self, old: Config, new: Config) -> None:
        """Have the accounts go by another configuration."""
        keeper = self._gateway.keeper
        if keeper is not None:
            keeper.follow(new.general.master_key, new.general.on_store_failure)

    def _read(self) -> Config:
        files = self._gateway.config.files
        if not files:
            raise BadRequestError("This gateway was started without a configuration file: there is nothing to reload.")
        return configs.load(files[0])

    def _kept(self, old: Running, fresh: Config) -> State | None:
        """Return what is known of the deployments, as far as it is in this process: they do not begin anew."""
        state = old.router.state
        in_memory = isinstance(state, MemoryState) and not any(fresh.options.get(name) for name in IN_REDIS)
        return state if in_memory else None

    def _waiting(self, fresh: Config) -> list[str]:
        """Return the settings that are others than those which the process began with, and cannot be changed now."""
        before, after = self._began.general.given, fresh.general.given
        names = {name for name in {*before, *after} - FOLLOWED if before.get(name) != after.get(name)}
        if self._gateway.keeper is None and fresh.general.has_accounts:
            accounts = {"master_key", "custom_auth"} & after.keys()
            names |= accounts  # asked for at once, but accounts begin with the process
        return [f"$.general_settings.{name}" for name in sorted(names)]

    def _told(self, error: PolyportError) -> str:
        """Return a message without a secret: of a file that is wrong, nobody knows yet what is secret in it."""
        return showing.text(error.message, self._gateway.config.source)

    # --- the audit log ---

    async def _audit(
        self, by: str, action: str, version: Version, before: dict[str, Any], after: dict[str, Any], *, always: bool
    ) -> bool:
        """Note it, once for all processes of this gateway; whether it is noted."""
        keeper = self._gateway.keeper
        if keeper is None or not (before or after or always):
            return False
        name = "-".join(f"{part:x}" for one in version for part in one)[:255]
        row = AuditRow(
            at=time.time(), by=by, action=action, kind="config", entity_id=name, before=before, after=after
        )  # fmt: skip
        try:
            await keeper.start()
            async with _alone(self._gateway.data / "reload.lock"):
                if always or await self._last() != name:
                    async with keeper.store.change() as connection:
                        await connection.add(row)
        except (ServiceUnavailableError, OSError) as error:
            log.error("a reload of the configuration is not in the audit log: %s", error)
            return False
        return True

    async def _last(self) -> str | None:
        """Return the version of the files that was noted last."""
        assert self._gateway.keeper is not None
        from sqlalchemy import select  # a gateway without accounts does without

        from polyport_gateway.store.tables import audit

        query = select(audit.c.entity_id).where(audit.c.kind == "config", audit.c.action == "reload")
        async with self._gateway.keeper.store.reading() as connection:
            return (await connection.execute(query.order_by(audit.c.id.desc()).limit(1))).scalar_one_or_none()


@contextlib.asynccontextmanager
async def _alone(path: Path) -> AsyncIterator[None]:
    """Hold a lock that the processes of one gateway take in turn."""
    with _opened(path) as file:
        await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield file
    finally:
        os.close(file)


def version_of(files: tuple[Path, ...]) -> Version:
    """Return how files lie on the disk now; zeros for one that is not there."""
    return tuple(_version(path) for path in files)


def _version(path: Path) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_ino, found.st_size
