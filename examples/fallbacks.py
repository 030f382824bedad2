"""When a provider fails: retries, other models to try, and what each error means. No gateway needed."""

import sys

import polyport

model = sys.argv[1] if len(sys.argv) > 1 else "local/smollm2"
question = [{"role": "user", "content": "Say hello."}]

# Nobody listens at the first address: retried once, then the next model answers.
answer = polyport.completion(
    "anthropic/claude-sonnet-4-5",
    question,
    api_base="http://127.0.0.1:9/v1",
    api_key="not-a-real-key",
    num_retries=1,
    fallbacks=[model],
    max_tokens=32,
)
print(f"{answer.meta.provider} answered after {answer.meta.attempts} attempts: {answer.text}")

ERRORS = {
    polyport.AuthenticationError: "no key, or a wrong one: asking again cannot help",
    polyport.RateLimitError: "too fast: error.retry_after says how many seconds to wait",
    polyport.ContextWindowExceededError: "too long for this model: another may take it",
    polyport.APIConnectionError: "nobody there",
    polyport.Timeout: "too slow",
}
try:
    polyport.completion(
        "anthropic/claude-sonnet-4-5", question, api_base="http://127.0.0.1:9/v1", api_key="x", num_retries=0
    )
except polyport.PolyportError as error:
    meaning = next((text for kind, text in ERRORS.items() if isinstance(error, kind)), "something else")
    print(f"{type(error).__name__} ({meaning}): {error}")
