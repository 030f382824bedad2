"""Gemini's interface beside generateContent: countTokens, embedContent and batchEmbedContents.

https://ai.google.dev/api/tokens https://ai.google.dev/api/embeddings
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyport.border import Call
from polyport.bridges.counting import to_count
from polyport.errors import BadRequestError
from polyport.flow import Flow
from polyport.operations import Operation
from polyport_gateway import replies
from polyport_gateway.gate import Admission
from polyport_gateway.gemini import Gemini, camels
from polyport_gateway.gemini_contents import parts_text
from polyport_gateway.gemini_kept import Came, call_of, of_model, send
from polyport_gateway.running import Running
from polyport_gateway.surface import Answer

#: What vectors are for, there and here. The others of Google's words have no like elsewhere.
TASKS = {
    "RETRIEVAL_QUERY": "search_query", "RETRIEVAL_DOCUMENT": "search_document", "CLASSIFICATION": "classification",
    "CLUSTERING": "clustering",
}  # fmt: skip
#: What of a request to embed is read; `model` is in the address, too.
EMBEDDED = frozenset({"content", "taskType", "outputDimensionality", "model", "embedContentConfig"})


class Counting(Gemini):
    """countTokens: of contents, or of a whole request.

    A request with what only Gemini has (a cache, tools of its own, sound) goes to it as it came.
    """

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return what is counted, in the shape that providers count."""
        given = camels(fields)
        whole = given.pop("generateContentRequest", None)
        asked = {**given, **(camels(whole, "$.generateContentRequest") if whole is not None else {})}
        chat = super().read(operation, {**asked, "model": fields["model"]}, headers)
        foreign = chat.get("foreign")
        try:
            if not foreign:
                return {"model": chat["model"], **to_count(chat["messages"], chat.get("tools"))}
        except BadRequestError:  # there are no such parts in the shape that providers count
            foreign = ["$.contents"]
        body = {name: value for name, value in asked.items() if name != "model"}
        return {**chat, "foreign": foreign, "body": body}

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call. Raises BadRequestError for what only Gemini counts, of a model that is not its own."""
        if "foreign" not in fields:
            return super().plan(running, admission, operation, fields)
        self._demand_own(running, fields)
        running.refuse_guarded(admission, "what only Gemini counts")
        there = of_model(running, fields["model"])
        one = next((one for one in there if running.router.may_take(one.deployment)), there[0])
        body = {"generateContentRequest": {**fields["body"], "model": f"models/{one.model}"}}
        call = call_of(running, one)

        def flow() -> Flow[Came]:
            path = f"/models/{one.model}:countTokens"
            return Came(body=(yield from send(call, operation, {"path": path, "query": {}, "body": body})).content)

        return call, flow()

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return the count."""
        if isinstance(result, Came):
            return Answer(result.body)
        return Answer(replies.encode({"totalTokens": result.input_tokens}))


class Embedding(Gemini):
    """embedContent of one content, or batchEmbedContents of several."""

    def __init__(self, *, batch: bool = False) -> None:
        super().__init__()
        self._batch = batch

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the texts, and what their vectors are to be; of several, all alike. Raises BadRequestError."""
        given = camels(fields)
        requests = given.get("requests") if self._batch else [given]
        if not isinstance(requests, list) or not requests:
            raise BadRequestError("Expected a list of requests at $.requests")
        read = [vector_of(one, f"$.requests[{place}]" if self._batch else "$") for place, one in enumerate(requests)]
        about = read[0][1]
        if any(one != about for _, one in read):
            raise BadRequestError("All of $.requests must ask for vectors of one kind; send others by themselves")
        return {"model": fields["model"], "input": [text for text, _ in read], **about}

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return the vectors."""
        vectors = [{"values": one.embedding} for one in result.data]
        return Answer(replies.encode({"embeddings": vectors} if self._batch else {"embedding": vectors[0]}))


def vector_of(given: Any, path: str) -> tuple[str, dict[str, Any]]:
    """Return a text, and the parameters of its vector."""
    asked = camels(given, path)
    asked |= camels(asked.pop("embedContentConfig", None) or {}, f"{path}.embedContentConfig")
    strange = next((name for name in asked if name not in EMBEDDED), None)
    if strange is not None:
        raise BadRequestError(f"{path}.{strange} has no place in the vectors of every vendor; leave it out")
    about: dict[str, Any] = {}
    if "outputDimensionality" in asked:
        about["dimensions"] = asked["outputDimensionality"]
    if "taskType" in asked:
        if asked["taskType"] not in TASKS:
            raise BadRequestError(f"{path}.taskType is none that other vendors have: {', '.join(TASKS)}")
        about["input_type"] = TASKS[asked["taskType"]]
    return parts_text(asked.get("content"), f"{path}.content"), about
