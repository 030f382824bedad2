"""A directory: people sign in with the name and password that they have there, by LDAP.

One server after the other is asked, each by a process of its own, which is ended when it takes too long: see lookup.py.
https://www.rfc-editor.org/rfc/rfc4513#section-5.1.2 (an empty password is no proof)
"""

from __future__ import annotations

import asyncio
import logging
import sys

import msgspec

from polyport_gateway.gate import GateError
from polyport_gateway.signon.people import Person
from polyport_gateway.signon.questions import Question, Told
from polyport_gateway.signon.settings import LdapRules

log = logging.getLogger("polyport.gateway.signon")

#: Attributes that stay with a person, whatever becomes of the name: OpenLDAP's, Active Directory's, 389's, FreeIPA's.
SUBJECTS = ("entryUUID", "objectGUID", "nsUniqueId", "ipaUniqueID")
#: Sign-ins at a time; characters of a name and of a password.
AT_A_TIME, LONGEST = 4, 256
#: Steps of a sign-in that may each take `timeout`, and seconds that a process takes to begin.
STEPS, BEGINS = 5, 5.0


class Directory:
    """One directory, on one or several servers."""

    def __init__(self, rules: LdapRules) -> None:
        self.rules = rules
        self._servers = list(rules.servers)
        self._room = asyncio.Semaphore(AT_A_TIME)

    async def person(self, username: str, password: str) -> Person:
        """Return who has a name and a password. Raises GateError: 401, or 503 where no server answers."""
        if not possible(username) or not possible(password):
            raise _wrong()
        async with self._room:
            for server in list(self._servers):
                told = await self._ask(server, username, password)
                if told.problem != "away":
                    self._servers.sort(key=lambda one: one != server)  # it is asked first the next time
                    return self._understand(told)
                log.warning("the directory server %s does not answer: %s", server, told.why)
        raise GateError(503, "directory_unavailable", "The directory does not answer. Try again.", retry_after=5)

    async def _ask(self, server: str, username: str, password: str) -> Told:
        question = self.question(server, username, password)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "polyport_gateway.signon.lookup",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(BEGINS + STEPS * self.rules.timeout):
                said, _ = await process.communicate(msgspec.json.encode(question))
            return msgspec.json.decode(said, type=Told)
        except TimeoutError:
            return Told(problem="away", why="it takes too long")
        except msgspec.DecodeError:
            return Told(problem="failed", why=f"could not be asked (the process ended with {process.returncode})")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    def question(self, server: str, username: str, password: str) -> Question:
        """Return what a server is asked."""
        rules = self.rules
        named = (rules.id_attribute, rules.email_attribute, rules.name_attribute, rules.member_of, *self._subjects())
        attributes = tuple(name for name in named if name is not None)
        return Question(server=server, rules=rules, username=username, password=password, attributes=attributes)

    def _subjects(self) -> tuple[str, ...]:
        return (self.rules.subject_attribute,) if self.rules.subject_attribute is not None else SUBJECTS

    # --- what it told ---

    def _understand(self, told: Told) -> Person:
        rules = self.rules
        if told.problem == "wrong":
            raise _wrong()
        if told.problem:
            log.error("the directory %s %s", rules.id, told.why)
            raise GateError(502, "directory_failed", "The directory cannot be used: ask whoever runs this gateway.")
        found = {name.casefold(): values for name, values in told.attributes.items()}
        named = _text(found, rules.id_attribute)
        if not named:
            raise GateError(403, "no_user_id", f"The directory does not say {rules.id_attribute!r} of you.")
        return Person(
            provider=rules.id,
            subject=self._subject(found, told.name),
            user_id=named,
            email=_text(found, rules.email_attribute),
            name=_text(found, rules.name_attribute)[:100],
            roles=told.groups if rules.roles else None,
            teams=told.groups if rules.teams or rules.team_admins or rules.create_teams else None,
        )

    def _subject(self, found: dict[str, list[bytes]], name: str) -> str:
        for attribute in self._subjects():
            for value in found.get(attribute.casefold(), []):
                text = value.decode(errors="replace")
                return f"{attribute}={text if text.isascii() and text.isprintable() else value.hex()}"
        return f"dn={name.casefold()}"


def _wrong() -> GateError:
    return GateError(401, "invalid_credentials", "The name or the password is wrong.")


def possible(text: str) -> bool:
    """Whether a text may be a name or a password."""
    return 0 < len(text) <= LONGEST and "\0" not in text and not any("\ud800" <= one <= "\udfff" for one in text)


def _text(found: dict[str, list[bytes]], name: str) -> str:
    """Return an attribute's first value; its name is the same in upper case and lower."""
    return next(iter(found.get(name.casefold(), [])), b"").decode(errors="replace")
