"""`polyport embed`, `rerank` and `moderate`: texts in, numbers out."""

from __future__ import annotations

from typing import Annotated

import typer

from polyport.cli import show
from polyport.cli.exits import stop
from polyport.cli.settings import Settings, with_settings
from polyport.cli.values import lines_of, piped_text

Model = Annotated[str, typer.Argument(help="provider/model, or a bare name a plugin knows.", show_default=False)]
Lines = Annotated[
    str | None,
    typer.Option("-f", "--file", metavar="FILE", help="Take each line of this file too; - is what is piped in."),
]
SHOWN = 6


@with_settings
def embed(
    settings: Settings,
    model: Model,
    texts: Annotated[list[str] | None, typer.Argument(help="The texts.", show_default=False)] = None,
    file: Lines = None,
    similarity: Annotated[bool, typer.Option("--similarity", help="Show how alike the texts are (cosine).")] = False,
) -> None:
    """Turn texts into vectors, one each. Without texts, what is piped in is one text."""
    inputs = _texts(texts, file)
    parameters = settings.parameters("embedding")
    if similarity:
        parameters["encoding_format"] = "float"
    with settings.client() as client:
        result = client.embedding(model, inputs, **parameters)
    if settings.json:
        show.json(result)
    elif similarity:
        _show_similarity(inputs, [list(map(float, item.embedding)) for item in result.data])
    else:
        pairs = zip(inputs, result.data, strict=True)
        rows = ([_short(text), len(item.embedding), _begin(item.embedding)] for text, item in pairs)
        show.table(["text", "dimensions", "vector"], rows, right=[1])


@with_settings
def rerank(
    settings: Settings,
    model: Model,
    query: Annotated[str, typer.Argument(help="What to look for.", show_default=False)],
    documents: Annotated[list[str] | None, typer.Argument(help="The documents.", show_default=False)] = None,
    file: Lines = None,
    top: Annotated[int | None, typer.Option("-n", "--top", metavar="N", help="Show the best N only.")] = None,
) -> None:
    """Order documents by how well they answer a query. Without documents, each line piped in is one."""
    texts = [*(documents or []), *(lines_of(file) if file else [])] or lines_of("-")
    if not texts:
        stop("There are no documents: write them after the query, or one a line with -f FILE.")
    parameters = settings.parameters("rerank")
    if top is not None:
        parameters["top_n"] = top
    with settings.client() as client:
        result = client.rerank(model, query, texts, **parameters)
    if settings.json:
        show.json(result)
        return
    show.table(
        ["score", "number", "document"],
        ([f"{row.relevance_score:.4f}", row.index + 1, texts[row.index]] for row in result.results),
        right=[0, 1],
    )


@with_settings
def moderate(
    settings: Settings,
    model: Model,
    texts: Annotated[list[str] | None, typer.Argument(help="The texts.", show_default=False)] = None,
    file: Lines = None,
) -> None:
    """Judge whether texts are harmful. Without texts, what is piped in is one."""
    inputs = _texts(texts, file)
    with settings.client() as client:
        result = client.moderation(inputs, model, **settings.parameters("moderation"))
    if settings.json:
        show.json(result)
        return
    rows = []
    for text, verdict in zip(inputs, result.results, strict=False):
        worst = sorted(verdict.category_scores.items(), key=lambda pair: -(pair[1] or 0))[:3]
        flagged = [name for name, is_so in verdict.categories.items() if is_so]
        scores = ", ".join(f"{name} {score:.3f}" for name, score in worst if score is not None)
        rows.append([_short(text), "yes" if verdict.flagged else "no", ", ".join(flagged), scores])
    show.table(["text", "flagged", "categories", "highest scores"], rows)


def _texts(given: list[str] | None, file: str | None) -> list[str]:
    texts = [*(given or []), *(lines_of(file) if file else [])]
    if not texts and file is None and (whole := piped_text()):
        texts = [whole]
    if not texts:
        stop("There is no text: write it after the model, pipe it in, or name a file with -f.")
    return texts


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:39]}…"


def _begin(vector: list[float] | str) -> str:
    if isinstance(vector, str):
        return f"{vector[:40]}…"
    return ", ".join(f"{number:.4f}" for number in vector[:SHOWN]) + (" …" if len(vector) > SHOWN else "")


def _show_similarity(texts: list[str], vectors: list[list[float]]) -> None:
    pairs = zip(texts, vectors, strict=True)
    rows = ([_short(text), *(f"{_cosine(vector, other):.3f}" for other in vectors)] for text, vector in pairs)
    numbers = range(1, len(texts) + 1)
    show.table(["", *map(str, numbers)], rows, right=numbers)


def _cosine(a: list[float], b: list[float]) -> float:
    product = sum(x * y for x, y in zip(a, b, strict=True))
    length = (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5
    return product / length if length else 0.0
