"""What Cohere's SDKs can ask that nobody here answers, and why: they are told so by name, with 501.

https://docs.cohere.com/reference/about
"""

from __future__ import annotations

from collections.abc import Iterator

KEPT = "is kept at Cohere, by an account that is the gateway's and nobody's of its callers"
OTHERWISE = "; where /passthrough/cohere is on, it reaches them"
DATASETS = f"A data set {KEPT}{OTHERWISE}."
CONNECTORS = f"A connector {KEPT}, and Cohere's second chat has none: give a chat `documents`, or tools."
TUNING = f"A model that is tuned {KEPT}{OTHERWISE}."
JOBS = f"Jobs that embed read data sets, and a data set {KEPT}: send texts to /v2/embed, any number of them."
BATCHES = f"Cohere's batches read data sets, and a data set {KEPT}: OpenAI's and Anthropic's batches are served."
GENERATE = "Cohere took it out of its interface: use /v2/chat, or /v1/completions."
SUMMARIZE = "Cohere took it out of its interface: ask a chat for a summary."
CLASSIFY = "Only models that were tuned at Cohere classify: ask a chat for one of several words, with a JSON schema."
PARSE = "There is no operation that reads documents' pages: show a chat the pages as pictures."

#: Methods, address, reason.
UNSERVED: tuple[tuple[str, str, str], ...] = (
    ("POST", "/v1/generate", GENERATE),
    ("POST", "/v1/summarize", SUMMARIZE),
    ("POST", "/v1/classify", CLASSIFY),
    ("POST", "/v2/parse", PARSE),
    ("GET POST", "/v1/datasets", DATASETS),
    ("GET", "/v1/datasets/usage", DATASETS),
    ("GET DELETE", "/v1/datasets/{id}", DATASETS),
    ("GET POST", "/v1/embed-jobs", JOBS),
    ("GET", "/v1/embed-jobs/{id}", JOBS),
    ("POST", "/v1/embed-jobs/{id}/cancel", JOBS),
    ("GET POST", "/v2/batches", BATCHES),
    ("POST", "/v2/batches/{id}:cancel", BATCHES),
    ("GET", "/v2/batches/{id}", BATCHES),
    ("GET POST", "/v1/connectors", CONNECTORS),
    ("GET PATCH DELETE", "/v1/connectors/{id}", CONNECTORS),
    ("POST", "/v1/connectors/{id}/oauth/authorize", CONNECTORS),
    ("GET POST", "/v1/finetuning/finetuned-models", TUNING),
    ("GET PATCH DELETE", "/v1/finetuning/finetuned-models/{id}", TUNING),
    ("GET", "/v1/finetuning/finetuned-models/{id}/events", TUNING),
    ("GET", "/v1/finetuning/finetuned-models/{id}/training-step-metrics", TUNING),
)


def unserved() -> Iterator[tuple[str, str, str]]:
    """Yield the method, the address and the reason of each."""
    for methods, path, why in UNSERVED:
        for method in methods.split():
            yield method, path, why
