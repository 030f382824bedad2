"""The contract that every provider plugin is held to, over the rows that differ in kind.

All rows are made by the same code of the same table; `openai_like` has every ability that there is.
"""

from __future__ import annotations

import polyport_compatible
from polyport.testing import ProviderContract
from polyport_compatible.conformance import EXCHANGES


class TestOpenaiLike(ProviderContract):
    """Every ability, no address, a key only where there is one."""

    provider = polyport_compatible.OpenaiLike
    name = "openai_like"
    exchanges = EXCHANGES["openai_like"]


class TestOpenrouter(ProviderContract):
    """A gateway that takes reasoning back."""

    provider = polyport_compatible.Openrouter
    name = "openrouter"
    exchanges = EXCHANGES["openrouter"]


class TestCloudflare(ProviderContract):
    """An address with a setting in it."""

    provider = polyport_compatible.Cloudflare
    name = "cloudflare"
    exchanges = EXCHANGES["cloudflare"]


class TestPortkey(ProviderContract):
    """A key in a header of its own."""

    provider = polyport_compatible.Portkey
    name = "portkey"
    exchanges = EXCHANGES["portkey"]


class TestDatabricks(ProviderContract):
    """Answers that may come in parts."""

    provider = polyport_compatible.Databricks
    name = "databricks"
    exchanges = EXCHANGES["databricks"]


class TestTogetherAi(ProviderContract):
    """Reasons to finish of its own."""

    provider = polyport_compatible.TogetherAi
    name = "together_ai"
    exchanges = EXCHANGES["together_ai"]
