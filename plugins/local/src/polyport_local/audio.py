"""Sound as numbers: files to samples and back, other rates, other speeds.

WAV is read and written here; everything else goes through `ffmpeg` where it is installed.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from typing import TYPE_CHECKING, Any

import msgspec

from polyport.errors import BadRequestError, UnsupportedParamsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Samples = npt.NDArray[np.float32]


class Coding(msgspec.Struct, frozen=True):
    """How a response format is made with ffmpeg, and what it is called on the web."""

    arguments: tuple[str, ...]
    media_type: str


#: The formats of OpenAI's speech, in its words. wav and pcm (16 bit, mono) need no ffmpeg.
CODINGS: dict[str, Coding] = {
    "wav": Coding((), "audio/wav"),
    "pcm": Coding((), "audio/pcm"),
    "mp3": Coding(("-f", "mp3"), "audio/mpeg"),
    "opus": Coding(("-c:a", "libopus", "-f", "ogg"), "audio/ogg"),
    "aac": Coding(("-c:a", "aac", "-f", "adts"), "audio/aac"),
    "flac": Coding(("-f", "flac"), "audio/flac"),
}


def read(data: bytes, rate: int) -> Samples:
    """Return any sound file as mono samples (-1 to 1) at `rate` a second. Raises BadRequestError."""
    if not data:
        raise BadRequestError("The sound file is empty", provider="local")
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE" and (found := _read_wav(data)) is not None:
        samples, own_rate = found
        return resample(samples, own_rate, rate)
    return _decode(data, rate)


def _read_wav(data: bytes) -> tuple[Samples, int] | None:
    """Return a WAV file's samples and rate; None for the codings (ADPCM, µ-law ...) that ffmpeg is needed for.

    The standard library's `wave` knows no float samples, nor files whose length was not known when they were begun.
    """
    chunks = _chunks(data)
    form, raw = chunks.get(b"fmt "), chunks.get(b"data")
    if form is None or raw is None or len(form) < 16:
        raise BadRequestError("The WAV file is cut off: it has no samples", provider="local")
    coding, channels, rate, _, _, bits = struct.unpack("<HHIIHH", form[:16])
    if coding == _EXTENSIBLE and len(form) >= 26:
        (coding,) = struct.unpack("<H", form[24:26])
    if (coding, bits) not in _WAV_CODINGS or channels == 0 or rate == 0:
        return None
    width = bits // 8 * channels
    return _mono(raw[: len(raw) // width * width], coding, bits, channels), rate


_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_WAV_CODINGS = {(_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32), (_FLOAT, 64)}


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the chunks of a RIFF file by name; the last may say it is longer than the file."""
    found: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        found.setdefault(name, data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return found


def _mono(raw: bytes, coding: int, bits: int, channels: int) -> Samples:
    import numpy as np

    numbers: Any
    if coding == _FLOAT:
        numbers = np.frombuffer(raw, f"<f{bits // 8}")
    elif bits == 8:
        numbers = np.frombuffer(raw, np.uint8).astype(np.float32) / 128 - 1
    else:
        # The sample goes to the top of 32 bits, whatever its width.
        wide = np.zeros((len(raw) * 8 // bits, 4), np.uint8)
        wide[:, 4 - bits // 8 :] = np.frombuffer(raw, np.uint8).reshape(-1, bits // 8)
        numbers = wide.view("<i4")[:, 0] / float(1 << 31)
    mono: Samples = numbers.reshape(-1, channels).mean(axis=1, dtype=np.float64).astype(np.float32)
    return mono


def _decode(data: bytes, rate: int) -> Samples:
    import numpy as np

    raw = _ffmpeg(
        ["-i", "pipe:0", "-vn", "-ac", "1", "-ar", str(rate), "-f", "f32le"],
        data,
        BadRequestError(
            "Only WAV (PCM or float) is read without ffmpeg, and this is another format. "
            "Install ffmpeg (Debian: apt install ffmpeg; macOS: brew install ffmpeg), or convert the file to WAV.",
            provider="local",
        ),
        "The file is not sound that ffmpeg can read",
    )
    samples: Samples = np.frombuffer(raw, "<f4").astype(np.float32)
    return samples


def encode(samples: bytes, rate: int, form: str) -> bytes:
    """Return 16 bit mono samples as a file of the format `form`. Raises UnsupportedParamsError without ffmpeg."""
    if form == "pcm":
        return samples
    container = wav_header(rate, len(samples)) + samples
    if form == "wav":
        return container
    missing = UnsupportedParamsError(
        f"response_format '{form}' needs ffmpeg, which is not installed. "
        "Install it (Debian: apt install ffmpeg; macOS: brew install ffmpeg), or ask for wav or pcm.",
        provider="local",
    )
    return _ffmpeg(["-i", "pipe:0", *CODINGS[form].arguments], container, missing, f"ffmpeg cannot write {form} here")


def wav_header(rate: int, size: int | None = None) -> bytes:
    """Return the header of a 16 bit mono WAV file of `size` bytes of samples; None writes one for a stream."""
    endless = 0xFFFFFFFF
    length = endless - 36 if size is None else size
    number = int.to_bytes
    return b"".join((
        b"RIFF", number(min(length + 36, endless), 4, "little"), b"WAVEfmt ", number(16, 4, "little"),
        number(1, 2, "little"), number(1, 2, "little"), number(rate, 4, "little"), number(rate * 2, 4, "little"),
        number(2, 2, "little"), number(16, 2, "little"), b"data", number(length, 4, "little"),
    ))  # fmt: skip


def _ffmpeg(arguments: list[str], data: bytes, missing: Exception, failed: str) -> bytes:
    program = shutil.which("ffmpeg")
    if program is None:
        raise missing
    command = [program, "-hide_banner", "-loglevel", "error", *arguments, "pipe:1"]
    done = subprocess.run(command, input=data, capture_output=True, check=False)  # noqa: S603
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise BadRequestError(f"{failed}: {lines[-1] if lines else 'no reason given'}", provider="local")
    return done.stdout


def resample(samples: Samples, rate: int, wanted: int) -> Samples:
    """Return the samples at another rate, by a windowed sinc: what does not fit below the new rate is filtered out."""
    import numpy as np

    if rate == wanted or not len(samples):
        return samples
    step = rate / wanted
    cutoff = min(1.0, 1 / step)
    reach = int(np.ceil(16 / cutoff))
    padded = np.pad(samples, (reach, reach + 1))
    count = int(len(samples) / step)
    offsets = np.arange(-reach + 1, reach + 1)
    out = np.empty(count, np.float32)
    for start in range(0, count, 1 << 14):  # blocks, or the table of weights grows with the file
        at = np.arange(start, min(start + (1 << 14), count)) * step
        base = at.astype(np.int64)
        distance = offsets[None, :] - (at - base)[:, None]
        weights = np.sinc(distance * cutoff) * cutoff * (0.5 + 0.5 * np.cos(np.pi * np.clip(distance / reach, -1, 1)))
        out[start : start + len(at)] = (padded[base[:, None] + offsets + reach] * weights).sum(axis=1)
    return out


def stretch(samples: npt.NDArray[np.int16], factor: float, rate: int) -> npt.NDArray[np.int16]:
    """Return speech made `factor` times longer at the same pitch.

    Overlapping windows are laid further apart, each taken from where it best continues the one before (WSOLA).
    """
    import numpy as np

    size = rate // 25
    hop, search = size // 2, size // 4
    window = np.hanning(size + 1)[:size]
    source = np.pad(samples.astype(np.float64), (search, size + 2 * search))
    count = int(len(samples) * factor / hop) + 1
    out: Any = np.zeros(count * hop + size)
    at = search
    for index in range(count):
        piece = source[at : at + size]
        out[index * hop : index * hop + size] += piece * window
        follows = source[at + hop : at + hop + size]
        target = min(int((index + 1) * hop / factor) + search, len(source) - size - search)
        nearby = source[target - search : target + search + size]
        at = (
            target - search + int(np.argmax(np.correlate(nearby, follows, "valid"))) if len(follows) == size else target
        )
    lengthened: npt.NDArray[np.int16] = np.clip(out[: int(len(samples) * factor)], -32768, 32767).astype(np.int16)
    return lengthened
