"""How Jina differs from OpenAI. https://api.jina.ai/openapi.json (2026.09.09)"""

from __future__ import annotations

from polyport.dialects.openai import Quirks

_READS = "Jina's model for chat reads pictures, and does nothing else"
_NOT_KEPT = "Jina keeps nothing of a call"
_ONE = "there is one kind of service"

QUIRKS = Quirks(
    renames={"embed": {"encoding_format": "embedding_type"}},
    unsupported={
        "rerank": {"max_chunks_per_doc": "documents are not cut into chunks here"},
        "chat": {
            "n": "there is one answer a call",
            **dict.fromkeys(("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"), _READS),
            **dict.fromkeys(("reasoning_effort", "modalities", "audio", "prediction", "verbosity"), _READS),
            "web_search_options": _READS,
            **dict.fromkeys(("user", "metadata", "store", "safety_identifier", "prompt_cache_key"), _NOT_KEPT),
            "service_tier": _ONE,
        },
    },
    limit=".",
    lacks=frozenset({"name", "refusal", "annotations", "audio", "file", "input_audio", "tool_calls"}),
)
