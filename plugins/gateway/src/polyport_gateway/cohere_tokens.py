"""Cohere's tokenize and detokenize. https://docs.cohere.com/reference/tokenize https://docs.cohere.com/reference/detokenize

Cohere is asked about its models; the tokenizers of OpenAI's are known here, with `polyport[tokens]`. Of others nobody
says how they cut a text: they are refused, not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from polyport import tokens
from polyport.border import Call, exchange
from polyport.errors import BadRequestError, InvalidResponseError
from polyport.flow import Call as Calling, Flow, HttpReply
from polyport.middleware.cost import without_prices
from polyport.operations import Operation
from polyport.provider import Provider
from polyport.router.strategies import Candidate
from polyport.states import Standing
from polyport.types.messages import TokenCount
from polyport_gateway import replies
from polyport_gateway.cohere import Cohere
from polyport_gateway.cohere_chat import Fields, require_model
from polyport_gateway.gate import Admission
from polyport_gateway.running import Running
from polyport_gateway.surface import Answer

#: The longest text, in characters, and the most tokens.
LONGEST = 65536
META = {"api_version": {"version": "1"}}
UNKNOWN = (
    "How {model!r} cuts texts is not known here: Cohere is asked about its models, and OpenAI's tokenizers are at hand "
    "where 'polyport[tokens]' is installed."
)


class Tokenizing(Cohere):
    """POST /v1/tokenize."""

    plans = True
    counts_about = False
    path = "/v1/tokenize"

    def read(self, operation: Operation, fields: Fields, headers: Mapping[str, str]) -> Fields:
        """Return the text as a message, for limits and guardrails to see. Raises BadRequestError."""
        require_model(fields)
        text = fields.get("text")
        if not isinstance(text, str) or not 0 < len(text) <= LONGEST:
            raise BadRequestError(f"Expected a text of 1 to {LONGEST} characters at $.text")
        return {"model": fields["model"], "messages": [{"role": "user", "content": text}]}

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call, and the flow that asks Cohere, or a tokenizer that is here."""
        router = running.router
        deployment = router.groups.of(fields["model"])[0]
        provider, name = router.place_of(deployment)
        asked = {"messages": fields.get("messages") or [{"role": "user", "content": ""}]}
        call = router.client.prepare(operation, {**asked, "model": name, "provider": provider})
        call = without_prices(router.deployed(call, Candidate(deployment, Standing(), provider, name)))
        call.meta.deployment = deployment.id

        def through(call: Call) -> Flow[TokenCount]:
            request: Any = call.request
            body = self.body(request.messages[0]["content"], fields)
            plugin = call.provider.plugin
            if plugin.wire_of(name) == self.relays:
                reply = yield from exchange(_asked(plugin, self.path, {"model": name, **body}), call)
                return _read(reply)
            made = TokenCount()
            found = yield Calling(lambda: self._here(name, body))  # the first time takes seconds
            if found is None:
                raise BadRequestError(UNKNOWN.format(model=fields["model"][:100]))
            made.carry({**found, "meta": META})
            return made

        return call, router.client.onion(call, through)

    def _here(self, name: str, body: Fields) -> Fields | None:
        tokenizer = tokens.tokenizer_of(name)
        return None if tokenizer is None else self.done(tokenizer, body)

    def body(self, text: str, fields: Mapping[str, Any]) -> Fields:
        """Return what is asked, of a text as guardrails leave it."""
        return {"text": text}

    def done(self, tokenizer: tokens.Tokenizer, body: Fields) -> Fields:
        """Return the tokens of a text, and the text of each."""
        found = tokenizer.encode_ordinary(body["text"])
        texts = [tokenizer.decode_single_token_bytes(one).decode("utf-8", "replace") for one in found]
        return {"tokens": found, "token_strings": texts}

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return what Cohere answered as it came, or what was made here."""
        came = result.relayed_as(self.relays)
        return Answer(replies.encode(result.extra) if came is None else came)


class Detokenizing(Tokenizing):
    """POST /v1/detokenize."""

    path = "/v1/detokenize"

    def read(self, operation: Operation, fields: Fields, headers: Mapping[str, str]) -> Fields:
        """Return the tokens. Raises BadRequestError."""
        require_model(fields)
        given = fields.get("tokens")
        if (
            not isinstance(given, list)
            or len(given) > LONGEST
            or not all(type(one) is int and one >= 0 for one in given)
        ):
            raise BadRequestError(f"Expected a list of at most {LONGEST} tokens at $.tokens")
        return {"model": fields["model"], "tokens": given}

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call. Raises GateError where guardrails would have to see what the tokens say."""
        running.refuse_guarded(admission, "what tokens say")
        return super().plan(running, admission, operation, fields)

    def body(self, text: str, fields: Mapping[str, Any]) -> Fields:
        """Return what is asked."""
        return {"tokens": fields["tokens"]}

    def done(self, tokenizer: tokens.Tokenizer, body: Fields) -> Fields:
        """Return the text of tokens. Raises BadRequestError for one that there is not."""
        try:
            return {"text": tokenizer.decode(body["tokens"])}
        except (KeyError, OverflowError) as error:
            raise BadRequestError("One of $.tokens is none of this model's") from error


def _asked(plugin: Provider, path: str, body: Fields) -> Flow[HttpReply]:
    reply: HttpReply = yield plugin.post(path, json=body)
    return reply


def _read(reply: HttpReply) -> TokenCount:
    """Return what Cohere says. Raises InvalidResponseError."""
    try:
        told = msgspec.json.decode(reply.content, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise InvalidResponseError(f"The reply cannot be read: {error}", body=reply.content) from error
    made = TokenCount()
    made.keep(reply.content, extra=told)
    return made.relay(Cohere.relays)
