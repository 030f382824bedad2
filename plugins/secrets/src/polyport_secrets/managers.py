"""A manager: asks one place for secrets by their names, and remembers them for a while.

A secret that is older than `ttl` seconds is given as it is while it is asked for anew in a thread of its own, so that
no call waits; one that cannot be asked for stays what it was. Errors name the secret and the class of what went wrong,
never a value.
"""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from polyport.errors import BadRequestError, PluginError

log = logging.getLogger("polyport.secrets")
TTL = 300.0
#: Manager -> the module that asks it, and what it needs.
KNOWN = {
    "aws": ("polyport_secrets.aws", "aws"),
    "google": ("polyport_secrets.google", "google"),
    "azure": ("polyport_secrets.azure", "azure"),
    "vault": ("polyport_secrets.vault", "vault"),
}
#: Returns what is under a name in one place; None where there is nothing. Raises what its client raises.
Fetch = Callable[[str], str | None]


class Manager:
    """One place. `prefix` is put before names there; with `primary`, all are members of the one JSON secret so called.

    `only` are the names that are asked for at all.
    """

    def __init__(
        self,
        what: str,
        fetch: Fetch,
        *,
        ttl: float = TTL,
        prefix: str = "",
        primary: str | None = None,
        only: frozenset[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what, self.only = what, only
        self._fetch, self._ttl, self._prefix, self._primary, self._clock = fetch, ttl, prefix, primary, clock
        self._known: dict[str, tuple[float, str | None]] = {}
        self._asking: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, name: str) -> str | None:
        """Return a secret; None where there is none of that name. Raises PluginError."""
        if self.only is not None and name not in self.only:
            return None
        if self._primary is None:
            return self._get(self._prefix + name)
        found = self._members(self._get(self._primary)).get(name)
        return None if found is None else str(found)

    def __repr__(self) -> str:
        return f"<{self.what}>"

    def _members(self, text: str | None) -> Mapping[str, Any]:
        try:
            found = msgspec.json.decode(text or "{}")
        except msgspec.DecodeError:
            found = None
        if not isinstance(found, dict):
            raise PluginError(f"The secret {self._primary!r} of {self.what} must be a JSON object of names and values.")
        return found

    def _get(self, name: str) -> str | None:
        with self._lock:
            known = self._known.get(name)
            if known is None:
                return self._ask(name)
            at, value = known
            if self._clock() - at < self._ttl or name in self._asking:
                return value
            self._asking.add(name)
        threading.Thread(target=self._refresh, args=(name,), daemon=True, name="polyport-secrets").start()
        return value

    def _refresh(self, name: str) -> None:
        try:
            value = self._asked(name)
        except PluginError as error:
            log.warning("%s The value known so far is used.", error.message)
            value = self._known[name][1]
        with self._lock:
            self._known[name] = self._clock(), value
            self._asking.discard(name)

    def _ask(self, name: str) -> str | None:
        value = self._asked(name)
        self._known[name] = self._clock(), value
        return value

    def _asked(self, name: str) -> str | None:
        try:
            return self._fetch(name)
        except Exception as error:  # noqa: BLE001  the border to a vendor's client, whose errors may quote what it was told
            raise PluginError(f"{self.what} could not be asked for {name!r} ({type(error).__name__}).") from None


def make(name: str, **settings: Any) -> Manager:
    """Return the manager of that name. Raises BadRequestError for another, PluginError where its client is missing.

    `ttl`, `prefix`, `primary` and `only` are every manager's; what else there is stands in its module.
    """
    if name not in KNOWN:
        raise BadRequestError(f"No secret manager {name!r}. There are {', '.join(KNOWN)}.")
    module, extra = KNOWN[name]
    common = {key: settings.pop(key) for key in ("ttl", "prefix", "primary", "only", "clock") if key in settings}
    try:
        loaded = importlib.import_module(module)
        fetch = loaded.fetcher(**settings)
    except ImportError as error:
        raise PluginError(f"{name} needs its client: pip install 'polyport-secrets[{extra}]'") from error
    except TypeError as error:
        raise BadRequestError(f"The secret manager {name}: {error}") from error
    except Exception as error:
        raise PluginError(f"{loaded.WHAT} cannot be set up ({type(error).__name__}).") from error
    return Manager(loaded.WHAT, fetch, **common)
