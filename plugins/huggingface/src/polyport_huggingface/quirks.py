"""How chat by the router, and with text-generation-inference, differs from OpenAI's.

https://huggingface.co/docs/inference-providers/tasks/chat-completion (read 2026-11-23)
"""

from __future__ import annotations

from polyport.dialects.openai import Quirks

_NOT_KEPT = "Hugging Face keeps nothing of a call"
_TEXT = "chat by Hugging Face answers in text"
_NOT_TOLD = "providers are not told about users"

QUIRKS = Quirks(
    unsupported={
        "chat": {
            "logit_bias": "it is taken and not used: https://huggingface.co/docs/inference-providers/tasks/chat-completion",
            "user": _NOT_TOLD,
            "safety_identifier": _NOT_TOLD,
            "store": _NOT_KEPT,
            "metadata": _NOT_KEPT,
            "modalities": _TEXT,
            "audio": _TEXT,
            "prediction": "providers predict no outputs",
            "web_search_options": "a search is a tool of the caller's",
            "service_tier": "the provider after the model's name, or :fastest and :cheapest, say what is wanted",
            "verbosity": "there is no such parameter",
            "prompt_cache_key": "providers cache prompts by themselves",
        },
        "complete_text": {"best_of": "one answer a call is what there is", "user": _NOT_TOLD},
        "embed": {"user": _NOT_TOLD},
    },
    renames={"chat": {"max_completion_tokens": "max_tokens"}},
    paths={
        "/chat/completions": "/v1/chat/completions",
        "/completions": "/v1/completions",
        "/embeddings": "/v1/embeddings",
        "/models": "/v1/models",
    },
    kept=frozenset({"reasoning"}),
    finishes={"eos_token": "stop", "stop_sequence": "stop", "eos": "stop"},
    lacks=frozenset({"refusal", "annotations", "audio", "file", "input_audio"}),
)
