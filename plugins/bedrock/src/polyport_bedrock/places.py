"""Where requests go: the hosts of Bedrock's services and of S3, in the region that somebody named.

https://docs.aws.amazon.com/general/latest/gr/bedrock.html
"""

from __future__ import annotations

from polyport.border import Call
from polyport.errors import BadRequestError
from polyport.flow import HttpRequest
from polyport.provider import join
from polyport.types.record import Request
from polyport_bedrock import names
from polyport_bedrock.settings import (
    ENDPOINT_ENV,
    ENDPOINT_NAMES,
    REGION_ENV,
    REGION_NAMES,
    S3_REGION_ENV,
    S3_REGION_NAMES,
    first,
)

RUNTIME = "bedrock-runtime"


def address(path: str, call: Call) -> str:
    """Return where a path is. `service:/path` is another service's than the runtime's; S3's begin with the bucket."""
    service, colon, place = path.partition(":")
    if not colon:
        service, place = RUNTIME, path
    endpoint = _endpoint(service, call)
    if endpoint:
        return join(endpoint, place)
    region = region_of(call, service) or home_of(call)
    if service != "s3":
        return f"https://{service}.{region}.amazonaws.com{place}"
    bucket, _, key = place[1:].partition("/")
    if "." in bucket:  # no certificate is good for such a host
        return f"https://s3.{region}.amazonaws.com/{bucket}/{key}"
    return f"https://{bucket}.s3.{region}.amazonaws.com/{key}"


def _endpoint(service: str, call: Call) -> str | None:
    """Return the address that somebody gave for a service; `api_base` is for Bedrock's own."""
    base = call.options.api_base if service != "s3" else None
    named = ENDPOINT_NAMES.get(service)
    return base or first((named,) if named else (), ENDPOINT_ENV[service], call.request.extra, call.env)


def region_of(call: Call, service: str) -> str | None:
    """Return the region of a call: an ARN's own, else the one that arguments or environment name; None without any.

    Raises BadRequestError for what cannot be a region: it becomes part of a host's name.
    """
    given, found = call.request.extra, None
    if service == "s3":
        found = first(S3_REGION_NAMES, S3_REGION_ENV, given, call.env)
    found = found or _of_subject(call.request) or first(REGION_NAMES, REGION_ENV, given, call.env)
    if found is not None and not names.REGION.fullmatch(found):
        raise BadRequestError(f"{found!r} is no region of AWS; they read us-east-1.")
    return found


def _of_subject(request: Request) -> str | None:
    """Return the region of the ARN that a request is about: a job's, else a model's."""
    job = getattr(request, "video_id", None) or getattr(request, "batch_id", None)
    if isinstance(job, str) and job.startswith("arn:"):
        return (job.split(":", 4) + [""] * 4)[3] or None
    return names.read(request.model).region if request.model else None


def settle(request: HttpRequest, call: Call, service: str, region: str) -> None:
    """Put the region of the credentials' profile into a host, where nobody named a region or an address."""
    if _endpoint(RUNTIME if service == "bedrock" else service, call):
        return
    default, _, path = request.url.partition(".amazonaws.com/")
    head, dot, home = default.rpartition(".")
    if dot and "/" not in head.removeprefix("https://") and home == home_of(call):
        request.url = f"{head}.{region}.amazonaws.com/{path}"


def home_of(call: Call) -> str:
    """Return the region for a call that nobody named one for."""
    return names.read(call.request.model).home if call.request.model else names.HOME
