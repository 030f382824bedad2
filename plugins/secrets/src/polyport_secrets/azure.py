"""Azure Key Vault, by azure-keyvault-secrets and azure-identity. Names there have no underscores: `_` is asked as `-`.

https://learn.microsoft.com/en-us/rest/api/keyvault/secrets/get-secret/get-secret
"""

from __future__ import annotations

import os
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient

from polyport_secrets.managers import Fetch

WHAT = "Azure Key Vault"
VARIABLE = "AZURE_KEY_VAULT_URI"


def fetcher(url: str | None = None, credential: Any = None, verify_resource: bool = True) -> Fetch:
    """Return what asks for secrets of a vault; its `url` is AZURE_KEY_VAULT_URI by default.

    `verify_resource=False` is for a vault behind a host name that is not Azure's.
    """
    address = url or os.environ.get(VARIABLE)
    if not address:
        raise TypeError(f"say which vault by url, or set {VARIABLE}")
    client = SecretClient(
        vault_url=address, credential=credential or DefaultAzureCredential(), verify_challenge_resource=verify_resource
    )

    def fetch(name: str) -> str | None:
        try:
            return client.get_secret(name.replace("_", "-")).value
        except ResourceNotFoundError:
            return None

    return fetch
