"""What Azure answered, for the contract of `polyport.testing` and `polyport conformance azure`.

Most of it is OpenAI's word for word; what the filters add is as recorded traffic has it (2024-10-21 and later).
"""

from __future__ import annotations

import msgspec

from polyport.testing import Exchange
from polyport_openai.conformance import EXCHANGES as OPENAIS

ENV = {"AZURE_API_BASE": "https://resource.openai.azure.com"}
#: What OpenAI has and Azure has not.
ABSENT = frozenset({"moderate", "vary_image"})
SAY = [{"role": "user", "content": "What is 2 + 2?"}]

ANSWER = b"""{"id": "chatcmpl-1", "object": "chat.completion", "created": 1760000000, "model": "gpt-4o-2024-11-20",
 "choices": [{"index": 0, "finish_reason": "stop", "logprobs": null,
   "message": {"role": "assistant", "content": "It is 4.", "refusal": null, "annotations": []},
   "content_filter_results": {"hate": {"filtered": false, "severity": "safe"}}}],
 "prompt_filter_results": [{"prompt_index": 0,
   "content_filter_results": {"hate": {"filtered": false, "severity": "safe"}}}],
 "usage": {"prompt_tokens": 14, "completion_tokens": 6, "total_tokens": 20,
   "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0}}, "system_fingerprint": "fp_1"}"""

ANSWER_STREAM = b"""data: {"id": "", "object": "", "created": 0, "model": "", "choices": [],\
 "prompt_filter_results": [{"prompt_index": 0, "content_filter_results":\
 {"hate": {"filtered": false, "severity": "safe"}}}]}

data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1760000000, "model": "gpt-4o-2024-11-20",\
 "choices": [{"index": 0, "delta": {"role": "assistant", "content": "It is 4."}, "finish_reason": null,\
 "content_filter_results": {"hate": {"filtered": false, "severity": "safe"}}}]}

data: {"id": "", "object": "", "created": 0, "model": "", "choices": [{"index": 0, "finish_reason": null,\
 "content_filter_results": {}, "content_filter_offsets": {"check_offset": 44, "start_offset": 44, "end_offset": 52}}]}

data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1760000000, "model": "gpt-4o-2024-11-20",\
 "choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "content_filter_results": {}}]}

data: [DONE]

"""

EXCHANGES = [
    Exchange(
        "chat",
        {"model": "gpt-4o", "messages": SAY},
        ANSWER,
        stream=ANSWER_STREAM,
        env=ENV,
        text="It is 4.",
        label="filtered chat",
    ),
    *(msgspec.structs.replace(exchange, env=ENV) for exchange in OPENAIS if exchange.hook not in ABSENT),
]
