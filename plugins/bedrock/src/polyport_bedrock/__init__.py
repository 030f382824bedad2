"""Amazon Bedrock. https://docs.aws.amazon.com/bedrock/latest/userguide/what-is-bedrock.html"""

from __future__ import annotations

from typing import Any, ClassVar

from polyport.auth import Auth
from polyport.errors import APIError
from polyport.flow import HttpReply
from polyport.hookspecs import hookimpl
from polyport_bedrock import errors
from polyport_bedrock.access import AwsAuth
from polyport_bedrock.chat import Chat

__all__ = ["AwsAuth", "Bedrock"]


class Bedrock(Chat):
    """Models of many vendors in an account of AWS', with a key of Bedrock's or credentials of AWS'."""

    auth: ClassVar[Auth] = AwsAuth()

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.auth = AwsAuth()  # type: ignore[misc]  # credentials belong to one client

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Tell a bad key, an overlong prompt and a refusal by policy from other errors."""
        return errors.refine(error, reply, body)
