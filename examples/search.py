"""Embeddings and rerank: the passages that answer a question best. Runs on local models (`polyport-local[embed]`)."""

import sys

import polyport

embedder = sys.argv[1] if len(sys.argv) > 1 else "local/e5"
reranker = sys.argv[2] if len(sys.argv) > 2 else "local/e5"

PASSAGES = [
    "The Eiffel Tower is a lattice tower on the Champ de Mars in Paris.",
    "Bread is made from flour, water, yeast and salt.",
    "The Colosseum is an amphitheatre in the centre of Rome.",
    "A cat sleeps for about fifteen hours a day.",
]
QUESTION = "Which famous monument stands in France?"


def vectors(texts: list[str], kind: str) -> list[list[float]]:
    data = polyport.embedding(embedder, texts, input_type=kind).data
    return [list(map(float, item.embedding)) for item in data]


def likeness(a: list[float], b: list[float]) -> float:
    length = (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5
    return sum(x * y for x, y in zip(a, b, strict=True)) / length


passages = vectors(PASSAGES, "search_document")
(question,) = vectors([QUESTION], "search_query")
ranked = sorted(range(len(PASSAGES)), key=lambda number: -likeness(question, passages[number]))
print("by embeddings:", PASSAGES[ranked[0]])

result = polyport.rerank(reranker, QUESTION, PASSAGES, top_n=2)
for row in result.results:
    print(f"rerank {row.relevance_score:.3f}: {PASSAGES[row.index]}")
