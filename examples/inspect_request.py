"""The exact HTTP request of a call, without sending it: no key, no network. As `polyport render` shows it."""

import json

import polyport
from polyport.rendering import render

question = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
for model in ("openai/gpt-4o", "anthropic/claude-sonnet-4-5"):
    request = render("completion", model=model, messages=question, max_tokens=100)
    print(request.method, request.url)
    print({name: value for name, value in request.headers.items() if "<" in value})
    assert isinstance(request.content, bytes)
    print(json.dumps(json.loads(request.content), indent=2))

print("takes temperature:", polyport.supports("openai/gpt-4o", "temperature"))
print("takes top_k:", polyport.supports("openai/gpt-4o", "top_k"))
