"""A model's name tells whose it is, and where: ids, ids of cross-region profiles, ARNs.

https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote

import msgspec

from polyport.errors import BadRequestError
from polyport.types.record import Request

REGION = re.compile(r"[a-z]{2,4}(-[a-z]{2,9}){1,3}-\d{1,2}")
#: What an id of a cross-region profile begins with -> a region that it may be called from.
GEOGRAPHIES = {
    "us": "us-east-1", "eu": "eu-central-1", "apac": "ap-northeast-1", "jp": "ap-northeast-1", "au": "ap-southeast-2",
    "ca": "ca-central-1", "us-gov": "us-gov-west-1", "global": "us-east-1",
}  # fmt: skip
#: Where a call goes that nobody named a region for.
HOME = "us-east-1"
#: The resources of ARNs that name a model or a profile made of one; of all others the name says nothing.
NAMED = frozenset({"foundation-model", "inference-profile", "default-prompt-router", "prompt-router"})


class Name(msgspec.Struct, frozen=True):
    """A model's name, read. `id` goes into paths; `base` is the model behind it, without its geography."""

    id: str
    base: str
    region: str | None = None
    geography: str | None = None

    @property
    def vendor(self) -> str:
        """Whose model it is: anthropic, amazon, cohere ...; "" where an ARN does not tell."""
        return self.base.partition(".")[0] if "." in self.base else ""

    @property
    def home(self) -> str:
        """Where it can be called where nobody names a region."""
        return GEOGRAPHIES.get(self.geography or "", HOME)

    def path(self, action: str) -> str:
        """Return the path of one of its operations; colons and slashes of ids and ARNs are encoded."""
        return f"/model/{quote(self.id, safe='')}/{action}"


@lru_cache(maxsize=1024)
def read(model: str) -> Name:
    """Read a model's name. Raises BadRequestError where it cannot be one.

    A region or the word "converse" or "invoke" in front, as in `eu-west-1/anthropic.claude-v2`, is understood.
    """
    name = re.sub(r"^(converse|invoke)/", "", model)
    if name.startswith("arn:"):
        return _of_arn(name)
    first, slash, rest = name.partition("/")
    region = first if slash and REGION.fullmatch(first) else None
    if region is not None:
        name = rest
    if not re.fullmatch(r"[\w.:-]+", name):
        raise BadRequestError(f"{model!r} is no model of Bedrock's: an id such as amazon.nova-lite-v1:0, or an ARN.")
    geography, base = _split(name)
    return Name(name, base, region, geography)


def _of_arn(arn: str) -> Name:
    parts = arn.split(":", 5)
    if len(parts) != 6 or not (parts[3] == "" or REGION.fullmatch(parts[3])) or not parts[5]:
        raise BadRequestError(f"{arn!r} is no ARN of a model; they read arn:aws:bedrock:<region>:<account>:<resource>.")
    kind, _, resource = parts[5].partition("/")
    geography, base = _split(resource) if kind in NAMED else (None, "")
    return Name(arn, base, parts[3] or None, geography)


def _split(name: str) -> tuple[str | None, str]:
    first, _, rest = name.partition(".")
    return (first, rest) if first in GEOGRAPHIES and "." in rest else (None, name)


def named(request: Request) -> Name:
    """Return the name of a request's model; `base_model=` says what is behind an ARN that does not tell."""
    found = read(request.model)
    behind = request.extra.get("base_model")
    if not behind:
        return found
    return msgspec.structs.replace(found, base=read(str(behind).removeprefix("bedrock/")).base)
