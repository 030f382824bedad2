"""A call, its result, what happened to get it, and errors."""

import sys

import polyport

model = sys.argv[1] if len(sys.argv) > 1 else "local/smollm2"
question = [{"role": "user", "content": "What is the capital of France?"}]

answer = polyport.completion(model, question, temperature=0, max_tokens=64)
print(answer.choices[0].message.content)
print("tokens:", answer["usage"]["total_tokens"])  # attributes and keys both work
print("by", answer.meta.provider, "in", round(answer.meta.latency or 0, 2), "s, attempts:", answer.meta.attempts)

history = [*question, answer.choices[0].message, {"role": "user", "content": "And of Italy?"}]
print(polyport.completion(model, history, temperature=0, max_tokens=64).text)

try:
    polyport.completion(model, [{"role": "user", "content": 5}])
except polyport.BadRequestError as error:
    print("wrong:", error)

try:
    polyport.completion("no-such-provider/model", question)
except polyport.NotFoundError as error:
    print("missing:", error)
