"""Amazon Bedrock. https://docs.aws.amazon.com/bedrock/latest/userguide/what-is-bedrock.html"""

from __future__ import annotations

from typing import Any, ClassVar

from polyport.auth import Auth
from polyport.errors import APIError
from polyport.flow import HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import Setting
from polyport_bedrock import errors
from polyport_bedrock.access import AwsAuth
from polyport_bedrock.batches import Batches
from polyport_bedrock.claude import Messages
from polyport_bedrock.embed import Embeddings
from polyport_bedrock.images import Images
from polyport_bedrock.models import Models
from polyport_bedrock.moderation import Moderations
from polyport_bedrock.rerank import Rerank
from polyport_bedrock.settings import SETTINGS
from polyport_bedrock.video import Videos

__all__ = ["AwsAuth", "Bedrock"]


class Bedrock(Messages, Embeddings, Rerank, Images, Videos, Batches, Moderations, Models):
    """Models of many vendors in an account of AWS', with a key of Bedrock's or credentials of AWS'."""

    auth: ClassVar[Auth] = AwsAuth()
    settings: ClassVar[tuple[Setting, ...]] = SETTINGS

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.auth = AwsAuth()  # type: ignore[misc]  # credentials belong to one client

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Tell a bad key, an overlong prompt and a refusal by policy from other errors."""
        return errors.refine(error, reply, body)
