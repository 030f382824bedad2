"""Whisper's picture of sound: the logarithm of a mel spectrogram.

Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", section 2.2: 16 kHz, windows of 25 ms
every 10 ms, 80 mel bands, scaled to between -1 and 1. https://arxiv.org/abs/2212.04356
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

RATE = 16_000
HOP = 160
WINDOW = 400
BANDS = 80
FRAMES_A_SECOND = RATE // HOP


def log_mel(samples: Floats, padding: int) -> Floats:
    """Return the spectrogram (80 by frames) of samples at 16 kHz followed by `padding` samples of silence."""
    import numpy as np

    padded = np.pad(samples, (0, padding))
    framed = np.pad(padded, WINDOW // 2, mode="reflect") if len(padded) > WINDOW else np.pad(padded, WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(framed, WINDOW)[::HOP][: len(padded) // HOP]
    hann = np.hanning(WINDOW + 1)[:WINDOW].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2
    logs = np.log10(np.maximum(_filters() @ power.T, 1e-10))
    picture: Floats = ((np.maximum(logs, logs.max() - 8.0) + 4.0) / 4.0).astype(np.float32)
    return picture


@lru_cache(maxsize=1)
def _filters() -> Any:
    """Return the triangular filters of Slaney's mel scale, each of the same area (80 by 201)."""
    import numpy as np

    bins = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    edges = _to_hertz(np.linspace(0, _to_mel(RATE / 2), BANDS + 2))
    width = np.diff(edges)
    slopes = edges[:, None] - bins[None, :]
    rising, falling = -slopes[:-2] / width[:-1, None], slopes[2:] / width[1:, None]
    return np.maximum(0, np.minimum(rising, falling)) * (2.0 / (edges[2:] - edges[:-2]))[:, None]


#: Slaney's scale is linear to 1 kHz (15 mel) and logarithmic above, a factor of 6.4 in 27 mel.
_KNEE_HERTZ, _KNEE_MEL, _LOG_STEP = 1000.0, 15.0, 27.0


def _to_mel(hertz: float) -> float:
    import numpy as np

    return float(_KNEE_MEL + np.log(hertz / _KNEE_HERTZ) * _LOG_STEP / np.log(6.4))


def _to_hertz(mel: Any) -> Any:
    import numpy as np

    above = _KNEE_HERTZ * np.exp(np.log(6.4) * (mel - _KNEE_MEL) / _LOG_STEP)
    return np.where(mel < _KNEE_MEL, mel * _KNEE_HERTZ / _KNEE_MEL, above)
