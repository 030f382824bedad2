"""A configuration as people may see it: with every secret hidden, and what is different between two of them.

Hidden are the values of what is named like a credential, of headers and of environment variables, passwords in
addresses, what looks like a key wherever it stands, and each hidden value again where another text repeats it. A
reference (`os.environ/NAME`) is no secret: it is shown as it is, and what it stands for never is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from polyport.observing.redaction import HIDDEN, NUMBERS, SHORTEST_SECRET, is_secret

#: What is below these names is hidden whole.
CLOSED = re.compile(r"headers$|^environment_variables$|webhook|^salt|connection_string|dsn$", re.IGNORECASE)
#: References that secrets are found by; they tell a name.
REFERENCES = ("os.environ/", "file/", "secret/")
#: What looks like a key, by the beginnings that vendors give theirs, a signed token, or a private key.
KEYS = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|ghp|github_pat|glpat|r8|pplx|nvapi|xox[abp])[-_][\w-]{6,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{12,}|\bAIza[\w-]{20,}|\beyJ[\w-]{10,}\.[\w-]{5,}(?:\.[\w-]*)?"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*"
)
#: user:password@ of an address, and what a query says.
PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s]*@")
QUERY = re.compile(r"([?&;])([\w.-]+)=([^&;\s]+)")
SIGNATURES = frozenset({"sig", "signature", "x-amz-signature", "x-amz-credential", "x-amz-security-token"})
#: What names a member of a list.
NAMES = ("model_name", "guardrail_name", "credential_name", "name", "id")


class Change(dict[str, Any]):
    """One difference: `path`, what was `before`, what is `after`; None where there is nothing."""


def shown(value: Any) -> Any:
    """Return a copy of a configuration in which no secret is."""
    known = sorted({one for one in _secrets(value, "", closed=False) if len(one) >= SHORTEST_SECRET}, key=len)
    return _copy(value, "", known[::-1], closed=False)


def text(message: str, *sources: Any) -> str:
    """Return a message without what looks like a key, and without the secrets of these configurations."""
    for source in sources:
        for one in sorted(_secrets(source, "", closed=False), key=len, reverse=True):
            if len(one) >= SHORTEST_SECRET:
                message = message.replace(one, HIDDEN)
    return _text(message, ())


def changes(before: Any, after: Any) -> list[Change]:
    """Return what is different, with every secret hidden; that a secret is another one is told."""
    return [*_changes(before, after, shown(before), shown(after), "$")]


# --- hiding ---


def _closed(name: str, *, closed: bool) -> bool:
    return closed or is_secret(name) or CLOSED.search(name) is not None


def _secrets(value: Any, name: str, *, closed: bool) -> Iterator[str]:
    """Yield the texts that are hidden because of what they are named."""
    closed = _closed(name, closed=closed)
    if isinstance(value, Mapping):
        for inner, one in value.items():
            yield from _secrets(one, str(inner), closed=closed)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _secrets(one, "", closed=closed)
    elif closed and isinstance(value, str) and not value.startswith(REFERENCES):
        yield value


def _copy(value: Any, name: str, known: Sequence[str], *, closed: bool) -> Any:
    closed = _closed(name, closed=closed)
    if isinstance(value, Mapping):
        return {str(inner): _copy(one, str(inner), known, closed=closed) for inner, one in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(one, "", known, closed=closed) for one in value]
    if type(value) in NUMBERS:
        return HIDDEN if closed and not isinstance(value, bool) and value is not None and _number_hides(name) else value
    if isinstance(value, str) and value.startswith(REFERENCES):
        return value
    return HIDDEN if closed else _text(str(value), known)


def _number_hides(name: str) -> bool:
    """Whether even a number is a credential here: a password of digits is one, a price by the token is none."""
    return re.search(r"passw|secret|_key$", name, re.IGNORECASE) is not None


def _text(value: str, known: Sequence[str]) -> str:
    for one in known:
        value = value.replace(one, HIDDEN)
    value = PASSWORD.sub(rf"\1:{HIDDEN}@", value)
    value = QUERY.sub(_of_query, value)
    return KEYS.sub(HIDDEN, value)


def _of_query(found: re.Match[str]) -> str:
    name = found[2]
    hidden = is_secret(name) or name.lower() in SIGNATURES
    return f"{found[1]}{name}={HIDDEN}" if hidden else found[0]


# --- comparing ---


def _changes(before: Any, after: Any, old: Any, new: Any, path: str) -> Iterator[Change]:
    if before == after and type(before) is type(after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys([*before, *after]):
            key = str(name)
            yield from _changes(before.get(name), after.get(name), old.get(key), new.get(key), f"{path}.{key}")
        return
    named = _named(before, after)
    if named is not None:
        first, second = named
        for name in dict.fromkeys([*first, *second]):
            here, there = first.get(name), second.get(name)
            yield from _changes(
                None if here is None else before[here], None if there is None else after[there],
                None if here is None else old[here], None if there is None else new[there], f"{path}[{name}]",
            )  # fmt: skip
        return
    yield Change(path=path, before=old, after=new)


def _named(before: Any, after: Any) -> tuple[dict[str, int], dict[str, int]] | None:
    """Return the places of two lists' members by their names; None where they are no lists of what has names."""
    if not (isinstance(before, list) and isinstance(after, list)):
        return None
    found: list[dict[str, int]] = [{}, {}]
    for places, members in zip(found, (before, after), strict=True):
        for place, member in enumerate(members):
            name = next((member[one] for one in NAMES if one in member), None) if isinstance(member, Mapping) else None
            if name is None:
                return None
            same = sum(1 for known in places if known == name or known.startswith(f"{name} #"))
            places[f"{name} #{same + 1}" if same else str(name)] = place
    return found[0], found[1]
