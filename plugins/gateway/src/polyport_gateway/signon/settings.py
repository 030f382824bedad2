"""general_settings' part about signing on, checked: an unknown name is told with its place and the nearest right one.

general_settings:
  session_secret: os.environ/SESSION_SECRET     # else made from the master key
  session_hours: 12
  public_url: https://gateway.example.com       # where people find this gateway
  trusted_proxies: [10.0.0.0/8]                 # whose X-Forwarded-Proto and -For are believed
"""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Mapping
from typing import Any

import msgspec

from polyport.errors import BadRequestError

#: Settings, and what each means.
SIGNON: dict[str, str] = {
    "session_secret": "what sessions are signed with; else made from the master key",
    "session_hours": "how long somebody stays signed in: 12",
    "public_url": "where people find this gateway: https://gateway.example.com",
    "trusted_proxies": "addresses and networks whose X-Forwarded-For and -Proto are believed",
}
#: Characters that a secret has at least.
SECRET = 16
PLACE = "$.general_settings"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How people and services sign on."""

    session_secret: str | None = None
    session_hours: float = 12.0
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Settings of signing on: {self.session_hours} hours>"


def read(given: Mapping[str, Any]) -> Settings:
    """Return the settings that are in general_settings. Raises BadRequestError naming the place."""
    found = {name: value for name, value in given.items() if name in SIGNON}
    try:
        settings = msgspec.convert(found, Settings, str_keys=True)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"{PLACE}: {error}") from error
    if settings.session_secret is not None and len(settings.session_secret) < SECRET:
        raise BadRequestError(f"{PLACE}.session_secret is too short: take {SECRET} random characters or more.")
    if not 0 < settings.session_hours <= 24 * 90:
        raise BadRequestError(f"{PLACE}.session_hours is a number of hours, above 0 and at most 2160.")
    if settings.public_url and not settings.public_url.startswith(("https://", "http://")):
        raise BadRequestError(f"{PLACE}.public_url begins with https:// or http://.")
    _check_networks(settings.trusted_proxies)
    return settings


def _check_networks(networks: tuple[str, ...]) -> None:
    for one in networks:
        try:
            ipaddress.ip_network(one)
        except ValueError as error:
            raise BadRequestError(f"{PLACE}.trusted_proxies is a list of IP addresses and networks: {error}") from error


def known(given: Any, kind: type[msgspec.Struct], path: str) -> None:
    """Raise BadRequestError for a name that a struct does not have."""
    if not isinstance(given, Mapping):
        raise BadRequestError(f"{path} must be a mapping, not {type(given).__name__}")
    for name in given:
        if name not in kind.__struct_fields__:
            near = difflib.get_close_matches(str(name), kind.__struct_fields__, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(kind.__struct_fields__))}"
            raise BadRequestError(f"{path} has {str(name)[:60]!r}, which nothing reads: {hint}")
