"""What Ollama answered, for the contract of `polyport.testing` and `polyport conformance ollama`.

The shapes are those of https://docs.ollama.com/api, read 2026-11-23.
"""

from __future__ import annotations

from polyport.testing import Exchange

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 2 + 2?"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
        },
    }
]

ANSWER = b"""{"model": "qwen3", "created_at": "2026-08-07T06:08:14.732371Z",
 "message": {"role": "assistant", "content": "It is 4.", "thinking": "2 + 2 = 4"}, "done": true, "done_reason": "stop",
 "total_duration": 1735248334, "load_duration": 139246000, "prompt_eval_count": 29, "prompt_eval_duration": 247164000,
 "eval_count": 14, "eval_duration": 1337032000,
 "logprobs": [{"token": "It", "logprob": -0.1, "bytes": [73, 116],
               "top_logprobs": [{"token": "It", "logprob": -0.1}]}]}"""

ANSWER_STREAM = b"""{"model": "qwen3", "created_at": "2026-08-07T06:08:14.1Z", "message": {"role": "assistant",\
 "content": "", "thinking": "2 + 2 "}, "done": false}
{"model": "qwen3", "created_at": "2026-08-07T06:08:14.2Z", "message": {"role": "assistant", "content": "",\
 "thinking": "= 4"}, "done": false}
{"model": "qwen3", "created_at": "2026-08-07T06:08:14.3Z", "message": {"role": "assistant", "content": "It is"},\
 "done": false}
{"model": "qwen3", "created_at": "2026-08-07T06:08:14.4Z", "message": {"role": "assistant", "content": " 4."},\
 "done": false}
{"model": "qwen3", "created_at": "2026-08-07T06:08:14.5Z", "message": {"role": "assistant", "content": ""},\
 "done": true, "done_reason": "stop", "total_duration": 1735248334, "load_duration": 139246000,\
 "prompt_eval_count": 29, "prompt_eval_duration": 247164000, "eval_count": 14, "eval_duration": 1337032000}
"""

CALLS = b"""{"model": "qwen3", "created_at": "2026-08-07T06:08:09.335586Z", "message": {"role": "assistant",
 "content": "", "tool_calls": [
  {"id": "call_gsiiy8py", "function": {"index": 0, "name": "get_weather", "arguments": {"town": "Bath"}}},
  {"function": {"name": "get_weather", "arguments": {"town": "York"}}}]},
 "done": true, "done_reason": "stop", "prompt_eval_count": 235, "eval_count": 111}"""

CALLS_STREAM = b"""{"model": "qwen3", "created_at": "2026-08-07T06:08:09.1Z", "message": {"role": "assistant",\
 "content": "", "tool_calls": [{"function": {"name": "get_weather", "arguments": {"town": "Bath"}}}]}, "done": false}
{"model": "qwen3", "created_at": "2026-08-07T06:08:09.2Z", "message": {"role": "assistant", "content": "",\
 "tool_calls": [{"function": {"name": "get_weather", "arguments": {"town": "York"}}}]}, "done": false}
{"model": "qwen3", "created_at": "2026-08-07T06:08:09.3Z", "message": {"role": "assistant", "content": ""},\
 "done": true, "done_reason": "stop", "prompt_eval_count": 235, "eval_count": 111}
"""

TEXT = b"""{"model": "llama3.2", "created_at": "2024-11-30T03:33:55.723654Z", "response": " upon a time",
 "done": true, "done_reason": "length", "context": [1, 2, 3], "total_duration": 1735248334, "prompt_eval_count": 5,
 "eval_count": 3}"""

TEXT_STREAM = b"""{"model": "llama3.2", "created_at": "2024-11-30T03:33:55.1Z", "response": " upon", "done": false}
{"model": "llama3.2", "created_at": "2024-11-30T03:33:55.2Z", "response": " a time", "done": false}
{"model": "llama3.2", "created_at": "2024-11-30T03:33:55.3Z", "response": "", "done": true, "done_reason": "length",\
 "context": [1, 2, 3], "prompt_eval_count": 5, "eval_count": 3}
"""

VECTORS = b"""{"model": "all-minilm", "embeddings": [[0.01, -0.02, 0.03], [0.04, 0.05, -0.06]],
 "total_duration": 14143917, "load_duration": 1019500, "prompt_eval_count": 8}"""

TAGS = b"""{"models": [{"name": "qwen3:latest", "model": "qwen3:latest",
 "modified_at": "2025-10-03T23:34:03.409490317-07:00",
 "size": 3338801804, "digest": "a2af6cc3eb7fa8be8504abaf9b04e88f17a119ec3f04a3addf55f92841195f5a",
 "details": {"format": "gguf", "family": "qwen3", "families": ["qwen3"], "parameter_size": "8B",
             "quantization_level": "Q4_K_M"}}]}"""

EXCHANGES = [
    Exchange(
        "chat",
        {"model": "qwen3", "messages": QUESTION, "keep_alive": "5m", "num_ctx": 8192},
        ANSWER,
        stream=ANSWER_STREAM,
        text="It is 4.",
    ),
    Exchange(
        "chat", {"model": "qwen3", "messages": QUESTION, "tools": TOOLS}, CALLS, stream=CALLS_STREAM, label="chat_calls"
    ),
    Exchange(
        "complete_text",
        {"model": "llama3.2", "prompt": "Once", "max_tokens": 3},
        TEXT,
        stream=TEXT_STREAM,
    ),
    Exchange("embed", {"model": "all-minilm", "input": ["a", "b"]}, VECTORS),
    Exchange("list_models", {}, TAGS),
]
