"""What everything of Bedrock's shares: where models are asked, and what a reply's headers tell."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

from polyport.border import Call
from polyport.flow import HttpReply, HttpRequest
from polyport.provider import Provider
from polyport.types.record import Request
from polyport.types.usage import Usage, usage
from polyport_bedrock import places
from polyport_bedrock.names import read

ID = "x-amzn-requestid"
TOKENS = "x-amzn-bedrock-{}-token-count"


class BedrockWire(Provider):
    """The base of every capability of Bedrock's."""

    base_url = "https://bedrock-runtime.{region}.amazonaws.com"
    request_id_headers: ClassVar[tuple[str, ...]] = (ID, "x-amz-request-id")

    def address(self, base: str, path: str, call: Call) -> str:
        """Return where a path is: of the runtime, or with the service's name in front."""
        return places.address(path, call)

    def ask(self, request: Request, action: str, body: Any, *, stream: bool | None = None) -> HttpRequest:
        """Return a call of one of the model's operations."""
        return self.post(read(request.model).path(action), json=body, stream=stream)

    def invoke(self, request: Request, body: Any) -> HttpRequest:
        """Return a call of InvokeModel, whose body is the model's own.

        https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
        """
        made = self.ask(request, "invoke", body)
        made.headers = {**made.headers, "accept": "application/json"}
        return made


def created_at(headers: Mapping[str, str]) -> int:
    """Return the reply's date in seconds, which Converse does not tell; 0 where there is none."""
    try:
        return int(parsedate_to_datetime(headers.get("date", "")).timestamp())
    except ValueError:
        return 0


def tokens_in(replies: list[HttpReply]) -> Usage | None:
    """Return the input tokens that InvokeModel's headers count; None where they say nothing."""
    counts = [reply.headers.get(TOKENS.format("input"), "") for reply in replies]
    if not all(count.isdecimal() for count in counts):
        return None
    return usage(sum(map(int, counts)))
