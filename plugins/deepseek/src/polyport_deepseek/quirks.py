"""How DeepSeek differs from OpenAI. https://api-docs.deepseek.com/api/create-chat-completion (read 2026-11-23)"""

from __future__ import annotations

from polyport.dialects.openai import Quirks
from polyport.types.usage import PromptTokensDetails, Usage


class DeepSeekUsage(Usage):
    """Usage with DeepSeek's own counts of its cache, which older replies tell alone.

    https://api-docs.deepseek.com/guides/kv_cache
    """

    prompt_cache_hit_tokens: int | None = None
    prompt_cache_miss_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.prompt_tokens_details is None and self.prompt_cache_hit_tokens is not None:
            self.prompt_tokens_details = PromptTokensDetails(cached_tokens=self.prompt_cache_hit_tokens)


_NO_SUCH = "DeepSeek has no such parameter"
_TEXT = "DeepSeek's chat answers in text"
_TOOLS = "tools are what there is"
_ONE = "DeepSeek gives one answer a call"

QUIRKS = Quirks(
    unsupported={
        "chat": {
            "n": _ONE,
            "seed": _NO_SUCH,
            "logit_bias": _NO_SUCH,
            "parallel_tool_calls": "the model decides how many tools it calls at once",
            "functions": _TOOLS,
            "function_call": _TOOLS,
            "modalities": _TEXT,
            "audio": _TEXT,
            "prediction": _NO_SUCH,
            "web_search_options": _NO_SUCH,
            "service_tier": _NO_SUCH,
            "metadata": _NO_SUCH,
            "store": _NO_SUCH,
            "verbosity": _NO_SUCH,
            "safety_identifier": "user is what there is",
            "prompt_cache_key": "the cache keeps what users share apart by user",
        },
        "complete_text": {
            "n": _ONE,
            "best_of": _ONE,
            "seed": _NO_SUCH,
            "logit_bias": _NO_SUCH,
            "user": _NO_SUCH,
        },
    },
    renames={"chat": {"max_completion_tokens": "max_tokens", "user": "user_id", "thinking": "thinking"}},
    history=frozenset({"reasoning_content", "prefix"}),
    lacks=frozenset({"refusal", "annotations", "audio", "input_audio"}),
    roles={"developer": "system"},  # "unknown variant `developer`" (seen in an error of 2026-05-02)
    schemas=False,
    usage=DeepSeekUsage,
)
