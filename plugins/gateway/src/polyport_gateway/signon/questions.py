"""What is asked of a directory's server, and what it tells: between directory.py and the process that lookup.py is."""

from __future__ import annotations

import msgspec

from polyport_gateway.signon.settings import LdapRules


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Who has this name and password? `attributes` are what is to be told of them."""

    server: str
    rules: LdapRules
    username: str
    password: str
    attributes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Question to {self.server}>"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An entry with its name, attributes and groups; or a problem: wrong, away, failed, and why."""

    problem: str = ""
    why: str = ""
    name: str = ""
    attributes: dict[str, list[bytes]] = {}
    groups: list[str] = []
