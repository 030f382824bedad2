"""Answers from fal's documentation, for the contract of `polyport.testing` and `polyport conformance fal_ai`."""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.testing import Exchange, Reply

ID = "764cabcf-b745-4b3e-ae38-1200304cf45b"
BASE = f"https://queue.fal.run/fal-ai/flux/requests/{ID}"
SUBMITTED: dict[str, Any] = {
    "status": "IN_QUEUE",
    "request_id": ID,
    "response_url": BASE,
    "status_url": f"{BASE}/status",
    "cancel_url": f"{BASE}/cancel",
    "queue_position": 0,
}
RUNNING: dict[str, Any] = {
    **SUBMITTED,
    "status": "IN_PROGRESS",
    "logs": [{"message": "12%", "level": "INFO", "source": "USER", "timestamp": "2026-11-23T02:00:00.000000Z"}],
}
DONE: dict[str, Any] = {**RUNNING, "status": "COMPLETED", "metrics": {"inference_time": 1.5}}
PICTURE: dict[str, Any] = {
    "url": "https://v3.fal.media/files/rabbit/a.png", "content_type": "image/png", "width": 1024, "height": 768,
}  # fmt: skip
DRAWN: dict[str, Any] = {
    "images": [PICTURE],
    "timings": {"inference": 1.5},
    "seed": 42,
    "has_nsfw_concepts": [False],
    "prompt": "A cat",
}
SPOKEN: dict[str, Any] = {
    "audio": {"url": "https://v3.fal.media/files/koala/tts.wav", "content_type": "audio/wav"},
    "duration_ms": 1200,
}
HEARD: dict[str, Any] = {
    "text": "Hello there. Goodbye.",
    "chunks": [
        {"timestamp": [0.0, 1.5], "text": "Hello there.", "speaker": "SPEAKER_00"},
        {"timestamp": [1.5, None], "text": " Goodbye.", "speaker": None},
    ],
    "inferred_languages": ["en"],
    "diarization_segments": [],
}
FILM: dict[str, Any] = {
    "video": {"url": "https://v3.fal.media/files/lion/out.mp4", "content_type": "video/mp4"},
    "seed": 1,
}
VIDEO = f"fal-ai/veo3.1/fast/requests/{ID}"
WAV = Reply(content=b"RIFF\x24\x00\x00\x00WAVEfmt ", headers={"content-type": "audio/wav"})
MP4 = Reply(content=b"\x00\x00\x00 ftypisom", headers={"content-type": "video/mp4"})
PNG = b"\x89PNG\r\n\x1a\n"


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


WAITED = [SUBMITTED, RUNNING, DONE]

EXCHANGES = [
    Exchange(
        "generate_image",
        {"model": "fal-ai/flux/dev", "prompt": "A cat", "n": 1, "size": "1024x768", "seed": 42},
        before=WAITED,
        reply=_json(DRAWN),
    ),
    Exchange(
        "edit_image",
        {"model": "fal-ai/flux-pro/kontext", "image": PNG, "prompt": "Bigger"},
        before=WAITED,
        reply=_json(DRAWN),
    ),
    Exchange(
        "speak",
        {"model": "fal-ai/kokoro/american-english", "input": "Hi", "voice": "af_heart"},
        before=[*WAITED, SPOKEN],
        reply=WAV,
        stream=WAV,
    ),
    Exchange(
        "transcribe",
        {"model": "fal-ai/whisper", "file": ("a.wav", b"RIFF....WAVE"), "response_format": "verbose_json"},
        before=WAITED,
        reply=_json(HEARD),
        text="Hello there. Goodbye.",
    ),
    Exchange(
        "translate", {"model": "fal-ai/wizper", "file": ("a.wav", b"RIFF....WAVE")}, before=WAITED, reply=_json(HEARD)
    ),
    Exchange(
        "create_video",
        {"model": "fal-ai/veo3.1/fast", "prompt": "Waves", "seconds": 4, "size": "1280x720"},
        reply=_json(SUBMITTED),
    ),
    Exchange("retrieve_video", {"video_id": VIDEO}, reply=_json(RUNNING)),
    Exchange("download_video", {"video_id": VIDEO}, before=[DONE, FILM], reply=MP4, stream=MP4),
    Exchange("delete_video", {"video_id": VIDEO}, reply=b'{"status": "CANCELLATION_REQUESTED"}'),
]
