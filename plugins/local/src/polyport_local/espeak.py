"""Text to speech with eSpeak NG, whose library and voices are inside the package `espeakng-loader`.

The library has one voice and one speaker a process, so one text is spoken at a time. It is loaded for each text
anew, which takes a millisecond: with its random numbers seeded, the same text then gives the same bytes.
https://github.com/espeak-ng/espeak-ng/blob/master/src/include/espeak-ng/speak_lib.h
"""

from __future__ import annotations

import ctypes
import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from polyport.errors import BadRequestError, PluginError
from polyport_local import audio
from polyport_local.extras import require
from polyport_local.streams import Stream

_SYNCHRONOUS, _RATE = 2, 1
_UTF8, _END_PAUSE = 1, 0x1000
_NORMAL, _SLOWEST = 175, 80  # words a minute

#: OpenAI's voices by the variants of eSpeak's English that come nearest: m for men, f for women.
VOICES = {
    "alloy": "en-us", "ash": "en-us+m3", "ballad": "en-gb+m5", "cedar": "en-us+m7", "coral": "en-us+f4",
    "echo": "en-us+m1", "fable": "en-gb+m4", "marin": "en-us+f5", "nova": "en-us+f2", "onyx": "en-us+m2",
    "sage": "en-us+f1", "shimmer": "en-us+f3", "verse": "en-gb+m6",
}  # fmt: skip


class _Voice(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("languages", ctypes.c_void_p), ("identifier", ctypes.c_char_p)]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """The synthesizer. Methods may be called from any thread; while one text is spoken, others wait."""

    #: Samples a second of every voice.
    rate = 22050

    def say(self, text: str, *, voice: str | None = None, speed: float = 1.0, form: str = "wav") -> bytes:
        """Return speech as a file of the format `form` (see `audio.CODINGS`). Raises BadRequestError."""
        _check_form(form)
        return audio.encode(b"".join(self.samples(text, voice=voice, speed=speed)), self.rate, form)

    def stream(self, text: str, *, voice: str | None = None, speed: float = 1.0, form: str = "wav") -> Iterator[bytes]:
        """Return the file in pieces, while it is spoken for wav and pcm. Closing the iterator stops the speech.

        A streamed WAV says in its header that it is endless, for nobody knows yet how long it will be.
        """
        _check_form(form)
        if form not in ("wav", "pcm"):
            return iter([self.say(text, voice=voice, speed=speed, form=form)])
        head = [audio.wav_header(self.rate)] if form == "wav" else []
        return _Joined(head, self.samples(text, voice=voice, speed=speed))

    def samples(self, text: str, *, voice: str | None = None, speed: float = 1.0) -> Stream[bytes]:
        """Return 16 bit mono samples at `rate`, piece by piece as they are made."""
        if not 0.25 <= speed <= 4:
            raise BadRequestError(f"speed must be between 0.25 and 4, not {speed:g}", provider="local")
        if not text.strip():
            raise BadRequestError("There is nothing to say: input is empty", provider="local")
        name = self._known(voice or "en")
        words = round(_NORMAL * speed)
        slower = _SLOWEST / words

        def work(out: Stream[bytes]) -> None:
            if slower <= 1:
                self._speak(text, name, words, out)
                return
            whole: Stream[bytes] = Stream(lambda inner: self._speak(text, name, _SLOWEST, inner))
            out.put(_slow_down(b"".join(whole), slower, self.rate))

        return Stream(work)

    def voices(self) -> dict[str, str]:
        """Return the languages' voices with their names: {"de": "German", ...}. `+f2` and the like vary each."""
        with _library() as library:
            library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
            found = itertools.takewhile(bool, library.espeak_ListVoices(None))
            # A voice's languages begin with a byte for its priority.
            return {ctypes.string_at(one.contents.languages + 1).decode(): one.contents.name.decode() for one in found}

    def close(self) -> None:
        """Nothing is kept between two texts."""

    def _known(self, voice: str) -> str:
        name = VOICES.get(voice.lower(), voice)
        language, _, variant = name.partition("+")
        with _library() as library:
            found = library.espeak_SetVoiceByName(language.encode()) == 0
        if not found or not all(c.isalnum() for c in variant):
            raise BadRequestError(
                f"No voice '{voice}'. Say a language (en, en-us, de ...), perhaps with a variant (en+f2, en+m3), "
                f"or one of {', '.join(VOICES)}. `polyport local list` lists them all.",
                provider="local",
            )
        return name

    def _speak(self, text: str, voice: str, words: int, out: Stream[bytes]) -> None:
        def take(samples: int | None, count: int, _events: int) -> int:
            if samples and count:
                out.put(ctypes.string_at(samples, count * 2))
            return int(out.closed)

        callback = _CALLBACK(take)
        data = text.encode("utf-8", "replace").replace(b"\0", b" ")
        with _library() as library:
            library.espeak_SetSynthCallback(callback)
            library.espeak_SetVoiceByName(voice.encode())
            library.espeak_SetParameter(_RATE, words, 0)
            library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8 | _END_PAUSE, None, None)
            library.espeak_Synchronize()


#: Held while the library is used: it has one voice, one rate and one callback for the whole process.
_SPEAKING = threading.Lock()


@contextmanager
def _library() -> Iterator[Any]:
    """Give the library, just loaded, to one user at a time."""
    loader = require("espeakng_loader", "audio", "Text to speech with local/espeak")
    data = loader.get_data_path()
    with _SPEAKING:
        library = ctypes.CDLL(loader.get_library_path())
        try:
            if library.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), 0) != Espeak.rate:
                raise PluginError(f"eSpeak NG could not start with the data in {data}")
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))
            yield library
            library.espeak_Terminate()
        finally:
            _unload(library)


def _unload(library: ctypes.CDLL) -> None:
    """Take the library out of memory, and with it what it remembers of the last text. Only POSIX tells how."""
    if os.name == "posix":
        ctypes.CDLL(None).dlclose(ctypes.c_void_p(library._handle))


class _Joined:
    """A few pieces, then a stream; closing it closes the stream, from any thread."""

    def __init__(self, first: list[bytes], rest: Stream[bytes]) -> None:
        self._pieces = itertools.chain(first, rest)
        self._rest = rest

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Stop the speech."""
        self._rest.close()


def _check_form(form: str) -> None:
    if form not in audio.CODINGS:
        raise BadRequestError(
            f"response_format must be one of {', '.join(audio.CODINGS)}, not '{form}'", provider="local"
        )


def _slow_down(samples: bytes, factor: float, rate: int) -> bytes:
    """Lengthen speech beyond the slowest that eSpeak speaks."""
    numpy = require("numpy", "audio", "Speaking slower than 0.46")
    lengthened: bytes = audio.stretch(numpy.frombuffer(samples, numpy.int16), factor, rate).tobytes()
    return lengthened
