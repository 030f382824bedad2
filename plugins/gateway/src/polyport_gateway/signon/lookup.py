"""One question to one server of a directory, by LDAP: who has this name and this password?

    the gateway's own account searches for the name -> the password is tried as whom it found -> groups

This is a process of its own, which directory.py starts, bounds and ends: libldap waits for ever in a TLS handshake
that the server does not go on with, whatever its timeouts say (2.5 with GnuTLS, seen 2026-11-30), and cannot be stopped
from within. The question comes as JSON by standard input, so that no password is in any list of processes.

https://www.python-ldap.org/en/latest/reference/ldap.html https://www.rfc-editor.org/rfc/rfc4515 (what must be escaped
in filters)
"""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Iterator
from typing import Any, TypeAlias

import ldap  # type: ignore[import-untyped,import-not-found,unused-ignore]  # it has no types, and is an extra
import ldap.dn  # type: ignore[import-untyped,import-not-found,unused-ignore]
import msgspec
from ldap.filter import escape_filter_chars  # type: ignore[import-untyped,import-not-found,unused-ignore]

from polyport_gateway.signon.questions import Question, Told
from polyport_gateway.signon.settings import LdapRules

#: One entry: its name, and its attributes.
Entry: TypeAlias = tuple[str, dict[str, list[bytes]]]
#: What says that a server cannot answer now, so that the next one is asked.
AWAY = (ldap.SERVER_DOWN, ldap.CONNECT_ERROR, ldap.TIMEOUT, ldap.UNAVAILABLE, ldap.BUSY, ldap.TIMELIMIT_EXCEEDED)
#: Groups that are read.
GROUPS = 1000


class Failed(Exception):
    """The directory is not as the configuration says."""


def answer(question: Question) -> Told:
    """Return what a server tells."""
    try:
        return _ask(question)
    except AWAY as error:
        return Told(problem="away", why=_why(error))
    except Failed as error:
        return Told(problem="failed", why=str(error))


def _ask(question: Question) -> Told:
    rules, server = question.rules, question.server
    with _connected(server, rules) as connection:
        _bind_own(connection, rules)
        entry = _find(connection, question)
        # who is not there is tried as well, so that it takes as long
        name = entry[0] if entry is not None else f"cn={secrets.token_hex(8)},{rules.base_dn}"
        proved = _proves(server, rules, name, question.password)
        if entry is None or not proved:
            return Told(problem="wrong")
        return Told(name=entry[0], attributes=entry[1], groups=_groups(connection, entry, question))


@contextlib.contextmanager
def _connected(server: str, rules: LdapRules) -> Iterator[Any]:
    connection = ldap.initialize(server)
    try:
        connection.set_option(ldap.OPT_PROTOCOL_VERSION, ldap.VERSION3)
        connection.set_option(ldap.OPT_REFERRALS, ldap.OPT_OFF)  # a password goes to no server but these
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, rules.timeout)
        connection.set_option(ldap.OPT_TIMEOUT, rules.timeout)
        if rules.ca_file is not None:
            connection.set_option(ldap.OPT_X_TLS_CACERTFILE, rules.ca_file)
        connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
        connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
        if rules.start_tls and server.startswith("ldap://"):
            connection.start_tls_s()
        yield connection
    finally:
        with contextlib.suppress(ldap.LDAPError):
            connection.unbind_s()


def _bind_own(connection: Any, rules: LdapRules) -> None:
    try:
        connection.simple_bind_s(rules.bind_dn or "", rules.bind_password or "")
    except AWAY:
        raise
    except ldap.LDAPError as error:
        raise Failed(f"refuses the gateway's own account ({_why(error)})") from error


def _proves(server: str, rules: LdapRules, name: str, password: str) -> bool:
    """Whether an entry has this password, which is not empty."""
    with _connected(server, rules) as connection:
        try:
            connection.simple_bind_s(name, password)
        except AWAY:
            raise
        except ldap.LDAPError:  # wrong, locked, expired: all the same to who asks
            return False
        return True


def _find(connection: Any, question: Question) -> Entry | None:
    """Return the entry that a name means; None for none, and for several."""
    rules = question.rules
    text = rules.user_filter.replace("{username}", escape_filter_chars(question.username))
    found = _search(connection, rules, rules.base_dn, text, question.attributes, 2)
    return found[0] if len(found) == 1 else None


def _groups(connection: Any, entry: Entry, question: Question) -> list[str]:
    """Return the names of groups that somebody is in."""
    rules = question.rules
    if rules.member_of is not None:
        return [name for name in map(_first_of, _texts(entry, rules.member_of)) if name]
    if rules.group_base_dn is None:
        return []
    text = rules.group_filter.replace("{dn}", escape_filter_chars(entry[0]))
    text = text.replace("{username}", escape_filter_chars(question.username))
    found = _search(connection, rules, rules.group_base_dn, text, (rules.group_attribute,), GROUPS)
    return [name for group in found for name in _texts(group, rules.group_attribute)]


def _search(
    connection: Any, rules: LdapRules, base: str, text: str, attributes: tuple[str, ...], most: int
) -> list[Entry]:
    try:
        rows = connection.search_ext_s(
            base, ldap.SCOPE_SUBTREE, text, list(attributes), timeout=rules.timeout, sizelimit=most
        )
    except AWAY:
        raise
    except ldap.SIZELIMIT_EXCEEDED as error:
        if most < GROUPS:
            return []  # several by one name are nobody
        raise Failed(f"has more than {GROUPS} groups for one person") from error
    except ldap.LDAPError as error:
        raise Failed(f"cannot be searched at {base} ({_why(error)})") from error
    return [(name, values) for name, values in rows if name is not None]  # None: a referral to elsewhere


def _texts(entry: Entry, name: str) -> list[str]:
    """Return an attribute's values; its name is the same in upper case and lower."""
    found = {key.casefold(): values for key, values in entry[1].items()}
    return [value.decode(errors="replace") for value in found.get(name.casefold(), [])]


def _first_of(name: str) -> str:
    """Return the first value of a distinguished name: admins, of cn=admins,ou=groups,dc=example,dc=com."""
    try:
        return str(ldap.dn.str2dn(name)[0][0][1])
    except (ldap.LDAPError, IndexError):
        return ""


def _why(error: Exception) -> str:
    """Return what OpenLDAP says of an error: no name, no password."""
    told = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    return f"{type(error).__name__} {told.get('info', '')}".strip()


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    sys.stdout.buffer.write(msgspec.json.encode(answer(asked)))
