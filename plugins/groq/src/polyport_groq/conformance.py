"""What Groq answered, for the contract of `polyport.testing` and `polyport conformance groq`.

The shapes are those of https://console.groq.com/docs/api-reference, read 2026-11-23.
"""

from __future__ import annotations

from polyport.testing import Exchange

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 2 + 2?"}]
WAV = ("a.wav", b"RIFF\0\0\0\0WAVEfmt ")

ANSWER = b"""{"id": "chatcmpl-1", "object": "chat.completion", "created": 1783016777, "model": "openai/gpt-oss-120b",
 "choices": [{"index": 0, "finish_reason": "stop", "logprobs": null,
              "message": {"role": "assistant", "content": "It is 4.", "reasoning": "2 + 2 = 4"}}],
 "usage": {"queue_time": 0.1, "prompt_tokens": 84, "prompt_time": 0.003, "completion_tokens": 13,
           "completion_time": 0.02, "total_tokens": 97, "total_time": 0.03,
           "prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens_details": {"reasoning_tokens": 8}},
 "usage_breakdown": null, "system_fingerprint": "fp_1", "x_groq": {"id": "req_1"}, "service_tier": "on_demand"}"""

ANSWER_STREAM = b"""data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1783016777,\
 "model": "openai/gpt-oss-120b", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""},\
 "finish_reason": null}], "x_groq": {"id": "req_1"}}

data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1783016777, "model": "openai/gpt-oss-120b",\
 "choices": [{"index": 0, "delta": {"reasoning": "2 + 2 = 4", "channel": "analysis"}, "finish_reason": null}]}

data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1783016777, "model": "openai/gpt-oss-120b",\
 "choices": [{"index": 0, "delta": {"content": "It is 4."}, "finish_reason": null}]}

data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1783016777, "model": "openai/gpt-oss-120b",\
 "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "x_groq": {"id": "req_1", "usage":\
 {"prompt_tokens": 84, "completion_tokens": 13, "total_tokens": 97}}}

data: [DONE]

"""

TRANSCRIPT = b"""{"text": " Hello.", "x_groq": {"id": "req_1"}}"""
FILE = b"""{"id": "file_1", "object": "file", "bytes": 966, "created_at": 1730000000, "filename": "a.jsonl",
 "purpose": "batch"}"""
FILES = b"""{"object": "list", "data": [{"id": "file_1", "object": "file", "bytes": 966, "created_at": 1730000000,
 "filename": "a.jsonl", "purpose": "batch"}]}"""
DELETED = b"""{"id": "file_1", "object": "file", "deleted": true}"""
LINES = b"""{"id": "batch_req_1", "custom_id": "a", "response": {"status_code": 200, "body": {"choices": []}}}
{"id": "batch_req_2", "custom_id": "b", "response": {"status_code": 200, "body": {"choices": []}}}
"""
BATCH = b"""{"id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions", "errors": null,
 "input_file_id": "file_1", "completion_window": "24h", "status": "validating", "output_file_id": null,
 "error_file_id": null, "finalizing_at": null, "failed_at": null, "expired_at": null, "cancelled_at": null,
 "request_counts": {"total": 0, "completed": 0, "failed": 0}, "metadata": null, "created_at": 1730000000,
 "expires_at": 1730086400, "cancelling_at": null, "completed_at": null, "in_progress_at": null}"""
MODELS = b"""{"object": "list", "data": [{"id": "llama-3.3-70b-versatile", "object": "model", "created": 1733447754,
 "owned_by": "Meta", "active": true, "context_window": 131072, "public_apps": null}]}"""

EXCHANGES = [
    Exchange(
        "chat", {"model": "openai/gpt-oss-120b", "messages": QUESTION}, ANSWER, stream=ANSWER_STREAM, text="It is 4."
    ),
    Exchange("transcribe", {"model": "whisper-large-v3-turbo", "file": WAV}, TRANSCRIPT, text=" Hello."),
    Exchange("translate", {"model": "whisper-large-v3", "file": WAV}, TRANSCRIPT, text=" Hello."),
    Exchange("speak", {"model": "canopylabs/orpheus-v1-english", "input": "Hello"}, b"RIFFaudio", stream=b"RIFFaudio"),
    Exchange("create_file", {"file": ("a.jsonl", b"{}\n")}, FILE),
    Exchange("retrieve_file", {"file_id": "file_1"}, FILE),
    Exchange("list_files", {}, FILES),
    Exchange("delete_file", {"file_id": "file_1"}, DELETED),
    Exchange("download_file", {"file_id": "file_1"}, LINES, stream=LINES),
    Exchange("create_batch", {"input_file_id": "file_1"}, BATCH),
    Exchange("retrieve_batch", {"batch_id": "batch_1"}, BATCH),
    Exchange("cancel_batch", {"batch_id": "batch_1"}, BATCH),
    Exchange("list_batches", {}, b'{"object": "list", "data": [' + BATCH + b"]}"),
    Exchange("list_models", {}, MODELS),
]
