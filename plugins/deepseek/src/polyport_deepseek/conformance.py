"""What DeepSeek answered, for the contract of `polyport.testing` and `polyport conformance deepseek`.

The shapes are those of https://api-docs.deepseek.com/api/create-chat-completion, read 2026-11-23.
"""

from __future__ import annotations

from polyport.testing import Exchange

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 2 + 2?"}]

ANSWER = b"""{"id": "2c181a80", "object": "chat.completion", "created": 1786400347, "model": "deepseek-flash",
 "choices": [{"index": 0, "logprobs": null, "finish_reason": "stop",
              "message": {"role": "assistant", "content": "It is 4.", "reasoning_content": "2+2=4."}}],
 "usage": {"prompt_tokens": 97, "completion_tokens": 17, "total_tokens": 114,
           "prompt_tokens_details": {"cached_tokens": 64}, "completion_tokens_details": {"reasoning_tokens": 15},
           "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 33}, "system_fingerprint": "fp_1"}"""

#: A comment keeps the connection open while the request waits for its turn.
ANSWER_STREAM = b""": keep-alive

data: {"id": "2c181a80", "object": "chat.completion.chunk", "created": 1786400347, "model": "deepseek-flash",\
 "choices": [{"index": 0, "delta": {"role": "assistant", "content": null, "reasoning_content": ""},\
 "finish_reason": null}]}

data: {"id": "2c181a80", "object": "chat.completion.chunk", "created": 1786400347, "model": "deepseek-flash",\
 "choices": [{"index": 0, "delta": {"content": null, "reasoning_content": "2+2=4."}, "finish_reason": null}]}

data: {"id": "2c181a80", "object": "chat.completion.chunk", "created": 1786400347, "model": "deepseek-flash",\
 "choices": [{"index": 0, "delta": {"content": "It is 4.", "reasoning_content": null}, "finish_reason": null}]}

data: {"id": "2c181a80", "object": "chat.completion.chunk", "created": 1786400347, "model": "deepseek-flash",\
 "choices": [{"index": 0, "delta": {"content": "", "reasoning_content": null}, "finish_reason": "stop"}],\
 "usage": {"prompt_tokens": 97, "completion_tokens": 17, "total_tokens": 114, "prompt_cache_hit_tokens": 64,\
 "prompt_cache_miss_tokens": 33}}

data: [DONE]

"""

COMPLETION = b"""{"id": "f", "object": "text_completion", "created": 1786400347, "model": "deepseek-flash",
 "choices": [{"index": 0, "text": "    if a < 2: return a\\n", "finish_reason": "stop", "logprobs": null}],
 "usage": {"prompt_tokens": 9, "completion_tokens": 11, "total_tokens": 20}}"""

COMPLETION_STREAM = b"""data: {"id": "f", "object": "text_completion", "created": 1786400347,\
 "model": "deepseek-flash", "choices": [{"index": 0, "text": "    if a < 2:", "finish_reason": null}]}

data: {"id": "f", "object": "text_completion", "created": 1786400347, "model": "deepseek-flash",\
 "choices": [{"index": 0, "text": " return a\\n", "finish_reason": "stop"}]}

data: [DONE]

"""

RESPONSE = b"""{"id": "r1", "object": "response", "created_at": 1785967714, "model": "deepseek-flash",
 "status": "completed", "error": null, "store": false,
 "output": [{"id": "r2", "type": "reasoning", "status": "completed", "summary": [],
             "content": [{"type": "reasoning_text", "text": "2+2=4."}]},
            {"id": "r3", "type": "message", "role": "assistant", "status": "completed", "phase": "final_answer",
             "content": [{"type": "output_text", "text": "It is 4.", "annotations": [], "logprobs": []}]}],
 "usage": {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 9,
           "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 19}}"""

RESPONSE_STREAM = b"""event: response.output_text.delta
data: {"type": "response.output_text.delta", "item_id": "r3", "output_index": 1, "content_index": 0,\
 "delta": "It is 4.", "logprobs": [], "sequence_number": 0}

event: response.completed
data: {"type": "response.completed", "sequence_number": 1, "response": {"id": "r1", "object": "response",\
 "created_at": 1785967714, "model": "deepseek-flash", "status": "completed", "output": []}}

"""

MODELS = b"""{"object": "list", "data": [{"id": "deepseek-flash", "object": "model", "owned_by": "deepseek"}]}"""

EXCHANGES = [
    Exchange("chat", {"model": "deepseek-flash", "messages": QUESTION}, ANSWER, stream=ANSWER_STREAM, text="It is 4."),
    Exchange(
        "complete_text",
        {"model": "deepseek-flash", "prompt": "def fib(a):", "suffix": "    return fib(a-1) + fib(a-2)"},
        COMPLETION,
        stream=COMPLETION_STREAM,
    ),
    Exchange("respond", {"model": "deepseek-flash", "input": "2 + 2?"}, RESPONSE, stream=RESPONSE_STREAM),
    Exchange("list_models", {}, MODELS),
]
