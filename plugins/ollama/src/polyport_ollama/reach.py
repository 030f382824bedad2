"""Asking Ollama, and what to do where nobody answers."""

from __future__ import annotations

from polyport.border import narrow
from polyport.errors import APIConnectionError
from polyport.flow import Flow, HttpReply, HttpRequest

HINT = (
    "Is Ollama running there? Start it with `ollama serve` (https://ollama.com/download), or say where it is with "
    "api_base=... or OLLAMA_HOST."
)


def ask(request: HttpRequest) -> Flow[HttpReply]:
    """Return the reply. Raises APIConnectionError that says how to start Ollama where there is no connection."""
    try:
        reply: HttpReply = yield request
    except APIConnectionError as error:
        raise narrow(error, APIConnectionError, message=f"{error.message.rstrip('.')}. {HINT}") from error
    return reply
