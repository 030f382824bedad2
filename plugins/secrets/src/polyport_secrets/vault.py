"""HashiCorp Vault's key-value engine, by hvac: with a token, an AppRole or a client's certificate.

Settings left out come from VAULT_ADDR, VAULT_TOKEN, VAULT_NAMESPACE and so on, or HCP_VAULT_ADDR ... as LiteLLM calls
them. A secret's value is its field `key`, or `value`, or the only one that it has.
https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version
"""

from __future__ import annotations

import os
from typing import Any

import hvac  # type: ignore[import-untyped]  # its stubs are another distribution
from hvac.exceptions import Forbidden, InvalidPath, Unauthorized  # type: ignore[import-untyped]

from polyport_secrets.managers import Fetch

WHAT = "HashiCorp Vault"
FIELDS = ("key", "value")


def fetcher(
    url: str | None = None,
    token: str | None = None,
    namespace: str | None = None,
    role_id: str | None = None,
    secret_id: str | None = None,
    role_mount: str | None = None,
    cert: tuple[str, str] | None = None,
    mount: str | None = None,
    path: str | None = None,
    kv: int = 2,
) -> Fetch:
    """Return what asks for secrets below a path of an engine's mount."""
    files = (_set("CLIENT_CERT"), _set("CLIENT_KEY"))
    pair = cert or (files if files[0] and files[1] else None)
    client = hvac.Client(
        url=url or _set("ADDR"), token=token or _set("TOKEN"), namespace=namespace or _set("NAMESPACE"), cert=pair
    )
    role, secret = role_id or _set("APPROLE_ROLE_ID"), secret_id or _set("APPROLE_SECRET_ID")
    mount, before = mount or _set("MOUNT_NAME") or "secret", path or _set("PATH_PREFIX") or ""

    def sign_in() -> bool:
        if role:
            at = role_mount or _set("APPROLE_MOUNT_PATH") or "approle"
            client.auth.approle.login(role_id=role, secret_id=secret, mount_point=at)
        elif pair:
            client.auth.cert.login(cert_pem=pair[0], key_pem=pair[1])
        return bool(role or pair)

    def fetch(name: str) -> str | None:
        if not client.token:
            sign_in()
        try:
            return read(name)
        except (Forbidden, Unauthorized):  # a token is only good for a while
            if not sign_in():
                raise
            return read(name)

    def read(name: str) -> str | None:
        where = f"{before.strip('/')}/{name}".lstrip("/")
        engine = client.secrets.kv.v2 if kv == 2 else client.secrets.kv.v1
        try:
            if kv == 2:
                found = engine.read_secret_version(where, mount_point=mount, raise_on_deleted_version=False)
                return _value((found["data"] or {}).get("data") or {})
            return _value(engine.read_secret(where, mount_point=mount)["data"])
        except InvalidPath:
            return None

    return fetch


def _value(fields: dict[str, Any]) -> str | None:
    named = next((fields[name] for name in FIELDS if name in fields), None)
    if named is None and len(fields) == 1:
        named = next(iter(fields.values()))
    if named is None and fields:
        raise ValueError("which of its fields is meant?")
    return None if named is None else str(named)


def _set(name: str) -> str | None:
    return os.environ.get(f"VAULT_{name}") or os.environ.get(f"HCP_VAULT_{name}")
