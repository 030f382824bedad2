"""fal's key: one value, or an id and a secret. https://fal.ai/docs/documentation/setting-up/authentication"""

from __future__ import annotations

from polyport.auth import ApiKey, Lookup


class FalKey(ApiKey):
    """`Authorization: Key <key>`; the key is FAL_KEY, or FAL_KEY_ID and FAL_KEY_SECRET joined by a colon."""

    def __init__(self) -> None:
        super().__init__("authorization", ("FAL_KEY", "FAL_AI_API_KEY"), "Key")

    def secret(self, lookup: Lookup) -> str | None:
        """Return the user's key, else what the environment has."""
        whole = super().secret(lookup)
        if whole is not None:
            return whole
        name, secret = lookup.env("FAL_KEY_ID"), lookup.env("FAL_KEY_SECRET")
        return f"{name}:{secret}" if name and secret else None

    def hint(self) -> str:
        """Say which variables to set."""
        return "Set FAL_KEY, or FAL_KEY_ID and FAL_KEY_SECRET, or pass api_key=..."
