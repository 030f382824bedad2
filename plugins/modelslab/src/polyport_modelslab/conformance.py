"""Answers from ModelsLab's documentation, for `polyport.testing`'s contract and `polyport conformance modelslab`."""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.testing import Exchange, Reply

DRAWN: dict[str, Any] = {
    "status": "success",
    "generationTime": 2.45,
    "id": 123456,
    "output": ["https://pub-3626123a908346a7a8be8d9295f44e26.r2.dev/generations/abc123.png"],
    "proxy_links": ["https://cdn2.stablediffusionapi.com/generations/abc123.png"],
    "nsfw_content_detected": False,
    "meta": {"prompt": "A cat", "width": 512, "height": 512, "seed": 7},
}
PROCESSING: dict[str, Any] = {
    "status": "processing",
    "tip": "Get 20x faster image generation using enterprise plan.",
    "eta": 20,
    "message": "Try to fetch request after seconds estimated",
    "fetch_result": "https://modelslab.com/api/v6/video/fetch/123456",
    "id": 123456,
    "output": [],
    "future_links": ["https://pub-3626123a908346a7a8be8d9295f44e26.r2.dev/generations/abc123.mp4"],
}
FILMED: dict[str, Any] = {**DRAWN, "output": ["https://pub-3626123a.r2.dev/generations/abc123.mp4"]}
SPOKEN: dict[str, Any] = {**DRAWN, "output": ["https://pub-3626123a.r2.dev/generations/abc123.wav"]}
PLACED: dict[str, Any] = {"status": "success", "id": 7, "output": ["https://pub-3626123a.r2.dev/uploads/cat.png"]}
VIDEO = "v6/video/fetch/123456"
WAV = Reply(content=b"RIFF\x24\x00\x00\x00WAVEfmt ", headers={"content-type": "audio/wav"})
MP4 = Reply(content=b"\x00\x00\x00 ftypisom", headers={"content-type": "video/mp4"})
PNG = b"\x89PNG\r\n\x1a\n"


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


EXCHANGES = [
    Exchange(
        "generate_image",
        {"model": "flux", "prompt": "A cat", "n": 1, "size": "512x512", "seed": 7},
        reply=_json(DRAWN),
    ),
    Exchange(
        "edit_image",
        {"model": "realistic-vision-51", "image": PNG, "prompt": "Bigger"},
        before=[PLACED],
        reply=_json(DRAWN),
    ),
    Exchange("speak", {"model": "text_to_speech", "input": "Hi"}, before=[SPOKEN], reply=WAV, stream=WAV),
    Exchange("create_video", {"model": "cogvideox", "prompt": "Waves"}, reply=_json(PROCESSING)),
    Exchange("retrieve_video", {"video_id": VIDEO}, reply=_json(FILMED)),
    Exchange("download_video", {"video_id": VIDEO}, before=[FILMED], reply=MP4, stream=MP4),
]
