"""What Ollama takes and what it does not, at each of its two doors.

https://docs.ollama.com/openapi.yaml and https://docs.ollama.com/api/openai-compatibility (read 2026-11-23)
"""

from __future__ import annotations

from polyport.dialects.openai import Quirks

_NO_CLOUD = "Ollama has no such service"
_NOT_KEPT = "Ollama keeps nothing of a call"
_NOT_TOLD = "Ollama is not told about users"
_ONE = "Ollama gives one answer a call"
_NO_BIAS = "Ollama cannot favour tokens"
_TEXT = "Ollama's models answer in text"

#: What goes below `options`: https://docs.ollama.com/modelfile#valid-parameters-and-values, and the SDK's `Options`.
OPTIONS = frozenset({
    "seed", "temperature", "top_k", "top_p", "min_p", "tfs_z", "typical_p", "stop", "num_predict", "num_keep",
    "repeat_last_n", "repeat_penalty", "presence_penalty", "frequency_penalty", "penalize_newline",
    "mirostat", "mirostat_tau", "mirostat_eta",
    "num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "numa", "low_vram", "f16_kv", "logits_all",
    "vocab_only", "use_mmap", "use_mlock", "embedding_only",
})  # fmt: skip

#: What no kind of generation takes.
_NOWHERE = {"logit_bias": _NO_BIAS, "user": _NOT_TOLD}

NATIVE = Quirks(
    unsupported={
        "chat": {
            **_NOWHERE,
            "audio": _TEXT,
            "prediction": "Ollama predicts no outputs",
            "web_search_options": "a search is a tool of the caller's: https://docs.ollama.com/capabilities/web-search",
            "service_tier": _NO_CLOUD,
            "store": _NOT_KEPT,
            "metadata": _NOT_KEPT,
            "verbosity": "Ollama has no such parameter",
            "safety_identifier": _NOT_TOLD,
            "prompt_cache_key": "Ollama caches prompts by itself, as long as the model is loaded",
        },
        "complete_text": _NOWHERE,
        "embed": {"input_type": "say in the text what it is for, as the model's card asks", "user": _NOT_TOLD},
    },
    renames={
        "chat": {"max_tokens": "num_predict", "max_completion_tokens": "num_predict", "top_k": "top_k"},
        "complete_text": {"max_tokens": "num_predict"},
    },
    inline=frozenset({"image_url"}),
    history=frozenset({"reasoning_content"}),
    lacks=frozenset({"refusal", "annotations", "audio", "file", "input_audio"}),
)

COMPATIBLE = Quirks(
    unsupported={"chat": {**_NOWHERE, "n": _ONE}, "complete_text": {**_NOWHERE, "n": _ONE, "best_of": _ONE}},
    inline=frozenset({"image_url"}),
    parts=frozenset({"tool"}),
    kept=frozenset({"reasoning"}),
    history=frozenset({"reasoning"}),
    lacks=frozenset({"refusal", "annotations", "audio", "file", "input_audio"}),
)
