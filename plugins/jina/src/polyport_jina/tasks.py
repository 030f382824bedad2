"""What a vector is for, in the words of each of Jina's models. https://jina.ai/embeddings"""

from __future__ import annotations

import re

from polyport.types.embed import EmbedRequest

KINDS = ("search_query", "search_document", "classification", "clustering")
RETRIEVAL = {"search_query": "retrieval.query", "search_document": "retrieval.passage"}
ALIKE = "text-matching"

#: Models -> the field, and Jina's word for each of `KINDS`; "" where nothing need be said. The first that fits counts.
TASKS: tuple[tuple[re.Pattern[str], str, dict[str, str]], ...] = (
    (re.compile(r"jina-(embeddings-v2|clip-v1)"), "task", {}),
    (re.compile(r"jina-clip-v2"), "task", {"search_query": "retrieval.query", "search_document": ""}),
    (re.compile(r"jina-colbert"), "input_type", {"search_query": "query", "search_document": "document"}),
    (
        re.compile(r"jina-code-embeddings"),
        "task",
        {"search_query": "nl2code.query", "search_document": "nl2code.passage"},
    ),
    (
        re.compile(r"jina-embeddings-v3"),
        "task",
        {**RETRIEVAL, "classification": "classification", "clustering": "separation"},
    ),
    (re.compile(r"jina-embeddings-v4"), "task", {**RETRIEVAL, "classification": ALIKE, "clustering": ALIKE}),
    (re.compile(r""), "task", {**RETRIEVAL, "classification": "classification", "clustering": "clustering"}),
)


def to_task(request: EmbedRequest) -> dict[str, str]:
    """Return the field that tells an `input_type`; one that is none of `KINDS` is taken for a task of Jina's."""
    kind = request.input_type
    if kind is None:
        return {}
    if kind not in KINDS:
        return {"task": kind}
    field, words = next((field, words) for models, field, words in TASKS if models.match(request.model))
    if kind not in words:
        request.unsupported("input_type", f"{request.model} has no task for {kind}")
        return {}
    word = words[kind]
    if word == ALIKE:
        request.adapt("input_type", "emulated", f"{request.model} has no task for {kind}; {ALIKE} is the nearest")
    return {field: word} if word else {}
