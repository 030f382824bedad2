"""What look-alikes answer, for the contract of `polyport.testing` and `polyport conformance <prefix>`.

Every row has the exchanges of what it can do. The bodies are OpenAI's shapes with what look-alikes put into them:
reasoning beside the content, opaque details, null counts, a price.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from polyport.testing import Exchange
from polyport_compatible.rows import Row, rows

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 2 + 2?"}]
WAV = ("a.wav", b"RIFF\0\0\0\0WAVEfmt ")
PNG = ("a.png", b"\x89PNG\r\n\x1a\n")

ANSWER = b"""{"id": "gen-1", "object": "chat.completion", "created": 1764265411, "model": "m", "provider": "Somewhere",
 "choices": [{"index": 0, "finish_reason": "stop", "native_finish_reason": "end_turn", "logprobs": null,
              "message": {"role": "assistant", "content": "It is 4.", "refusal": null, "reasoning": "2 + 2 = 4",
                          "reasoning_details": [{"type": "reasoning.text", "text": "2 + 2 = 4", "index": 0}]}}],
 "usage": {"prompt_tokens": 40, "completion_tokens": 12, "total_tokens": 52, "cost": 0.0005,
           "prompt_tokens_details": {"cached_tokens": 8}, "completion_tokens_details": {"reasoning_tokens": 7}}}"""

ANSWER_STREAM = b""": PROCESSING

data: {"id": "gen-1", "object": "chat.completion.chunk", "created": 1764265411, "model": "m", "choices": [{"index": 0,\
 "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]}

data: {"id": "gen-1", "object": "chat.completion.chunk", "created": 1764265411, "model": "m", "choices": [{"index": 0,\
 "delta": {"reasoning": "2 + 2", "reasoning_details": [{"type": "reasoning.text", "text": "2 + 2", "index": 0}]},\
 "finish_reason": null}]}

data: {"id": "gen-1", "object": "chat.completion.chunk", "created": 1764265411, "model": "m", "choices": [{"index": 0,\
 "delta": {"reasoning": " = 4", "reasoning_details": [{"type": "reasoning.text", "text": " = 4", "index": 0}]},\
 "finish_reason": null}]}

data: {"id": "gen-1", "object": "chat.completion.chunk", "created": 1764265411, "model": "m", "choices": [{"index": 0,\
 "delta": {"content": "It is 4."}, "finish_reason": null}]}

data: {"id": "gen-1", "object": "chat.completion.chunk", "created": 1764265411, "model": "m", "choices": [{"index": 0,\
 "delta": {}, "finish_reason": "stop"}]}

data: {"id": "gen-1", "object": "chat.completion.chunk", "created": 1764265411, "model": "m", "choices": [],\
 "usage": {"prompt_tokens": 40, "completion_tokens": 12, "total_tokens": 52}}

data: [DONE]

"""

TEXT = b"""{"id": "cmpl-1", "object": "text_completion", "created": 1764265411, "model": "m",
 "choices": [{"index": 0, "text": " a time", "finish_reason": "length", "logprobs": null}],
 "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}"""

TEXT_STREAM = b"""data: {"id": "cmpl-1", "object": "text_completion", "created": 1764265411, "model": "m",\
 "choices": [{"index": 0, "text": " a", "finish_reason": null}]}

data: {"id": "cmpl-1", "object": "text_completion", "created": 1764265411, "model": "m",\
 "choices": [{"index": 0, "text": " time", "finish_reason": "length"}]}

data: [DONE]

"""

RESPONSE = b"""{"id": "resp_1", "object": "response", "created_at": 1764265411, "model": "m", "status": "completed",
 "output": [{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": "It is 4.", "annotations": []}]}],
 "usage": {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 4,
           "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 14}}"""

RESPONSE_STREAM = b"""event: response.output_text.delta
data: {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0,\
 "delta": "It is 4.", "sequence_number": 0}

event: response.completed
data: {"type": "response.completed", "sequence_number": 1, "response": {"id": "resp_1", "object": "response",\
 "created_at": 1764265411, "model": "m", "status": "completed", "output": []}}

"""

VECTORS = b"""{"object": "list", "model": "m", "usage": {"prompt_tokens": 4, "total_tokens": 4},
 "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]},
          {"object": "embedding", "index": 1, "embedding": [0.5, 0.25]}]}"""
RANKED = b"""{"id": "r", "model": "m", "results": [{"index": 1, "relevance_score": 0.9, "document": {"text": "4"}},
 {"index": 0, "relevance_score": 0.1, "document": {"text": "5"}}], "usage": {"prompt_tokens": 9, "total_tokens": 9}}"""
VERDICT = b"""{"id": "modr-1", "model": "m", "results": [{"flagged": false, "categories": {"hate": false},
 "category_scores": {"hate": 0.01}}]}"""
IMAGE = b"""{"created": 1764265411, "data": [{"b64_json": "iVBORw0KGgo="}]}"""
IMAGE_STREAM = b"""event: image_generation.partial_image
data: {"type": "image_generation.partial_image", "b64_json": "iVBORw0KGgo=", "partial_image_index": 0}

event: image_generation.completed
data: {"type": "image_generation.completed", "b64_json": "iVBORw0KGgo=", "usage": {"input_tokens": 5,\
 "output_tokens": 9, "total_tokens": 14}}

"""
EDIT_STREAM = IMAGE_STREAM.replace(b"image_generation", b"image_edit")
TRANSCRIPT = b"""{"text": "Two and two.", "language": "en", "duration": 1.5}"""
TRANSCRIPT_STREAM = b"""data: {"type": "transcript.text.delta", "delta": "Two and two."}

data: {"type": "transcript.text.done", "text": "Two and two."}

"""
FILE = b"""{"id": "file-1", "object": "file", "bytes": 3, "created_at": 1764265411, "filename": "a.jsonl",
 "purpose": "batch"}"""
DELETED = b"""{"id": "file-1", "object": "file", "deleted": true}"""
LINES = b"""{"id": "1", "custom_id": "a"}\n{"id": "2", "custom_id": "b"}\n"""
BATCH = b"""{"id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": "file-1",
 "completion_window": "24h", "status": "validating", "created_at": 1764265411}"""
MODELS = (
    b"""{"object": "list", "data": [{"id": "m", "object": "model", "created": 1764265411, "owned_by": "somebody"}]}"""
)

BY_ABILITY: Mapping[str, Sequence[Exchange]] = {
    "chat": [
        Exchange("chat", {"model": "m", "messages": QUESTION}, ANSWER, stream=ANSWER_STREAM, text="It is 4."),
    ],
    "text": [Exchange("complete_text", {"model": "m", "prompt": "Once upon"}, TEXT, stream=TEXT_STREAM)],
    "respond": [Exchange("respond", {"model": "m", "input": "2 + 2?"}, RESPONSE, stream=RESPONSE_STREAM)],
    "embed": [Exchange("embed", {"model": "m", "input": ["one", "two"]}, VECTORS)],
    "rerank": [Exchange("rerank", {"model": "m", "query": "2 + 2?", "documents": ["5", "4"]}, RANKED)],
    "moderate": [Exchange("moderate", {"model": "m", "input": "2 + 2?"}, VERDICT)],
    "images": [Exchange("generate_image", {"model": "m", "prompt": "a four"}, IMAGE, stream=IMAGE_STREAM)],
    "edits": [Exchange("edit_image", {"model": "m", "image": PNG, "prompt": "bolder"}, IMAGE, stream=EDIT_STREAM)],
    "variations": [Exchange("vary_image", {"model": "m", "image": PNG}, IMAGE)],
    "transcribe": [Exchange("transcribe", {"model": "m", "file": WAV}, TRANSCRIPT, stream=TRANSCRIPT_STREAM)],
    "translate": [Exchange("translate", {"model": "m", "file": WAV}, TRANSCRIPT)],
    "speak": [Exchange("speak", {"model": "m", "input": "Four", "voice": "v"}, b"RIFFaudio", stream=b"RIFFaudio")],
    "files": [
        Exchange("create_file", {"file": ("a.jsonl", b"{}\n")}, FILE),
        Exchange("retrieve_file", {"file_id": "file-1"}, FILE),
        Exchange("list_files", {}, b'{"object": "list", "data": [' + FILE + b"]}"),
        Exchange("delete_file", {"file_id": "file-1"}, DELETED),
        Exchange("download_file", {"file_id": "file-1"}, LINES, stream=LINES),
    ],
    "batches": [
        Exchange("create_batch", {"input_file_id": "file-1"}, BATCH),
        Exchange("retrieve_batch", {"batch_id": "batch_1"}, BATCH),
        Exchange("cancel_batch", {"batch_id": "batch_1"}, BATCH),
        Exchange("list_batches", {}, b'{"object": "list", "data": [' + BATCH + b"]}"),
    ],
    "models": [Exchange("list_models", {}, MODELS)],
}


def exchanges(row: Row) -> Iterator[Exchange]:
    """Give the exchanges of what a row can do, with the address and settings that it asks its user for."""
    env = {setting.env[0]: "id-1" for setting in row.settings}
    if not row.base:
        env[f"{row.prefix.upper()}_API_BASE"] = "https://server.example/v1"
    for ability in row.can:
        for found in BY_ABILITY[ability]:
            yield Exchange(found.hook, found.call, found.reply, found.stream, env=env, text=found.text)


EXCHANGES = {prefix: list(exchanges(row)) for row in rows() for prefix in row.prefixes}
