"""The database: SQLite by default, PostgreSQL by URL; its tables are kept up to date by Alembic.

https://docs.sqlalchemy.org/en/20/core/ (what waits for a driver is in `connection`)
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Column,
    Connection as Blocking,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    NoSuchModuleError,
    SQLAlchemyError,
    TimeoutError as PoolTimeout,
)
from sqlalchemy.util import greenlet_spawn

from polyport.errors import BadRequestError, ServiceUnavailableError
from polyport_gateway.store.connection import Connection, connected
from polyport_gateway.store.tables import BATCHES, METADATA, complete, revision

if TYPE_CHECKING:  # a process imports the one that its database needs: PostgreSQL's weighs several megabytes
    from sqlalchemy.dialects import postgresql, sqlite

#: URLs as people write them -> with the driver that is installed.
DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
}
#: The newest migration: tables that are there need no Alembic.
HEAD = "first"
#: Where Alembic keeps which one the tables are at. https://alembic.sqlalchemy.org/en/latest/cookbook.html
VERSION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
#: Connections to SQLite, each with a thread, and with pages of its own: the last one used is taken first.
AT_ONCE = 3
#: Kibibytes of pages that each of them keeps: the system has all others at hand. SQLite's own 2000 made nothing faster.
CACHE = 512
#: PostgreSQL lock that replicas take in turn to make the tables; any number that nobody else uses.
MIGRATION_LOCK = 7_091_276_500


class Store:
    """One database. `url` may be written without its driver: sqlite:///file.db, postgresql://user@host/name.

    For `timeout` seconds a connection is waited for, or that one is made.
    """

    def __init__(self, url: str, *, pool: int = 10, timeout: float = 5.0) -> None:
        try:
            parsed = make_url(url)
            parsed = parsed.set(drivername=DRIVERS.get(parsed.drivername, parsed.drivername))
            self.dialect = parsed.get_backend_name()
            if self.dialect not in ("sqlite", "postgresql"):
                raise BadRequestError(f"database_url begins with {self.dialect!r}: write sqlite:// or postgresql://.")
            options: dict[str, Any] = {"pool_pre_ping": self.dialect == "postgresql"}
            if self.dialect == "postgresql":
                options |= {"pool_size": pool, "pool_timeout": timeout, "connect_args": {"timeout": timeout}}
            elif parsed.database not in (None, "", ":memory:"):
                Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
                options |= {"pool_size": AT_ONCE, "max_overflow": 0, "pool_use_lifo": True, "pool_timeout": timeout}
            if self.dialect == "sqlite":
                from polyport_gateway.store.sqlite import connection

                options["connect_args"] = {"async_creator_fn": connection}
            self.engine = create_engine(parsed, hide_parameters=True, **options)
        except (ArgumentError, NoSuchModuleError, ValueError) as error:
            raise BadRequestError("database_url is no URL: write sqlite:///file.db or postgresql://…") from error
        #: What says that the database is away, or cannot be asked.
        self.away: tuple[type[Exception], ...] = (SQLAlchemyError, OSError, *_driver_errors(self.dialect))
        #: How many changes this process has made: what it remembers is old at once.
        self.changes = 0
        if self.dialect == "sqlite":
            event.listen(self.engine, "connect", _prepare_sqlite)

    async def migrate(self) -> None:
        """Make the tables, or bring them up to date. Replicas, and workers, that start together take turns."""
        async with self.transaction() as connection:
            if self.dialect == "postgresql":
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            else:  # else each table would be there for the others before the next one is made
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
            version = await self._version(connection)
            if version is None:
                await connection.run_sync(_make)
            elif version != HEAD:
                await connection.run_sync(upgrade)

    async def _version(self, connection: Connection) -> str | None:
        """Return the migration that the tables are at."""
        if not await connection.run_sync(lambda found: inspect(found).has_table("alembic_version")):
            return None
        return (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Yield a connection whose work is kept whole, or not at all. Raises ServiceUnavailableError, without SQL."""
        try:
            async with connected(self.engine) as connection, connection.begin():
                yield connection
        except self.away as error:
            raise _away(error) from error

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Connection]:
        """Yield a connection for a change that other processes must see; changes come one after the other."""
        try:
            async with self.transaction() as connection:
                counted = update(revision).where(revision.c.id == 1).values(number=revision.c.number + 1)
                await connection.execute(counted)
                yield connection
        finally:
            self.changes += 1

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """Yield a connection to read by."""
        try:
            async with connected(self.engine) as connection:
                yield connection
        except self.away as error:
            raise _away(error) from error

    async def revision(self) -> int:
        """Return a number that every change counts up."""
        async with self.transaction() as connection:
            return int((await connection.execute(select(revision.c.number).where(revision.c.id == 1))).scalar_one())

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Return an INSERT that knows ON CONFLICT."""
        if self.dialect == "sqlite":
            from sqlalchemy.dialects import sqlite

            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)

    async def aclose(self) -> None:
        """Close all connections."""
        await greenlet_spawn(self.engine.dispose)


def _driver_errors(dialect: str) -> tuple[type[Exception], ...]:
    """Return what SQLAlchemy passes on from a driver as it is: where no connection can be made."""
    if dialect == "sqlite":
        return ()
    import asyncpg  # type: ignore[import-untyped]  # it has neither types nor stubs of its own

    return (asyncpg.PostgresError, asyncpg.InterfaceError)


def _away(error: BaseException) -> ServiceUnavailableError:
    """Name what went wrong without what was asked: an error's text may hold SQL, addresses and passwords."""
    if isinstance(error, PoolTimeout):
        return ServiceUnavailableError("All connections to the database have been busy for a while. Try again.")
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return ServiceUnavailableError(f"The database could not be asked ({type(cause).__name__}). Try again.")


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Let several processes share a file, and lose nothing that was committed. https://sqlite.org/wal.html"""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000", f"cache_size=-{CACHE}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _make(connection: Blocking) -> None:
    """Make all tables as they are now, at the newest migration: what Alembic, 14 MB, would come to."""
    if connection.dialect.name == "postgresql":
        complete()
    METADATA.create_all(connection, checkfirst=False)
    connection.execute(insert(revision), [{"id": number, "number": 0, "note": ""} for number in (1, BATCHES)])
    VERSION.create(connection)
    connection.execute(insert(VERSION).values(version_num=HEAD))


def upgrade(connection: Blocking) -> None:
    """Bring tables up to date, from wherever they are, by Alembic."""
    from alembic import command  # only a newer release's first start needs it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


__all__ = ["Connection", "Store"]
