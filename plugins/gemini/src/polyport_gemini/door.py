"""The two doors to Gemini, and how they differ: Google's Gemini API and Vertex AI.

Everything else of the dialect is one. https://ai.google.dev/gemini-api/docs/migrate-to-cloud
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from polyport.types.record import Request


class Door(msgspec.Struct, frozen=True):
    """What a door does in its own way.

    `unsupported` are chat parameters that only the other door has, and why. `files` is put before the name of an
    uploaded file. `tier_in_body` says where the service tier goes. `shows_server_tools` whether a request must ask
    to see the tools that Google runs, to have them beside functions. `settings` are keyword arguments that are for
    the provider and not for a body.
    """

    name: str
    unsupported: Mapping[str, str] = {}
    files: str = ""
    tier_in_body: bool = True
    shows_server_tools: bool = True
    settings: frozenset[str] = frozenset()

    def extras(self, request: Request) -> dict[str, Any]:
        """Return the keyword arguments that polyport does not know, without those that are settings."""
        return {name: value for name, value in request.extra.items() if name not in self.settings}


GEMINI_API = Door(name="the Gemini API", files="https://generativelanguage.googleapis.com/v1beta/")
