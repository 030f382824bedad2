"""Where and who: the keyword arguments and variables that say so, none of which is ever part of a body.

Names are those of AWS' own tools, and those that LiteLLM made common.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from polyport import plugins
from polyport.errors import BadRequestError
from polyport.provider import Setting
from polyport.types.record import Request

REGION_NAMES = ("aws_region_name", "region_name", "aws_region")
REGION_ENV = ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION")
S3_REGION_NAMES = ("s3_region_name", "aws_s3_region_name")
S3_REGION_ENV = ("AWS_S3_REGION_NAME",)
BUCKET = ("s3_bucket_name", "AWS_S3_BUCKET_NAME")
OUTPUT_BUCKET = ("s3_output_bucket_name", "AWS_S3_OUTPUT_BUCKET_NAME")
ROLE = ("aws_batch_role_arn", "AWS_BATCH_ROLE_ARN")
ENDPOINT_NAMES = {"bedrock-runtime": "aws_bedrock_runtime_endpoint", "s3": "s3_endpoint_url"}
ENDPOINT_ENV = {
    "bedrock-runtime": ("AWS_BEDROCK_RUNTIME_ENDPOINT", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"),
    "bedrock": ("AWS_ENDPOINT_URL_BEDROCK", "AWS_ENDPOINT_URL"),
    "bedrock-agent-runtime": ("AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME", "AWS_ENDPOINT_URL"),
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
}
KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
KEYS_ENV = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
#: What only botocore's credential chain can use.
CHAIN = (
    "aws_profile_name", "aws_role_name", "aws_session_name", "aws_external_id", "aws_web_identity_token",
    "aws_sts_endpoint",
)  # fmt: skip

NAMES = frozenset({
    *REGION_NAMES, *S3_REGION_NAMES, BUCKET[0], OUTPUT_BUCKET[0], ROLE[0], *ENDPOINT_NAMES.values(), *KEYS, *CHAIN,
    "base_model",
})  # fmt: skip
#: The same, for whoever wants to know which arguments say where and who: a gateway lets no caller choose them.
SETTINGS = tuple(Setting(name, (name,)) for name in sorted(NAMES))


def extras(request: Request) -> dict[str, Any]:
    """Return the keyword arguments that are for the body."""
    return {name: value for name, value in request.extra.items() if name not in NAMES}


def first(
    names: tuple[str, ...], env: tuple[str, ...], given: Mapping[str, Any], find: Callable[[str], str | None]
) -> str | None:
    """Return the first argument, else the first variable, that is set."""
    value = next((given[name] for name in names if given.get(name)), None)
    return str(value) if value else next((found for name in env if (found := find(name))), None)


def wanted(request: Request, setting: tuple[str, str], why: str) -> str:
    """Return a setting that goes into a body. Raises BadRequestError that says how to set it."""
    name, variable = setting
    found = request.extra.get(name) or plugins.secret(variable)
    if not found:
        raise BadRequestError(f"{why}: pass {name}=... or set {variable}.")
    return str(found)
