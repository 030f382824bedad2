"""How Groq differs from OpenAI. https://console.groq.com/docs/openai (read 2026-11-23)"""

from __future__ import annotations

from polyport.dialects.openai import Quirks

_NO_MODEL = "none of Groq's models supports it yet"
_NOT_KEPT = "Groq keeps nothing of a call"
_TEXT = "Groq's chat answers in text"
_WHOLE = "Groq answers with the whole transcript"

#: `n` may be 1 and nothing else: https://console.groq.com/docs/api-reference#chat-create
ONE_ANSWER = "Groq gives one answer a call"

QUIRKS = Quirks(
    unsupported={
        "chat": {
            "logprobs": _NO_MODEL,
            "top_logprobs": _NO_MODEL,
            "logit_bias": _NO_MODEL,
            "presence_penalty": _NO_MODEL,
            "frequency_penalty": _NO_MODEL,
            "metadata": _NOT_KEPT,
            "store": _NOT_KEPT,
            "modalities": _TEXT,
            "audio": _TEXT,
            "prediction": "Groq predicts no outputs",
            "web_search_options": "the compound models search by themselves, search_settings says how",
            "verbosity": "Groq has no such parameter",
            "safety_identifier": "user is what there is",
            "prompt_cache_key": "Groq caches prompts by itself",
        },
        "transcribe": {
            "include": "Groq gives no log probabilities",
            "chunking_strategy": "Groq cuts audio by itself",
            "stream": _WHOLE,
        },
        "speak": {
            "instructions": "directions stand in the text, in brackets: [cheerful] Hello",
            "stream_format": "speech comes as the audio's bytes",
        },
        "create_file": {"expires_after": "files are kept for as long as Groq keeps them"},
        "create_batch": {"output_expires_after": "files are kept for as long as Groq keeps them"},
    },
    kept=frozenset({"reasoning", "executed_tools"}),
    history=frozenset({"reasoning"}),
    lacks=frozenset({"name", "refusal", "annotations", "audio", "file", "input_audio"}),
)
