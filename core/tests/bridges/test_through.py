"""A stream that is decoded once more keeps everything that was added to it."""

from __future__ import annotations

from polyport.errors import APIConnectionError
from polyport.flow import Items, Raw, Streaming


class Doubled:
    """Gives every number twice, and "end" at the end."""

    def feed(self, data):
        return [data, data]

    def close(self):
        return ["end"]


class Cut(Raw):
    """Finds at its end that something is missing."""

    def close(self):
        raise APIConnectionError("cut off")


def read(stream):
    """All the chunks, and then the end, as a flow."""
    chunks, error = [], None
    try:
        while found := (yield from stream.pull()):
            chunks += found
    except APIConnectionError as raised:
        error = raised
    yield from stream.end(error)
    return chunks


def perform(flow):
    """Run a flow on a source in memory."""
    try:
        effect = next(flow)
        while True:
            effect = flow.send(effect.source.read() if type(effect).__name__ == "Read" else effect.source.close())
    except StopIteration as stop:
        return stop.value


def test_changes_apply_before_the_second_decoder_and_epilogues_run_once():
    """What middleware added to the inner stream stays in force."""
    ends, closed = [], []

    def epilogue(error):
        ends.append(error)
        yield from ()

    def numbers():
        try:
            yield from (1, 2)
        finally:
            closed.append(True)

    inner = Streaming(Items(numbers()), Raw()).map(lambda number: number * 10).epilogue(epilogue)
    assert perform(read(inner.through(Doubled()))) == [10, 10, 20, 20, "end"]
    assert (ends, closed) == ([None], [True])


def test_chunks_that_were_decoded_ahead_come_first():
    """A stream that was primed, even to its end, loses nothing."""
    inner = Streaming(Items([1, 2, 3]), Raw())
    perform(inner.prime(lambda number: number == 2))
    assert perform(read(inner.through(Doubled()))) == [1, 1, 2, 2, 3, 3, "end"]
    whole = Streaming(Items([1]), Raw())
    perform(whole.prime(lambda number: False))
    assert perform(read(whole.through(Doubled()))) == [1, 1, "end"]


def test_an_error_of_the_inner_stream_is_raised_by_the_outer_one():
    """A cut is noticed, and the epilogues learn of it."""
    ends = []

    def epilogue(error):
        ends.append(str(error))
        yield from ()

    outer = Streaming(Items([1]), Cut()).epilogue(epilogue).through(Doubled())
    assert perform(read(outer)) == [1, 1]
    assert ends == ["cut off"]
