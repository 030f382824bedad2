"""What Stability drew: pictures in base64, each with the reason it ended for and its seed."""

from __future__ import annotations

import msgspec

from polyport.errors import APIError, ContentPolicyViolationError, InternalServerError, InvalidResponseError
from polyport.flow import HttpReply
from polyport.provider import decode
from polyport.types.image import Image, ImageResponse

FILTERED, FAILED = "CONTENT_FILTERED", "ERROR"


class Picture(msgspec.Struct):
    """One picture, by whichever name a version has for its content; a filtered one is blurred."""

    image: str | None = None
    result: str | None = None
    base64: str | None = None
    finish_reason: str | None = None
    finished: str | None = msgspec.field(default=None, name="finishReason")
    seed: int | str | None = None

    @property
    def content(self) -> str | None:
        """The picture in base64."""
        return self.image or self.result or self.base64

    @property
    def reason(self) -> str | None:
        """Why it ended."""
        return self.finish_reason or self.finished


class _Artifacts(msgspec.Struct):
    artifacts: list[Picture]


def to_picture(reply: HttpReply) -> Picture:
    """Return the picture of a reply of version 2. Raises InvalidResponseError where there is none."""
    picture: Picture = decode(reply, Picture)
    if picture.content is None and picture.reason not in (FILTERED, FAILED):
        raise InvalidResponseError("The reply has no picture at $.image", body=reply.content)
    return picture


def to_pictures(reply: HttpReply) -> list[Picture]:
    """Return the pictures of a reply of version 1. Raises InvalidResponseError where there are none."""
    pictures = decode(reply, _Artifacts).artifacts
    if not pictures or any(one.content is None and one.reason not in (FILTERED, FAILED) for one in pictures):
        raise InvalidResponseError("The reply has no picture at $.artifacts", body=reply.content)
    return pictures


def to_images(pictures: list[Picture], output_format: str) -> ImageResponse:
    """Return the pictures that came out well; seeds and reasons of all are in `extra`.

    Raises ContentPolicyViolationError where all were filtered, InternalServerError where all failed.
    """
    good = [Image(b64_json=one.content) for one in pictures if one.content and one.reason not in (FILTERED, FAILED)]
    if not good:
        raise _nothing(pictures)
    made = ImageResponse(data=good, output_format=output_format)
    made.carry({"seeds": [one.seed for one in pictures], "finish_reasons": [one.reason for one in pictures]})
    return made


def _nothing(pictures: list[Picture]) -> APIError:
    reasons = [one.reason for one in pictures]
    if FILTERED in reasons:
        return ContentPolicyViolationError(
            "The picture was made, and blurred by Stability's content moderation (finish_reason CONTENT_FILTERED)",
            body={"finish_reasons": reasons},
        )
    return InternalServerError("Stability made no picture (finish_reason ERROR)", body={"finish_reasons": reasons})
