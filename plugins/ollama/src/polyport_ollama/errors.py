"""What Ollama's errors mean: a status and one sentence. https://docs.ollama.com/api/errors"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from polyport.border import message_of, narrow
from polyport.dialects import openai
from polyport.errors import (
    APIError,
    BadRequestError,
    ContextWindowExceededError,
    InternalServerError,
    NotFoundError,
    UnsupportedParamsError,
)
from polyport.flow import HttpReply

#: "the input length exceeds the context length", and what the server below says since 0.34.
TOO_LONG = re.compile(
    r"exceeds? (the )?(available |maximum )?context|context (length|window|size) (is )?exceeded", re.IGNORECASE
)
#: '"llava" does not support tools'; `insert` is what a suffix asks for.
CANNOT = re.compile(r"does not support (tools|thinking|insert|vision|images)", re.IGNORECASE)
MISSING = re.compile(r"model ['\"]?([^'\" ]+)['\"]? not found", re.IGNORECASE)


def refine(error: APIError, body: Any) -> APIError | None:
    """Return the error as what Ollama's words say it is; None where its class and message are right already."""
    message = _unwrapped(error.message)
    if isinstance(error, NotFoundError) and (missing := MISSING.search(message)):
        return narrow(error, NotFoundError, message=f"{message.rstrip('.')}. Get it with: ollama pull {missing[1]}")
    if TOO_LONG.search(message):  # a 500 by older servers
        return narrow(error, ContextWindowExceededError, message=message, retryable=False)
    if type(error) is BadRequestError and CANNOT.search(message):
        return narrow(error, UnsupportedParamsError, message=message)
    if message != error.message:
        return narrow(error, type(error), message=message)
    return openai.refine(error, body)


def raise_told(told: Any) -> None:
    """Raise the error that a line of a stream, or the body of a success, holds. It comes without a status."""
    if told is not None:
        message = _unwrapped(told if isinstance(told, str) else message_of({"error": told}, HttpReply(status=500)))
        error = InternalServerError(message, body={"error": told})
        raise refine(error, error.body) or error


def _unwrapped(message: str) -> str:
    """Return what is said in a sentence that is itself the JSON of an error, as that of the server below is."""
    if not message.startswith("{"):
        return message
    try:
        inner = msgspec.json.decode(message)
    except (msgspec.DecodeError, RecursionError):
        return message
    return message_of(inner, HttpReply(status=500))
