"""What Hugging Face answered, for the contract of `polyport.testing` and `polyport conformance huggingface`.

The shapes are those of https://huggingface.co/docs/inference-providers, of text-embeddings-inference, and of what
huggingface_hub 2.4.0 reads; read 2026-11-23.
"""

from __future__ import annotations

from polyport.testing import Exchange, Reply

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 2 + 2?"}]
WAV = ("a.wav", b"RIFF\0\0\0\0WAVEfmt ")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
TEI = "http://127.0.0.1:8080"

ANSWER = b"""{"id": "chatcmpl-1", "object": "chat.completion", "created": 1767213631, "model": "openai/gpt-oss-120b",
 "choices": [{"index": 0, "finish_reason": "stop", "logprobs": null,
              "message": {"role": "assistant", "content": "It is 4.", "reasoning": "2 + 2 = 4"}}],
 "usage": {"prompt_tokens": 84, "completion_tokens": 13, "total_tokens": 97,
           "prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens_details": {"reasoning_tokens": 8}}}"""

ANSWER_STREAM = b"""data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1767213631,\
 "model": "openai/gpt-oss-120b", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}

data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1767213631, "model": "openai/gpt-oss-120b",\
 "choices": [{"index": 0, "delta": {"reasoning": "2 + 2 = 4"}}]}

data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1767213631, "model": "openai/gpt-oss-120b",\
 "choices": [{"index": 0, "delta": {"content": "It is 4."}}]}

data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1767213631, "model": "openai/gpt-oss-120b",\
 "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}

data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1767213631, "model": "openai/gpt-oss-120b",\
 "choices": [], "usage": {"prompt_tokens": 84, "completion_tokens": 13, "total_tokens": 97}}

data: [DONE]

"""

TEXT = b"""{"object": "text_completion", "id": "", "created": 1767213631, "model": "tgi", "system_fingerprint": "3.3",
 "choices": [{"index": 0, "text": " upon a time", "logprobs": null, "finish_reason": "length"}],
 "usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}}"""
TEXT_STREAM = b"""data: {"id": "", "object": "text_completion", "created": 1767213631, "model": "tgi",\
 "choices": [{"index": 0, "text": " upon a time", "finish_reason": "length"}]}

data: [DONE]

"""

VECTORS = b"[[0.01, -0.02, 0.03], [0.04, 0.05, -0.06]]"
RANKS = b"""[{"index": 1, "score": 0.98}, {"index": 0, "score": 0.01}]"""
SCORES = b"[0.11, 0.87]"


def mapping(task: str, provider: str = "fal-ai", id: str = "fal-ai/flux/dev") -> dict[str, object]:
    """Return what the Hub says of a model that one provider serves for a task."""
    entry = {"provider": provider, "providerId": id, "status": "live", "task": task}
    return {"_id": "1", "id": "org/model", "inferenceProviderMapping": [entry]}


DRAWN = b"""{"images": [{"url": "https://v3.fal.media/files/a.png", "width": 1024, "height": 768,
 "content_type": "image/png"}], "timings": {"inference": 1.2}, "seed": 7, "has_nsfw_concepts": [false],
 "prompt": "A cat"}"""
SUBMITTED = b"""{"status": "IN_QUEUE", "request_id": "r-1", "queue_position": 0,
 "response_url": "https://queue.fal.run/fal-ai/flux-kontext/requests/r-1",
 "status_url": "https://queue.fal.run/fal-ai/flux-kontext/requests/r-1/status",
 "cancel_url": "https://queue.fal.run/fal-ai/flux-kontext/requests/r-1/cancel"}"""
COMPLETED = b"""{"status": "COMPLETED", "request_id": "r-1", "metrics": {"inference_time": 2.5}}"""
FILMED = b"""{"video": {"url": "https://v3.fal.media/files/a.mp4", "content_type": "video/mp4"}, "seed": 7}"""
TRANSCRIPT = b"""{"text": " Hello there.", "chunks": [{"text": " Hello", "timestamp": [0.0, 0.8]},
 {"text": " there.", "timestamp": [0.8, null]}]}"""
MODELS = b"""{"object": "list", "data": [{"id": "openai/gpt-oss-120b", "object": "model", "created": 1754408174,
 "owned_by": "openai", "providers": [{"provider": "cerebras", "status": "live", "context_length": 131072}]}]}"""

SOUND = Reply(content=b"fLaCaudio", headers={"content-type": "audio/flac"})
PICTURE = Reply(content=PNG, headers={"content-type": "image/png"})
FILM = Reply(content=b"\0\0\0\x18ftypmp42", headers={"content-type": "video/mp4"})
JOB = "fal-ai:/fal-ai/ltx-video/requests/r-1"

EXCHANGES = [
    Exchange(
        "chat",
        {"model": "openai/gpt-oss-120b:cheapest", "messages": QUESTION},
        ANSWER,
        stream=ANSWER_STREAM,
        text="It is 4.",
    ),
    Exchange(
        "complete_text",
        {"model": "tgi", "prompt": "Once", "max_tokens": 3, "api_base": TEI},
        TEXT,
        stream=TEXT_STREAM,
    ),
    Exchange("embed", {"model": "org/model", "input": ["a", "b"]}, VECTORS),
    Exchange("embed", {"model": "tei", "input": ["a", "b"], "api_base": TEI, "truncate": True}, VECTORS),
    Exchange("rerank", {"model": "tei", "query": "q", "documents": ["a", "b"], "api_base": TEI}, RANKS),
    Exchange("rerank", {"model": "org/model", "query": "q", "documents": ["a", "b"], "top_n": 1}, SCORES),
    Exchange("generate_image", {"model": "org/model:hf-inference", "prompt": "A cat", "size": "1024x768"}, PICTURE),
    Exchange(
        "generate_image", {"model": "org/model", "prompt": "A cat", "n": 2}, DRAWN, before=[mapping("text-to-image")]
    ),
    Exchange(
        "edit_image",
        {"model": "org/model", "prompt": "A hat", "image": PNG},
        DRAWN,
        before=[mapping("image-to-image"), SUBMITTED, COMPLETED],
    ),
    Exchange("transcribe", {"model": "org/model:hf-inference", "file": WAV}, TRANSCRIPT, text=" Hello there."),
    Exchange("speak", {"model": "org/model:hf-inference", "input": "Hello"}, SOUND, stream=SOUND),
    Exchange(
        "create_video",
        {"model": "org/model", "prompt": "Waves", "seed": 7},
        SUBMITTED,
        before=[mapping("text-to-video")],
    ),
    Exchange("retrieve_video", {"video_id": JOB}, COMPLETED),
    Exchange("download_video", {"video_id": JOB}, FILM, stream=FILM, before=[COMPLETED, FILMED]),
    Exchange("list_models", {}, MODELS),
]
