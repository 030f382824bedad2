"""What can be said of keys, users, teams, projects, customers and budgets: wire names, columns, and what they take.

The names are those that LiteLLM's users know. A name that is not here is refused with the nearest one that is.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from polyport.budgets import nano, seconds
from polyport.caching.controls import NAMES as CONTROLS
from polyport.errors import BadRequestError
from polyport.types.bill import NANO
from polyport_gateway import buckets
from polyport_gateway.limits import period
from polyport_gateway.rows import BudgetRow, CustomerRow, Entity, KeyRow, ProjectRow, TeamRow, UserRow
from polyport_gateway.signon.settings import ROLES

Read: TypeAlias = Callable[[str, Any], Any]
#: Columns of numbers go as far as this.
HIGHEST = 2**31 - 1


def _wrong(name: str, needed: str) -> BadRequestError:
    return BadRequestError(f"{name} must be {needed}.")


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > 255 or not value.isprintable():
        raise _wrong(name, "a text of at most 255 characters on one line")
    return value


def _count(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= HIGHEST:
        raise _wrong(name, f"a whole number from 0 to {HIGHEST}, or null for no limit")
    return value


def _money(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9 or math.isnan(value):
        raise _wrong(name, "an amount of USD, or null for no limit")
    return nano(value)


def _period(name: str, value: Any) -> str:
    text = _text(name, value)
    if len(text) > 16:
        raise _wrong(name, "a duration such as 30s, 1d or 1mo")
    period(text, time.time())
    return text


def _texts(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > 1000:
        raise _wrong(name, "a list of texts")
    return [_text(name, one) for one in value]


def _networks(name: str, value: Any) -> list[str]:
    found = _texts(name, value)
    for one in found:
        try:
            ipaddress.ip_network(one, strict=False)
        except ValueError as error:
            raise _wrong(name, "a list of IP addresses or networks, such as 10.0.0.0/8") from error
    return found


def _object(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(name, "an object")
    return value


def _names(name: str, value: Any) -> dict[str, Any]:
    found = _object(name, value)
    for key, one in found.items():
        _text(name, key)
        _text(name, one)
    return found


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, "true or false")
    return value


def _role(name: str, value: Any) -> str:
    if value not in ("", None, *ROLES):
        raise _wrong(name, f"one of {', '.join(ROLES)}")
    return value or ""


def _members(name: str, value: Any) -> dict[str, Any]:
    if not all(role in ("admin", "member") for role in _names(name, value).values()):
        raise _wrong(name, 'an object of user ids to "admin" or "member"')
    return _object(name, value)


def _expiry(name: str, value: Any) -> float | None:
    length = seconds(_text(name, value) or None)
    return None if length is None else time.time() + length


def _instant(name: str, value: Any) -> float | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11):
        raise _wrong(name, "seconds since 1970, or null")
    return None if value is None else float(value)


def _model(name: str, value: Any) -> str:
    """Return the name of a model, or the beginning of several: openai/*."""
    found = _text(name, value)
    if "*" in found[:-1]:
        raise _wrong(name, "models, or beginnings of their names that end with *, such as openai/*")
    return found


#: Limits: wire name -> column, reader. They may also stand for single models: {"model_limits": {"gpt-4o": {...}}}.
LIMITS: dict[str, tuple[str, Read]] = {
    "rpm_limit": ("rpm", _count),
    "tpm_limit": ("tpm", _count),
    "max_parallel_requests": ("parallel", _count),
    "max_budget": ("max_budget", _money),
    "soft_budget": ("soft_budget", _money),
    "budget_duration": ("budget_duration", _period),
}


def _model_limits(name: str, value: Any) -> dict[str, Any]:
    return {
        _model(name, model): read(LIMITS, f"{name}.{model[:60]}", _object(name, limits))
        for model, limits in _object(name, value).items()
    }


class Part(dict[str, Any]):
    """What changes a part of a column that holds an object: the rest of it stays. None takes a name out."""

    def of(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """Return the column with this part changed; objects in it are changed in part as well."""
        found = dict(before)
        for name, value in self.items():
            if value is None:
                found.pop(name, None)
            else:
                old = found.get(name)
                found[name] = (
                    Part(value).of(old if isinstance(old, Mapping) else {}) if isinstance(value, dict) else value
                )
        return found


def _of_models(limit: str) -> Read:
    """Return what reads {"gpt-4o": number}: one limit of several models, beside what else holds for them."""

    def read_one(name: str, value: Any) -> Part:
        return Part(
            {_model(name, model): _one(f"{name}.{model[:60]}", one) for model, one in _object(name, value).items()}
        )

    def _one(name: str, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):  # {"budget_limit": 1, "time_period": "1d"}
            return read({**LIMITS, **PERIODS}, name, value)
        column, reader = LIMITS[limit]
        return {column: reader(name, value)}

    return read_one


def _setting(key: str, reader: Read) -> tuple[str, Read]:
    """Return the row of what stands in the column `policy`."""
    return "policy", lambda name, value: Part({key: None if value is None else reader(name, value)})


def _member(limit: str) -> tuple[str, Read]:
    """Return the row of a limit that holds for each member of a team."""
    column, reader = LIMITS[limit]
    return "member_limits", lambda name, value: Part({column: None if value is None else reader(name, value)})


def _bound(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86_400:
        raise _wrong(name, "a number of seconds above 0, or null")
    return float(value)


def _retries(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10:
        raise _wrong(name, "a whole number from 0 to 10, or null")
    return value


def _controls(name: str, value: Any) -> list[str]:
    found = _texts(name, value)
    for one in found:
        if one not in CONTROLS:
            raise _wrong(name, f"a list of {', '.join(CONTROLS)}")
    return found


def _storage(name: str, value: Any) -> list[str]:
    return list(buckets.prefixes(name, _texts(name, value)))


#: Names of a budget for one model, as LiteLLM's users write them.
PERIODS: dict[str, tuple[str, Read]] = {
    "budget_limit": ("max_budget", _money),
    "time_period": ("budget_duration", _period),
}
#: One limit of several models: {"gpt-4o": 10}.
MODEL_LIMITS: dict[str, tuple[str, Read]] = {
    "model_limits": ("model_limits", _model_limits),
    "model_max_budget": ("model_limits", _of_models("max_budget")),
    "model_rpm_limit": ("model_limits", _of_models("rpm_limit")),
    "model_tpm_limit": ("model_limits", _of_models("tpm_limit")),
}
#: What holds for each call of somebody: wire name -> key in the column `policy`.
POLICY: dict[str, tuple[str, Read]] = {
    "guardrails": _setting("guardrails", _texts),
    "allowed_cache_controls": _setting("controls", _controls),
    "disable_cache": _setting("no_cache", _flag),
    "num_retries": _setting("retries", _retries),
    "timeout": _setting("timeout", _bound),
    "allowed_storage": _setting("storage", _storage),
}
#: Limits of each member of a team.
MEMBERS: dict[str, tuple[str, Read]] = {
    "team_member_budget": _member("max_budget"),
    "team_member_budget_duration": _member("budget_duration"),
    "team_member_rpm_limit": _member("rpm_limit"),
    "team_member_tpm_limit": _member("tpm_limit"),
}
#: What LiteLLM's users know, and there is none of here: why not, and what to say in its place.
REFUSED = {
    "permissions": "say what a key may do by role, models and allowed_routes",
    "config": "what all calls go by stands in config.yaml",
    "spend": "what was spent is what the ledger says",
    "key": "keys are made here, of 256 random bits",
    "organization_id": "there are no organizations: keys belong to users, teams and projects",
    "send_invite_email": "no mail is sent from here",
    "auto_create_key": "make the key at /key/generate",
    "key_type": "say what a key may do by role and allowed_routes",
    "enforced_params": "say what holds for all calls by guardrails, num_retries and timeout",
    "object_permission": "say what a key may do by models and allowed_routes",
    "auto_rotate": "rotate a key at /key/rotate",
    "rotation_interval": "rotate a key at /key/rotate",
    "prompts": "there are no stored prompt templates here",
    "members_with_roles": 'write members: {"user": "admin"}',
    "router_settings": "say num_retries and timeout, or change config.yaml",
    "tpm_limit_type": "limits are exact, and refuse what they do not hold",
    "rpm_limit_type": "limits are exact, and refuse what they do not hold",
}

COMMON: dict[str, tuple[str, Read]] = {
    **LIMITS,
    **MODEL_LIMITS,
    **POLICY,
    "budget_id": ("budget_id", _text),
    "models": ("models", _texts),
    "tags": ("tags", _texts),
    "metadata": ("details", _object),
    "blocked": ("blocked", _flag),
}
#: Kind -> its table and what can be said of it.
KINDS: dict[str, tuple[type[Entity], dict[str, tuple[str, Read]]]] = {
    "key": (
        KeyRow,
        COMMON
        | {
            "key_alias": ("alias", _text),
            "user_id": ("user_id", _text),
            "team_id": ("team_id", _text),
            "project_id": ("project_id", _text),
            "role": ("role", _role),
            "duration": ("expires", _expiry),
            "expires": ("expires", _instant),
            "aliases": ("aliases", _names),
            "allowed_routes": ("routes", _texts),
            "allowed_ips": ("ips", _networks),
        },
    ),
    "user": (
        UserRow,
        COMMON | {"user_alias": ("alias", _text), "user_email": ("email", _text), "user_role": ("role", _role)},
    ),
    "team": (TeamRow, COMMON | {"team_alias": ("alias", _text), "members": ("members", _members)} | MEMBERS),
    "project": (ProjectRow, COMMON | {"project_alias": ("alias", _text), "team_id": ("team_id", _text)}),
    "customer": (CustomerRow, COMMON | {"alias": ("alias", _text)}),
    "budget": (BudgetRow, {name: one for name, one in COMMON.items() if name != "budget_id"}),
}
#: Said by its length, shown as its instant.
UNSHOWN = ("duration", "model_max_budget", "model_rpm_limit", "model_tpm_limit", *POLICY, *MEMBERS)


def read(fields: Mapping[str, tuple[str, Read]], where: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns and values. Raises BadRequestError, which names what is wrong."""
    found: dict[str, Any] = {}
    for name, value in body.items():
        if name not in fields:
            if name in REFUSED and value in (None, "", {}, [], False):
                continue  # it says nothing
            raise BadRequestError(f"{where} has no {str(name)[:60]!r}{_hint(str(name), fields)}")
        column, reader = fields[name]
        made = reader(name, value)
        found[column] = _merged(found[column], made) if column in found else made
    return found


def _merged(one: Any, other: Any) -> Any:
    """Return what two names say of one column together."""
    if isinstance(other, Part):
        return Part(other.of(one)) if isinstance(one, Part) else other.of(one)
    return one.of(other) if isinstance(one, Part) else other


def _hint(name: str, fields: Mapping[str, tuple[str, Read]]) -> str:
    if name in REFUSED:
        return f": {REFUSED[name]}."
    near = difflib.get_close_matches(name, fields, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(fields))}."


def show(kind: str, row: Entity, budget: BudgetRow | None = None) -> dict[str, Any]:
    """Return an entity in the wire's names, with amounts in USD, and when its budget begins anew.

    `budget` is the shared one that it names, if any: whose window holds where it has none of its own.
    """
    fields = KINDS[kind][1]
    shown = {f"{kind}_id": row.id, "created_at": row.created_at, "updated_at": row.updated_at}
    for name, (column, _) in fields.items():
        if name not in UNSHOWN:
            shown[name] = _told(column, getattr(row, column))
    for name in POLICY:
        shown[name] = row.policy.get(KEYS[name])
    if isinstance(row, TeamRow):
        limits = _told("member_limits", row.member_limits)
        shown |= {name: limits.get(OF_MEMBERS[name]) for name in MEMBERS}
    duration = row.budget_duration or (budget.budget_duration if budget is not None else "")
    shown["budget_reset_at"] = period(duration, time.time())[1]
    if isinstance(row, KeyRow):
        shown["key_name"] = row.hint
    return shown


#: Wire names -> where they stand.
KEYS = {
    "guardrails": "guardrails", "allowed_cache_controls": "controls", "disable_cache": "no_cache",
    "num_retries": "retries", "timeout": "timeout", "allowed_storage": "storage",
}  # fmt: skip
OF_MEMBERS = {
    "team_member_budget": "max_budget", "team_member_budget_duration": "budget_duration",
    "team_member_rpm_limit": "rpm_limit", "team_member_tpm_limit": "tpm_limit",
}  # fmt: skip


def _told(column: str, value: Any) -> Any:
    if column in ("max_budget", "soft_budget"):
        return None if value is None else value / NANO
    names = {column: name for name, (column, _) in LIMITS.items()}
    if column == "member_limits":
        return {names[one]: _told(one, limit) for one, limit in value.items()}
    if column == "model_limits":
        return {model: _told("member_limits", limits) for model, limits in value.items()}
    return value
