"""A stream judged window by window, before any of it is let out.

What has come of a text is judged whenever `window` new characters have, together with the `overlap` characters before
them; of what was judged, the last `overlap` characters are held back until more has come. So a match of up to
`overlap` characters is seen as a whole before any of it is let out, wherever the chunks are cut; of a longer one, a
beginning may be out when it is found, and then the stream ends there. A match that touches what is held back waits, as
it may yet become another one. Held are at most `window + overlap` characters and the chunk they end in, of one text;
more only while a match goes on, or where a guardrail judges the whole answer (`window` None).

Chunks keep their order and number: a masked one is the same chunk with another text, and no `logprobs`, which would
tell the text. A text that repeats what came in pieces (the `.done` events of a response) is masked as the pieces were.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from polyport.errors import GuardrailError
from polyport.flow import Flow, Streaming
from polyport.guarding import texts
from polyport.guarding.border import Judge
from polyport.guarding.escapes import complete, shown, tokens, written
from polyport.guarding.pieces import Channel, Piece, of_chunk
from polyport.guarding.verdicts import Block, Edit, Mask, Path, Seen, Text
from polyport.steps import Steps


class Chunks:
    """The decoder of a stream whose pieces are lists of finished chunks."""

    def feed(self, data: list[Any]) -> list[Any]:
        """Return the chunks."""
        return data

    def close(self) -> list[Any]:
        """Nothing is ever held back."""
        return []


class Words:
    """One text that a stream brings in pieces. Everything before `fixed` is decided, with `edits` made of it.

    `clear`: what has been seen of it passed. Of JSON, `text` is without escapes and `written` what each character is
    written as; an escape that is cut in two waits in `carry` for its other half.
    """

    __slots__ = ("carry", "clear", "edits", "fixed", "last", "over", "seen", "shape", "text", "written")

    def __init__(self, channel: Channel, piece: Piece) -> None:
        path = tuple(step if isinstance(step, int) else str(step) for step in channel if step is not None)
        self.shape = Text(("answer", *path), "", piece.role, piece.kind)
        self.text = self.carry = ""
        self.fixed = self.seen = 0
        self.over = self.clear = False
        self.edits: list[Edit] = []
        self.written: list[str] | None = [] if piece.kind == "arguments" else None
        self.last: Part | None = None

    def add(self, piece: str) -> bool:
        """Take in the next piece; return whether it can only be written anew: an escape is cut in two here."""
        if self.written is None:
            self.text += piece
            return False
        carried, whole = self.carry, self.carry + piece
        end = complete(whole)
        self._write(tokens(whole[:end]))
        self.carry = whole[end:]
        return bool(carried or self.carry)

    def _write(self, more: list[str]) -> None:
        if self.written is not None:
            self.written += more
        self.text += shown(more)

    def finish(self) -> None:
        """There will be no more of it."""
        self.over = True
        self._write(tokens(self.carry))
        self.carry = ""
        if self.last is not None:
            self.last.end = len(self.text)

    def window(self, start: int) -> Text:
        """Return what there is from `start` on."""
        return replace(self.shape, text=self.text[start:])

    def part(self, start: int, end: int) -> str:
        """Return what has become of the characters from `start` to `end`: a mask stands where its match began."""
        if self.written is not None:
            return written(self.written, self.edits, start, end)
        made: list[str] = []
        done = start
        for edit in self.edits:
            if edit.end <= start:
                continue
            if edit.start >= end:
                break
            if edit.start >= done:
                made += [self.text[done : edit.start], edit.replacement]
            done = max(done, min(edit.end, end))
        made.append(self.text[done:end])
        return "".join(made)

    def is_changed(self, start: int, end: int) -> bool:
        """Whether any of the characters from `start` to `end` is masked."""
        return any(edit.start < end and edit.end > start for edit in self.edits)


class Part:
    """A piece of one of the longer texts, in a chunk: from where to where. `anew`: it cannot stay as it was written."""

    __slots__ = ("anew", "end", "path", "start", "words")

    def __init__(self, path: Path, words: Words, text: str) -> None:
        self.path, self.words, self.start = path, words, len(words.text)
        self.anew = words.add(text)
        self.end = len(words.text)
        words.last = self

    def made(self) -> str | None:
        """Return what stands in its place; None where it stays."""
        if self.anew or self.words.is_changed(self.start, self.end):
            return self.words.part(self.start, self.end)
        return None


class Held:
    """A chunk that waits, with its texts."""

    __slots__ = ("chunk", "parts", "wholes")

    def __init__(self, chunk: Any) -> None:
        self.chunk = chunk
        self.parts: list[Part] = []
        self.wholes: list[Whole] = []

    def ready(self) -> bool:
        """Whether everything in it is decided."""
        return all(part.end <= part.words.fixed for part in self.parts) and all(one.done for one in self.wholes)

    def release(self) -> Any:
        """Return the chunk, with other texts where they are masked."""
        changed = {part.path: made for part in self.parts if (made := part.made()) is not None}
        changed |= {whole.text.path: whole.made for whole in self.wholes if whole.made is not None}
        return texts.with_result(self.chunk, changed) if changed else self.chunk


class Whole:
    """A text that stands for itself; `made` is what is put in its place."""

    __slots__ = ("done", "made", "text")

    def __init__(self, text: Text) -> None:
        self.text = text
        self.done = False
        self.made: str | None = None


def guard(stream: Streaming[Any], judge: Judge) -> Streaming[Any]:
    """Return the stream of what a guardrail lets out. Raises GuardrailError in it."""
    return _stepped(stream, Window(stream, judge).step)


def listen(stream: Streaming[Any], judge: Judge, heard: Callable[[list[Any] | None], None]) -> Streaming[Any]:
    """Return the same stream, whose chunks `heard` is given at its end as they are masked; None where they may not be.

    Of a stream that is not read to its end, nothing is given.
    """
    return _stepped(stream, Listener(stream, judge, heard).step)


def _stepped(stream: Streaming[Any], step: Callable[[], Flow[list[Any] | None]]) -> Streaming[Any]:
    made: Streaming[Any] = Streaming(Steps(step), Chunks())
    made.headers = stream.headers
    return made.epilogue(stream.end)


class Window:
    """The state of one stream under one guardrail."""

    def __init__(self, stream: Streaming[Any], judge: Judge) -> None:
        self._stream = stream
        self._judge = judge
        self._window, self._overlap = judge.rule.window, judge.rule.overlap
        self._channels: dict[Channel, Words] = {}
        self._held: deque[Held] = deque()
        self._wholes: list[Whole] = []
        self._new = 0
        self._due = self._asked = False
        self.ended = False

    def step(self) -> Flow[list[Any] | None]:
        """Return the next chunks that may be let out; None at the end."""
        while not self.ended:
            chunks = yield from self._stream.pull()
            for chunk in chunks:
                self.take(chunk)
            if not chunks:
                yield from self.finish()
            elif self._window is not None and (self._due or self._new >= self._window):
                yield from self._decide()
            out = self.release()
            if out:
                for chunk in out:
                    texts.bare(chunk)
                return out
        return None

    def take(self, chunk: Any) -> None:
        """Take in a chunk's texts."""
        held = Held(chunk)
        found = of_chunk(chunk)
        for piece in found.pieces:
            if piece.channel is None:
                held.wholes.append(Whole(piece.whole()))
                self._due = True
                continue
            words = self._channels.get(piece.channel)
            if words is None:
                words = self._channels[piece.channel] = Words(piece.channel, piece)
            held.parts.append(Part(piece.path, words, piece.text))
            self._new += len(piece.text)
        self._wholes += held.wholes
        for begin in found.closes:
            for channel, words in self._channels.items():
                if not words.over and channel[: len(begin)] == begin:
                    words.finish()
                    self._due = True
        self._held.append(held)

    def finish(self) -> Flow[None]:
        """The stream is over: decide about everything."""
        self.ended = True
        for words in self._channels.values():
            words.finish()
        yield from self._decide()

    def release(self) -> list[Any]:
        """Return the chunks about which everything is decided."""
        out: list[Any] = []
        while self._held and self._held[0].ready():
            out.append(self._held.popleft().release())
        return out

    # --- judging ---

    def _decide(self) -> Flow[None]:
        self._new, self._due = 0, False
        undecided = [words for words in self._channels.values() if words.fixed < len(words.text)]
        for words in undecided:
            if words.over and words.clear and words.seen == len(words.text):
                words.fixed = len(words.text)
        windows = [(w, max(0, w.fixed - self._overlap)) for w in undecided
                   if w.fixed < len(w.text) and (w.seen < len(w.text) or w.over)]  # fmt: skip
        wholes = [whole for whole in self._wholes if self._repeated(whole) is None]
        if windows or wholes or (self.ended and not self._asked):
            yield from self._ask(windows, wholes)
        for whole in self._wholes:
            words_again = None if whole.done else self._repeated(whole)
            if words_again is not None and words_again.fixed >= len(words_again.text):
                end = len(words_again.text)
                whole.done = True
                whole.made = words_again.part(0, end) if words_again.is_changed(0, end) else None
        self._wholes = [whole for whole in self._wholes if not whole.done]

    def _repeated(self, whole: Whole) -> Words | None:
        """Return the text that another one only says again: then it decides."""
        return next((words for words in self._channels.values() if words.text == whole.text.text), None)

    def _ask(self, windows: list[tuple[Words, int]], wholes: list[Whole]) -> Flow[None]:
        self._asked = True
        shown = [*(words.window(start) for words, start in windows), *(one.text for one in wholes)]
        seen = self._judge.see(shown, partial=not self.ended)
        verdict = yield from self._judge.ask(seen)
        waits: list[int | None] = [None] * len(windows)
        if isinstance(verdict, Block):
            for finding in self._final(verdict, seen, windows):
                waits[finding[0]] = min(finding[1], waits[finding[0]] or finding[1])
        else:
            self._judge.allow(verdict, seen)
        edits = verdict.edits if isinstance(verdict, Mask) else []
        for index, (words, start) in enumerate(windows):
            own = [replace(e, start=e.start + start, end=e.end + start) for e in edits if e.text == index]
            words.clear = not own and waits[index] is None
            self._fix(words, sorted(own, key=lambda edit: (edit.start, edit.end)), waits[index])
        for index, whole in enumerate(wholes, len(windows)):
            own = [edit for edit in edits if edit.text == index]
            whole.done, whole.made = True, texts.changed(whole.text, own) if own else None

    def _fix(self, words: Words, edits: list[Edit], wait: int | None) -> None:
        """Decide about a text as far as it can be: up to what is held back, and to a match that touches that."""
        words.seen = len(words.text)
        limit = self._limit(words)
        fixed = limit if wait is None else min(limit, wait)
        for edit in edits:
            if edit.end <= words.fixed:
                continue  # let out before, and masked then
            if edit.end > limit:
                fixed = min(fixed, edit.start)
                break
            words.edits.append(replace(edit, start=max(edit.start, words.fixed)))
        words.fixed = max(words.fixed, fixed)
        words.edits = [edit for edit in words.edits if edit.end <= words.fixed]

    def _limit(self, words: Words) -> int:
        return len(words.text) if words.over else len(words.text) - self._overlap

    def _final(self, verdict: Block, seen: Seen, windows: list[tuple[Words, int]]) -> list[tuple[int, int]]:
        """Return where what was found begins, (window, character): all of it touches what is held back.

        Raises GuardrailError where it does not: then nothing that comes can make it something else.
        """
        places = {seen.texts[index].where: index for index in range(len(windows))}
        begins: list[tuple[int, int]] = []
        for finding in verdict.findings:
            index = places.get(finding.path)
            if index is None or finding.start is None or finding.end is None:
                raise self._judge.refuse(verdict)
            words, start = windows[index]
            if finding.end + start <= self._limit(words):
                raise self._judge.refuse(verdict)
            begins.append((index, finding.start + start))
        if not begins:
            raise self._judge.refuse(verdict)
        return begins


class Listener:
    """Lets a stream through, and judges all of it at its end."""

    def __init__(self, stream: Streaming[Any], judge: Judge, heard: Callable[[list[Any] | None], None]) -> None:
        self._stream = stream
        self._window = Window(stream, judge)
        self._heard = heard

    def step(self) -> Flow[list[Any] | None]:
        """Return the next chunks, as they come; None at the end."""
        if self._window.ended:
            return None
        chunks = yield from self._stream.pull()
        for chunk in chunks:
            self._window.take(chunk)
        if chunks:
            return chunks
        try:
            yield from self._window.finish()
        except GuardrailError:
            self._heard(None)
        else:
            self._heard(self._window.release())
        return None
