"""What models of each vendor take beside what Converse has for all.

https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html
"""

from __future__ import annotations

import re

from polyport.catalog import ModelInfo
from polyport_anthropic.facts import facts as claude
from polyport_bedrock.names import Name

#: Open-weight models that answer in a schema. https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html
STRUCTURED = re.compile(
    r"openai\.gpt-oss|qwen\.qwen3|google\.gemma-[3-9]|minimax\.|moonshot(ai)?\.kimi|nvidia\.nemotron|deepseek\.v3"
    r"|mistral\.(ministral|magistral|mistral-large-3|devstral|voxtral)|zai\.glm"
)
#: Vendors whose models can be made to call one tool, and those that can be made to call some.
#: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolChoice.html
FORCED, SOME = frozenset({"anthropic", "amazon"}), frozenset({"mistral"})


def is_claude(name: Name) -> bool:
    """Whether a model is one of Anthropic's, whose own parameters Converse passes on."""
    return name.vendor == "anthropic"


def is_nova(name: Name) -> bool:
    """Whether a model is one of Amazon's Nova that converse."""
    return name.base.startswith("amazon.nova-")


def of_claude(name: Name) -> ModelInfo:
    """Return what is known of a Claude."""
    return claude(name.base)


def structured(name: Name) -> bool:
    """Whether a model answers in a JSON schema by itself."""
    if is_claude(name):
        return "structured_output" in of_claude(name).supports
    return STRUCTURED.match(name.base) is not None
