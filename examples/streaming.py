"""An answer as it comes, with its usage at the end; and leaving early, which closes the connection."""

import sys

import polyport

model = sys.argv[1] if len(sys.argv) > 1 else "local/smollm2"
question = [{"role": "user", "content": "Tell me about the sea in three sentences."}]

usage = None
with polyport.completion(model, question, stream=True, stream_options={"include_usage": True}, max_tokens=96) as stream:
    for chunk in stream:
        usage = chunk.usage or usage
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
print("tokens out:", usage.completion_tokens if usage else "not told", "- seconds:", round(stream.meta.latency or 0, 2))

with polyport.completion(model, question, stream=True) as stream:
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            print("the first word is enough:", chunk.choices[0].delta.content)
            break
