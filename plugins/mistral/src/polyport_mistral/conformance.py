"""What Mistral answered, for the contract of `polyport.testing` and `polyport conformance mistral`.

The shapes are those of https://docs.mistral.ai/api and of mistralai 3.7.0, read 2026-11-23.
"""

from __future__ import annotations

from polyport.testing import Exchange

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 2 + 2?"}]
PDF = {"type": "file", "file": {"file_url": "https://files.example/a.pdf"}}
WAV = ("a.wav", b"RIFF\0\0\0\0WAVEfmt ")

ANSWER = b"""{"id": "cmpl-1", "object": "chat.completion", "created": 1787150406, "model": "mistral-small-latest",
 "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "tool_calls": null, "content": [
   {"type": "thinking", "thinking": [{"type": "text", "text": "2 + 2 = 4"}], "closed": true},
   {"type": "text", "text": "It is 4."}]}}],
 "usage": {"prompt_tokens": 84, "total_tokens": 104, "completion_tokens": 20,
           "prompt_tokens_details": {"cached_tokens": 40}, "service_tier": "standard"}}"""

ANSWER_STREAM = b"""data: {"id": "cmpl-1", "object": "chat.completion.chunk", "created": 1787150406,\
 "model": "mistral-small-latest", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""},\
 "finish_reason": null}]}

data: {"id": "cmpl-1", "object": "chat.completion.chunk", "created": 1787150406, "model": "mistral-small-latest",\
 "choices": [{"index": 0, "delta": {"content": [{"type": "thinking", "thinking": [{"type": "text",\
 "text": "2 + 2 = 4"}]}]}, "finish_reason": null}], "p": "abcdef"}

data: {"id": "cmpl-1", "object": "chat.completion.chunk", "created": 1787150406, "model": "mistral-small-latest",\
 "choices": [{"index": 0, "delta": {"content": "It is 4."}, "finish_reason": null}]}

data: {"id": "cmpl-1", "object": "chat.completion.chunk", "created": 1787150406, "model": "mistral-small-latest",\
 "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 84,\
 "total_tokens": 104, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 40}}}

data: [DONE]

"""

READ = b"""{"pages": [{"index": 0, "markdown": "# A title", "images": [], "dimensions": {"dpi": 200, "height": 2200,
 "width": 1700}}, {"index": 1, "markdown": "The end.", "images": [], "dimensions": null}],
 "model": "mistral-ocr-2512", "document_annotation": null, "usage_info": {"pages_processed": 2, "doc_size_bytes": 9}}"""

GAP = b"""{"id": "fim-1", "object": "chat.completion", "created": 1787150406, "model": "codestral-2508",
 "choices": [{"index": 0, "message": {"role": "assistant", "tool_calls": null, "content": "    if a < 2: return a\\n"},
              "finish_reason": "stop"}],
 "usage": {"prompt_tokens": 8, "total_tokens": 17, "completion_tokens": 9}}"""

GAP_STREAM = b"""data: {"id": "fim-1", "object": "chat.completion.chunk", "created": 1787150406,\
 "model": "codestral-2508", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""},\
 "finish_reason": null}]}

data: {"id": "fim-1", "object": "chat.completion.chunk", "created": 1787150406, "model": "codestral-2508",\
 "choices": [{"index": 0, "delta": {"content": "    if a < 2: "}, "finish_reason": null}]}

data: {"id": "fim-1", "object": "chat.completion.chunk", "created": 1787150406, "model": "codestral-2508",\
 "choices": [{"index": 0, "delta": {"content": "return a\\n"}, "finish_reason": "length"}],\
 "usage": {"prompt_tokens": 8, "total_tokens": 17, "completion_tokens": 9}}

data: [DONE]

"""

VECTORS = b"""{"id": "emb-1", "object": "list", "model": "mistral-embed", "data": [
 {"object": "embedding", "embedding": [0.5, -0.25], "index": 0},
 {"object": "embedding", "embedding": [0.25, 0.5], "index": 1}],
 "usage": {"prompt_tokens": 4, "total_tokens": 4, "completion_tokens": 0}}"""

VERDICTS = b"""{"id": "mod-1", "model": "mistral-moderation-2603", "results": [
 {"categories": {"sexual": false, "violence_and_threats": true},
  "category_scores": {"sexual": 0.0001, "violence_and_threats": 0.93}},
 {"categories": {"sexual": false, "violence_and_threats": false},
  "category_scores": {"sexual": 0.0001, "violence_and_threats": 0.01}}]}"""

TRANSCRIPT = b"""{"model": "voxtral-mini-2602", "text": "Hello. Hi!", "language": "en", "segments": [
 {"text": "Hello.", "start": 0.1, "end": 0.8, "speaker_id": "speaker_1", "type": "transcription_segment"},
 {"text": " Hi!", "start": 0.9, "end": 1.4, "speaker_id": "speaker_2", "type": "transcription_segment"}],
 "usage": {"prompt_audio_seconds": 2, "prompt_tokens": 4, "total_tokens": 38, "completion_tokens": 9}}"""

TRANSCRIPT_STREAM = b"""event: transcription.language
data: {"type": "transcription.language", "audio_language": "en"}

event: transcription.text.delta
data: {"type": "transcription.text.delta", "text": "Hello."}

event: transcription.segment
data: {"type": "transcription.segment", "text": "Hello.", "start": 0.1, "end": 0.8, "speaker_id": "speaker_1"}

event: transcription.text.delta
data: {"type": "transcription.text.delta", "text": " Hi!"}

event: transcription.done
data: {"type": "transcription.done", "model": "voxtral-mini-2602", "text": "Hello. Hi!", "language": "en",\
 "usage": {"prompt_audio_seconds": 2, "prompt_tokens": 4, "total_tokens": 38, "completion_tokens": 9}}

"""

SPOKEN = b"""{"audio_data": "SUQzBAAAAAAA"}"""
SPOKEN_STREAM = b"""event: speech.audio.delta
data: {"type": "speech.audio.delta", "audio_data": "SUQz"}

event: speech.audio.delta
data: {"type": "speech.audio.delta", "audio_data": "BAAAAAAA"}

event: speech.audio.done
data: {"type": "speech.audio.done", "usage": {"prompt_tokens": 3, "total_tokens": 3, "completion_tokens": 0}}

"""

FILE = b"""{"id": "f-1", "object": "file", "bytes": 966, "created_at": 1786389977, "filename": "a.jsonl",
 "purpose": "batch", "sample_type": "batch_request", "num_lines": 2, "mimetype": "application/jsonl",
 "source": "upload", "signature": "d41d", "expires_at": null, "visibility": "workspace"}"""
RESULT_FILE = b"""{"id": "f-2", "object": "file", "bytes": 966, "created_at": 1786389977, "filename": "out.jsonl",
 "purpose": "batch", "sample_type": "batch_result", "num_lines": 2, "source": "mistral", "deleted": false}"""
FILES = b"""{"object": "list", "total": 1, "data": [""" + FILE + b"]}"
DELETED = b"""{"id": "f-1", "object": "file", "deleted": true}"""
LINE = b"""{"custom_id": "a", "url": "/v1/chat/completions", "body": {"model": "mistral-small-latest",\
 "messages": [{"role": "user", "content": "Hi"}], "seed": 7}}
"""
RESULTS = b"""{"id": "b-1", "custom_id": "a", "response": {"status_code": 200, "body": {"id": "cmpl-1",\
 "object": "chat.completion", "created": 1, "model": "mistral-small-latest", "choices": [{"index": 0,\
 "finish_reason": "stop", "message": {"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type":\
 "text", "text": "Greet."}]}, {"type": "text", "text": "Hi."}]}}], "usage": {"prompt_tokens": 3, "total_tokens": 5,\
 "completion_tokens": 2}}}, "error": null}
{"id": "b-2", "custom_id": "b", "response": {"status_code": 422, "body": {"detail": "wrong"}}, "error": null}
{"id": "b-3", "custom_id": "c", "response": null, "error": {"message": "lost"}}
"""
JOB = b"""{"id": "j-1", "object": "batch", "input_files": ["f-1"], "endpoint": "/v1/chat/completions",
 "model": "mistral-small-latest", "agent_id": null, "output_file": "f-2", "error_file": null, "errors": [],
 "status": "SUCCESS", "created_at": 1786389977, "started_at": 1786389980, "completed_at": 1786390000,
 "total_requests": 2, "completed_requests": 2, "succeeded_requests": 2, "failed_requests": 0, "metadata": null}"""
JOBS = b"""{"object": "list", "total": 1, "data": [""" + JOB + b"]}"
MODELS = b"""{"object": "list", "data": [{"id": "mistral-small-2603", "object": "model", "created": 1767131075,
 "owned_by": "mistralai", "capabilities": {"completion_chat": true, "function_calling": true}, "name":
 "mistral-small-2603", "description": "Hybrid.", "max_context_length": 262144, "aliases": ["mistral-small-latest"],
 "deprecation": null, "type": "base"}]}"""

EXCHANGES = [
    Exchange(
        "chat", {"model": "mistral-small-latest", "messages": QUESTION}, ANSWER, stream=ANSWER_STREAM, text="It is 4."
    ),
    Exchange(
        "chat",
        {"model": "mistral-ocr-latest", "messages": [{"role": "user", "content": [PDF]}]},
        READ,
        text="# A title\n\nThe end.",
        label="ocr",
    ),
    Exchange(
        "complete_text",
        {"model": "codestral-latest", "prompt": "def fib(a):", "suffix": "    return 1"},
        GAP,
        stream=GAP_STREAM,
    ),
    Exchange("embed", {"model": "mistral-embed", "input": ["a", "b"]}, VECTORS),
    Exchange("moderate", {"model": "mistral-moderation-2603", "input": ["a", "b"]}, VERDICTS),
    Exchange(
        "transcribe",
        {"model": "voxtral-mini-latest", "file": WAV},
        TRANSCRIPT,
        stream=TRANSCRIPT_STREAM,
        text="Hello. Hi!",
    ),
    Exchange("speak", {"model": "voxtral-mini-tts-2603", "input": "Hello"}, SPOKEN, stream=SPOKEN_STREAM),
    Exchange("create_file", {"file": ("a.jsonl", LINE)}, FILE),
    Exchange("retrieve_file", {"file_id": "f-1"}, FILE),
    Exchange("list_files", {}, FILES),
    Exchange("delete_file", {"file_id": "f-1"}, DELETED),
    Exchange("download_file", {"file_id": "f-2"}, RESULTS, stream=RESULTS, before=[RESULT_FILE]),
    Exchange("create_batch", {"input_file_id": "f-1"}, JOB),
    Exchange("retrieve_batch", {"batch_id": "j-1"}, JOB),
    Exchange("cancel_batch", {"batch_id": "j-1"}, JOB),
    Exchange("list_batches", {}, JOBS),
    Exchange("delete_batch", {"batch_id": "j-1"}, b'{"id": "j-1", "object": "batch", "deleted": true}'),
    Exchange("list_models", {}, MODELS),
]
