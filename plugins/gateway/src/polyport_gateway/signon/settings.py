"""general_settings' part about signing on, checked: an unknown name is told with its place and the nearest right one.

general_settings:
  session_secret: os.environ/SESSION_SECRET     # else made from the master key
  session_hours: 12
  public_url: https://gateway.example.com       # where people find this gateway
  trusted_proxies: [10.0.0.0/8]                 # whose X-Forwarded-Proto and -For are believed
  sso: [{id: company, issuer: https://login.example.com, client_id: ..., client_secret: ...}]
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from polyport.errors import BadRequestError

#: Settings, and what each means.
SIGNON: dict[str, str] = {
    "session_secret": "what sessions are signed with; else made from the master key",
    "session_hours": "how long somebody stays signed in: 12",
    "public_url": "where people find this gateway: https://gateway.example.com",
    "sso": "where people sign in by OpenID Connect: [{id, issuer, client_id, client_secret, ...}]",
    "ldap": "where people sign in with a name and a password: [{id, servers, base_dn, ...}]",
    "jwt_auth": "whose JWTs services may send for a key: [{id, issuer, audience, ...}]",
    "trusted_proxies": "addresses and networks whose X-Forwarded-For and -Proto are believed",
}
#: Names of this machine.
LOCAL = ("127.0.0.1", "::1", "localhost")
#: Characters that a secret has at least.
SECRET = 16
PLACE = "$.general_settings"
#: What an administrator can do, and less. A key without a role only calls models, and asks about itself.
ROLES = ("admin", "team_admin", "member", "viewer")
#: Signatures that a public key proves. https://www.rfc-editor.org/rfc/rfc7518#section-3.1
ALGORITHMS = {
    "RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
    "ES256": "EC", "ES384": "EC", "ES512": "EC", "EdDSA": "OKP",
}  # fmt: skip


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who of a provider's people are let in, and as what. `id` is ours for the provider; `title` stands on its button.

    `roles` maps what the provider says (of claims, or groups) to roles, `teams` and `team_admins` to ids of teams;
    without them its words are roles and ids themselves. `default_role` is for who has no role by that; null refuses
    them. People who are not users yet are made users where `create_users`, and teams are made where `create_teams`.
    With `allowed_domains`, only e-mail addresses of these are let in. A user that was there before, or came by another
    provider, is taken for the same person only where `link_users`: with it, a provider can be anybody it says.
    """

    id: str = ""
    title: str = ""
    roles: dict[str, str] = {}
    default_role: str | None = "member"
    teams: dict[str, str] = {}
    team_admins: dict[str, str] = {}
    create_users: bool = True
    create_teams: bool = False
    link_users: bool = False
    allowed_domains: tuple[str, ...] = ()


class OidcRules(Rules, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider of OpenID Connect. Its claims may be named by a path: realm_access.roles.

    `require_verified_email`: an address counts only where the provider says that it is this person's.
    `userinfo`: ask for what the ID token does not say.
    """

    issuer: str
    client_id: str
    client_secret: str | None = None
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    user_id_claim: str = "sub"
    email_claim: str = "email"
    name_claim: str = "name"
    role_claim: str | None = None
    teams_claim: str | None = None
    require_verified_email: bool = True
    userinfo: bool = False
    timeout: float = 10.0

    def __repr__(self) -> str:
        return f"<OpenID Connect at {self.issuer}>"


class LdapRules(Rules, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A directory, on servers that are asked in this order: ldaps://..., or ldap://... with `start_tls`.

    `bind_dn` and `bind_password` are the gateway's own account, by which it searches `base_dn` for a name. Somebody's
    groups are those that `group_filter` finds, or that the attribute `member_of` names; they are the words of `roles`,
    `teams` and `team_admins`. `subject_attribute` is what never changes of an entry.
    """

    servers: tuple[str, ...]
    base_dn: str
    bind_dn: str | None = None
    bind_password: str | None = None
    start_tls: bool = False
    ca_file: str | None = None
    user_filter: str = "(uid={username})"
    id_attribute: str = "uid"
    email_attribute: str = "mail"
    name_attribute: str = "cn"
    subject_attribute: str | None = None
    group_base_dn: str | None = None
    group_filter: str = "(|(member={dn})(uniqueMember={dn})(memberUid={username}))"
    group_attribute: str = "cn"
    member_of: str | None = None
    timeout: float = 5.0

    def __repr__(self) -> str:
        return f"<Directory at {', '.join(self.servers)}>"


class JwtRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An issuer whose JWTs services may send in place of a key. Claims may be named by a path: app.team.

    Its keys are at `jwks_url`, or are `public_key` (PEM), or where the issuer's own document says. `scopes` maps scopes
    to routes (patterns, without /v1), which are then the only ones. `unknown` says what becomes of a token whose user,
    team or project is not here: refuse it, create them, or ignore that they are unknown: then it has no limits by them.
    `limits_claim` is an object with the names that keys have: {"rpm_limit": 10, "max_budget": 5}. The keys are fetched
    anew every `keys_seconds`; where that cannot be done, they are believed for `keys_stale_seconds`.
    """

    id: str
    issuer: str
    audience: str | tuple[str, ...]
    jwks_url: str | None = None
    public_key: str | None = None
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    subject_claim: str = "sub"
    user_claim: str | None = None
    team_claim: str | None = None
    project_claim: str | None = None
    models_claim: str | None = None
    limits_claim: str | None = None
    role_claim: str | None = None
    roles: dict[str, str] = {}
    default_role: str = ""
    scope_claim: str = "scope"
    scopes: dict[str, tuple[str, ...]] = {}
    unknown: Literal["refuse", "create", "ignore"] = "refuse"
    timeout: float = 10.0
    keys_seconds: Annotated[float, msgspec.Meta(gt=0)] = 300.0
    keys_stale_seconds: Annotated[float, msgspec.Meta(gt=0)] = 3600.0


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How people and services sign on."""

    session_secret: str | None = None
    session_hours: float = 12.0
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    sso: tuple[OidcRules, ...] = ()
    ldap: tuple[LdapRules, ...] = ()
    jwt_auth: tuple[JwtRules, ...] = ()

    def __repr__(self) -> str:
        return f"<Settings of signing on: {self.session_hours} hours>"


#: Settings that are lists of these.
LISTS: dict[str, type[msgspec.Struct]] = {"sso": OidcRules, "ldap": LdapRules, "jwt_auth": JwtRules}


def read(given: Mapping[str, Any]) -> Settings:
    """Return the settings that are in general_settings. Raises BadRequestError naming the place."""
    found = {name: value for name, value in given.items() if name in SIGNON}
    for name, kind in LISTS.items():
        for place, one in enumerate(_list(found.get(name), f"{PLACE}.{name}")):
            known(one, kind, f"{PLACE}.{name}[{place}]")
    try:
        settings = msgspec.convert(found, Settings, str_keys=True)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"{PLACE}{_place(error)}") from error
    if settings.session_secret is not None and len(settings.session_secret) < SECRET:
        raise BadRequestError(f"{PLACE}.session_secret is too short: take {SECRET} random characters or more.")
    if not 0 < settings.session_hours <= 24 * 90:
        raise BadRequestError(f"{PLACE}.session_hours is a number of hours, above 0 and at most 2160.")
    if settings.public_url and not settings.public_url.startswith(("https://", "http://")):
        raise BadRequestError(f"{PLACE}.public_url begins with https:// or http://.")
    _check_networks(settings.trusted_proxies)
    _check_sso(settings.sso)
    _check_ldap(settings.ldap)
    _check_jwt(settings.jwt_auth)
    if settings.sso or settings.jwt_auth:
        _jwks()
    _unique((*settings.sso, *settings.ldap))
    _unique(settings.jwt_auth)
    return settings


def _check_networks(networks: tuple[str, ...]) -> None:
    for one in networks:
        try:
            ipaddress.ip_network(one)
        except ValueError as error:
            raise BadRequestError(f"{PLACE}.trusted_proxies is a list of IP addresses and networks: {error}") from error


def _check_sso(sso: tuple[OidcRules, ...]) -> None:
    for place, one in enumerate(sso):
        path = f"{PLACE}.sso[{place}]"
        _check_rules(one, path)
        check_address(one.issuer, f"{path}.issuer")
        check_algorithms(one.algorithms, f"{path}.algorithms")
        if one.default_role is None and one.role_claim is None:
            raise BadRequestError(f"{path}.default_role is null, so role_claim must say where roles are.")
        if "openid" not in one.scopes:
            raise BadRequestError(f"{path}.scopes must have openid among them.")


def _check_ldap(directories: tuple[LdapRules, ...]) -> None:
    for place, one in enumerate(directories):
        path = f"{PLACE}.ldap[{place}]"
        _check_rules(one, path)
        if not one.servers:
            raise BadRequestError(f"{path}.servers is empty: [ldaps://ldap.example.com]")
        for server in one.servers:
            _check_server(server, path, start_tls=one.start_tls)
        for name, needed in (("user_filter", "{username}"), ("group_filter", "")):
            text = getattr(one, name)
            if needed not in text or not text.startswith("(") or text.count("(") != text.count(")"):
                raise BadRequestError(f"{path}.{name} is a filter such as (uid={{username}}).")
        if one.bind_dn is not None and not one.bind_password:
            raise BadRequestError(f"{path}.bind_password is missing: without one, a bind proves nothing.")
        if one.ca_file is not None and not Path(one.ca_file).is_file():
            raise BadRequestError(f"{path}.ca_file is no file.")
        if one.default_role is None and not one.roles:
            raise BadRequestError(f"{path}.default_role is null, so roles must say which groups have one.")
    if directories and find_spec("ldap") is None:
        raise BadRequestError(
            "ldap needs python-ldap: pip install 'polyport-gateway[ldap]', which is built with OpenLDAP's headers "
            "(Debian: libldap-dev libsasl2-dev gcc)"
        )


def _check_server(server: str, path: str, *, start_tls: bool) -> None:
    parts = urlsplit(server)
    safe = parts.scheme == "ldaps" or (parts.scheme == "ldap" and (start_tls or parts.hostname in LOCAL))
    if not parts.hostname or not safe or parts.path not in ("", "/"):
        raise BadRequestError(f"{path}.servers are ldaps://host, or ldap://host with start_tls: passwords go there.")


def _check_jwt(issuers: tuple[JwtRules, ...]) -> None:
    for place, one in enumerate(issuers):
        path = f"{PLACE}.jwt_auth[{place}]"
        _check_id(one.id, path)
        for name in ("issuer", "jwks_url"):
            address = getattr(one, name)
            if address is not None and (name == "jwks_url" or (one.jwks_url is None and one.public_key is None)):
                check_address(address, f"{path}.{name}")
        check_algorithms(one.algorithms, f"{path}.algorithms")
        if one.public_key is not None:
            _jwks().jwk_of(one.public_key, path)
        if one.jwks_url is not None and one.public_key is not None:
            raise BadRequestError(f"{path} has jwks_url and public_key: say where the keys are once.")
        if not one.audience:
            raise BadRequestError(f"{path}.audience is empty: then tokens for anybody else would be taken.")
        for role in (*one.roles.values(), *([one.default_role] if one.default_role else [])):
            check_role(role, path)
    if len({one.issuer for one in issuers}) < len(issuers):
        raise BadRequestError(f"{PLACE}.jwt_auth has an issuer twice.")


def _jwks() -> Any:
    """Return what proves tokens. Raises BadRequestError where it is not installed."""
    try:
        from polyport_gateway.signon import jwks
    except ImportError as error:
        raise BadRequestError("sso and jwt_auth need PyJWT: pip install 'polyport-gateway[sso]'") from error
    return jwks


def _check_id(name: str, path: str) -> None:
    if not re.fullmatch(r"[a-z0-9_-]{1,40}", name):
        raise BadRequestError(f"{path}.id is a short name of letters a-z, digits, - and _: it is in addresses.")


def _check_rules(rules: Rules, path: str) -> None:
    _check_id(rules.id, path)
    for role in (*rules.roles.values(), *([rules.default_role] if rules.default_role is not None else [])):
        check_role(role, path)


def check_role(role: str, path: str) -> None:
    """Raise BadRequestError for what is no role."""
    if role not in ROLES:
        raise BadRequestError(f"{path} has {role[:60]!r} for a role: there are {', '.join(ROLES)}.")


def check_algorithms(algorithms: tuple[str, ...], path: str) -> None:
    """Raise BadRequestError for an algorithm that a public key cannot prove anything with: none, HS256."""
    for one in algorithms:
        if one not in ALGORITHMS:
            raise BadRequestError(f"{path} has {one[:60]!r}: there are {', '.join(sorted(ALGORITHMS))}.")


def check_address(address: str, path: str) -> None:
    """Raise BadRequestError for an address that others on the way could answer for."""
    parts = urlsplit(address)
    local = parts.hostname in LOCAL
    if not parts.hostname or parts.scheme not in (("https", "http") if local else ("https",)):
        raise BadRequestError(f"{path} begins with https:// (http:// only on this machine).")


def _unique(rules: Iterable[Rules | JwtRules]) -> None:
    ids = [one.id for one in rules]
    twice = next((one for one in ids if ids.count(one) > 1), None)
    if twice is not None:
        raise BadRequestError(f"{PLACE} has two providers with the id {twice!r}: name each differently.")


def _list(given: Any, path: str) -> list[Any]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise BadRequestError(f"{path} must be a list, not {type(given).__name__}")
    return given


def _place(error: msgspec.ValidationError) -> str:
    text, _, place = str(error).partition(" - at ")
    return f"{place.strip('`').removeprefix('$')}: {text}"


def known(given: Any, kind: type[msgspec.Struct], path: str) -> None:
    """Raise BadRequestError for a name that a struct does not have."""
    if not isinstance(given, Mapping):
        raise BadRequestError(f"{path} must be a mapping, not {type(given).__name__}")
    for name in given:
        if name not in kind.__struct_fields__:
            near = difflib.get_close_matches(str(name), kind.__struct_fields__, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(kind.__struct_fields__))}"
            raise BadRequestError(f"{path} has {str(name)[:60]!r}, which nothing reads: {hint}")
