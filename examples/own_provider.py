"""A provider of your own. Here it is given to a client; a package registers it as an entry point instead."""

import json
from typing import Any

import httpx

from polyport import Bearer, Client, Provider, hookimpl
from polyport.flow import Flow
from polyport.provider import decode
from polyport.types.chat import ChatCompletion, ChatRequest, Choice, Message


class Shout(Provider):
    """Speaks a wire of its own: text in, text out."""

    auth = Bearer(env="SHOUT_API_KEY")
    base_url = "https://shout.example/v1"

    @hookimpl
    def chat(self, request: ChatRequest) -> Flow[ChatCompletion]:
        """Send the last message's text."""
        if request.temperature is not None:
            request.unsupported("temperature", "it only ever shouts")
        reply = yield self.post("/shout", json={"text": request.messages[-1]["content"]})
        said = decode(reply, dict[str, str])["shouted"]
        return ChatCompletion(
            model=request.model, choices=[Choice(message=Message(content=said), finish_reason="stop")]
        )


def wire(request: httpx.Request) -> httpx.Response:
    """Stands for the provider's server, so that this example runs without one."""
    body: dict[str, Any] = json.loads(request.content)
    return httpx.Response(200, json={"shouted": body["text"].upper() + "!"})


with Client(providers={"shout": Shout}, http=httpx.MockTransport(wire), api_key={"shout": "k"}) as client:
    question = [{"role": "user", "content": "hello"}]
    print(client.completion("shout/loud", question).text)
    answer = client.completion("shout/loud", question, temperature=1, drop_params=True)
    print("dropped:", answer.meta.adaptations[0].parameter, "because", answer.meta.adaptations[0].why)
