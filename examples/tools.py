"""Functions the model may call: ask, call them, tell what they gave, until the answer is there."""

import json
import sys
from collections.abc import Callable
from typing import Any

import polyport

WEATHER = {"Paris": "rain, 12 °C", "Rome": "sun, 24 °C"}
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Tell the weather in a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "enum": list(WEATHER)}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
]


def get_weather(city: str) -> str:
    return WEATHER.get(city, "unknown")


FUNCTIONS: dict[str, Callable[..., str]] = {"get_weather": get_weather}

model = sys.argv[1] if len(sys.argv) > 1 else "local/smollm2"
messages: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
choice: Any = {"type": "function", "function": {"name": "get_weather"}}  # a small model needs to be told

for _ in range(4):
    asked = {"tools": TOOLS, "tool_choice": choice} if choice != "none" else {}
    message = polyport.completion(model, messages, temperature=0, max_tokens=128, **asked).choices[0].message
    if not message.tool_calls:
        print(message.content)
        break
    messages.append(message)
    for call in message.tool_calls:
        assert call.function is not None
        result = FUNCTIONS[call.function.name or ""](**json.loads(call.function.arguments))
        print(f"{call.function.name}({call.function.arguments}) -> {result}")
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    choice = "none"
