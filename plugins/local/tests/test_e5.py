"""Embeddings and ranks that mean something, in more than one language."""

import math
import subprocess
import sys

import pytest

from polyport.errors import BadRequestError


def test_vectors_have_length_one_and_tokens_are_counted(e5):
    """384 numbers a text, in order."""
    vectors, tokens = e5.embed(["one", "another text"])
    assert [len(vector) for vector in vectors] == [384, 384]
    assert math.hypot(*vectors[0]) == pytest.approx(1, abs=1e-3)
    assert tokens > 4
    assert e5.embed(["another text"])[0][0] == pytest.approx(vectors[1], abs=2e-2)


@pytest.mark.parametrize(
    ("query", "documents", "best"),
    [
        ("Where do pandas live?", ["The panda lives in the mountains of China.", "Taxes are due in May."], 0),
        ("Wie hoch ist die Zugspitze?", ["Das Brot ist frisch.", "Der höchste Berg Deutschlands ist 2962 m hoch."], 1),
        ("¿Qué come un gato?", ["The stock market fell.", "Cats mostly eat meat and fish."], 1),
    ],
)
def test_the_fitting_document_ranks_first(e5, query, documents, best):
    """English, German, and a Spanish question about English documents."""
    scores, _ = e5.rank(query, documents)
    assert scores.index(max(scores)) == best


def test_queries_and_documents_are_embedded_differently(e5):
    """input_type chooses the prefix the model was trained with."""
    query, _ = e5.embed(["cats"], input_type="search_query")
    document, _ = e5.embed(["cats"], input_type="search_document")
    assert query != document


def test_what_cannot_be_embedded_is_refused(e5):
    """Empty texts and unknown kinds are named."""
    with pytest.raises(BadRequestError, match=r"\$\.input\[1\]"):
        e5.embed(["a", ""])
    with pytest.raises(BadRequestError, match="clustering"):
        e5.embed(["a"], input_type="poem")


def test_no_socket_is_opened():
    """The model is in the package: an interpreter without sockets embeds."""
    program = (
        "import sys; sys.addaudithook(lambda e, a: e.startswith('socket') and sys.exit('a socket: ' + e))\n"
        "from polyport_local.e5 import E5; print(len(E5().embed(['x'])[0][0]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "384\n", done.stderr
