"""How Mistral differs from OpenAI. https://docs.mistral.ai/api (and mistralai 3.7.0, both read 2026-11-23)"""

from __future__ import annotations

from polyport.dialects.openai import Quirks

_NO_SUCH = "Mistral has no such parameter"
_TEXT = "Mistral's chat answers in text"
_TOOLS = "tools are what there is"
_USER = "Mistral keeps no end users apart; metadata can name one"
_ONE = "Mistral fills one gap a call"

QUIRKS = Quirks(
    unsupported={
        "chat": {
            "logit_bias": _NO_SUCH,
            "user": _USER,
            "safety_identifier": _USER,
            "functions": _TOOLS,
            "function_call": _TOOLS,
            "modalities": _TEXT,
            "audio": _TEXT,
            "web_search_options": "Mistral searches the web in its Conversations API only",
            "store": _NO_SUCH,
            "verbosity": _NO_SUCH,
        },
        "complete_text": {
            "n": _ONE,
            "best_of": _ONE,
            "echo": "the prompt is not repeated",
            "presence_penalty": _NO_SUCH,
            "frequency_penalty": _NO_SUCH,
            "logit_bias": _NO_SUCH,
            "logprobs": _NO_SUCH,
            "user": _USER,
        },
        "embed": {"user": _USER},
        "transcribe": {
            "prompt": "context_bias=[...] takes names and terms that may occur",
            "include": "Voxtral gives no log probabilities",
            "chunking_strategy": "Voxtral listens to the whole recording at once",
        },
        "speak": {
            "speed": "the pace stands in the text, in brackets, with Voxtral 3",
            "instructions": "directions stand in the text, in brackets, with Voxtral 3: [emotion=happy] Hello",
            "stream_format": "speech comes as the audio's bytes",
        },
    },
    renames={
        "chat": {"max_completion_tokens": "max_tokens", "seed": "random_seed", "top_k": "top_k"},
        "complete_text": {"seed": "random_seed"},
        "embed": {"dimensions": "output_dimension"},
        "speak": {"voice": "voice_id"},
    },
    history=frozenset({"prefix"}),
    inline=frozenset(),
    lacks=frozenset({"refusal", "annotations", "audio", "function_call"}),
    roles={"developer": "system"},
)
