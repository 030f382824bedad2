"""Keys in the body: where they go, and that they are seen nowhere else."""

from __future__ import annotations

import pytest

from polyport import Client
from polyport.auth import Body
from polyport.errors import AuthenticationError, PermissionDeniedError, PluginError
from polyport.flow import HttpRequest
from polyport.hookspecs import hookimpl
from polyport.provider import Provider
from polyport.rendering import render
from polyport.testing import Reply, Wire
from polyport.types.models import ModelList

KEY = "sk-in-the-body"


class Bodily(Provider):
    """A provider that wants its key in the body."""

    auth = Body("key", env="BODILY_KEY")
    base_url = "https://bodily.example"

    @hookimpl
    def list_models(self, request):
        """Send what the test asks for."""
        sent = {"json": request.extra["json"]} if "json" in request.extra else {}
        yield self.request("POST", "/models", content=request.extra.get("content"), **sent)
        return ModelList()


def ask(wire, key=KEY, **given):
    """Make a call over a wire."""
    client = Client(http=wire, providers={"bodily": Bodily}, api_key=key, num_retries=0, secrets={}.get)
    with client:
        return client.list_models(provider="bodily", **given)


@pytest.mark.parametrize(
    ("given", "sent"),
    [({"json": {"a": [1]}}, {"key": KEY, "a": [1]}), ({"json": {}}, {"key": KEY}), ({}, {"key": KEY}),
     ({"json": {"a": 1}, "extra_body": {"b": 2}}, {"key": KEY, "a": 1, "b": 2})],
)  # fmt: skip
def test_the_key_is_a_field_of_the_body(given, sent):
    """Beside what the provider and the user put there, and alone where there is nothing else; in no header."""
    wire = Wire(b"{}")
    ask(wire, **given)
    assert wire.requests[0].json == sent
    assert wire.requests[0].headers["content-type"] == "application/json"
    assert KEY not in repr(wire.requests[0].headers) + wire.requests[0].url


def test_an_echoed_key_is_hidden():
    """Errors of providers that repeat the body do not show it."""
    with pytest.raises(AuthenticationError) as raised:
        ask(Wire(Reply.of({"error": f"{KEY} is wrong"}, status=401)), json={})
    assert KEY not in f"{raised.value} {raised.value.body}"


def test_without_a_key_nothing_is_sent():
    """And the variable is named."""
    wire = Wire(b"{}")
    with pytest.raises(AuthenticationError, match="BODILY_KEY"):
        ask(wire, key=None, json={})
    assert not wire.requests


def test_a_body_that_is_no_object_is_the_plugins_mistake():
    """It says so, before anything is sent."""
    wire = Wire(b"{}")
    with pytest.raises(PluginError, match="JSON object"):
        ask(wire, content=b"raw")
    assert not wire.requests


def test_a_rendered_body_shows_the_variables_name():
    """`polyport render` needs no key, and shows none."""
    client = Client(providers={"bodily": Bodily}, secrets={}.get)
    request = render("list_models", client=client, provider="bodily", json={"a": 1})
    assert request.content == b'{"key":"<BODILY_KEY>","a":1}'


class Forwarding(Bodily):
    """A provider whose files are on somebody else's host."""

    @hookimpl
    def list_models(self, request):
        """Ask the provider, then the stranger."""
        yield self.post("/models", json={})
        yield HttpRequest(method="GET", url="https://stranger.example/file", unsigned=True)
        return ModelList()


def test_a_strangers_answer_does_not_show_the_key_of_the_request_before():
    """It was sent none, and is not believed to know none."""
    wire = Wire([b"{}", Reply.of({"error": f"{KEY} is wrong"}, status=403)])
    client = Client(http=wire, providers={"forwarding": Forwarding}, api_key=KEY, num_retries=0)
    with client, pytest.raises(PermissionDeniedError) as raised:
        client.list_models(provider="forwarding")
    assert KEY not in f"{raised.value} {raised.value.body}"
    assert KEY.encode() not in wire.requests[1].content
