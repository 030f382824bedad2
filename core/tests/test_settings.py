"""Settings in a provider's URLs: where they come from, and what stands for them there."""

from __future__ import annotations

import json

import pytest

from polyport import Client
from polyport.dialects.openai import Files, OpenAICompatible
from polyport.errors import BadRequestError
from polyport.hookspecs import hookimpl
from polyport.provider import Provider, Setting, join
from polyport.testing import Wire
from polyport.types.models import ModelList

REGION = {"names": ("region",), "env": ("REGION",)}


class Cloud(Provider):
    """A provider with a host for each region."""

    base_url = "https://{host}.cloud.example"
    settings = (
        Setting("host", **REGION, default="global", form="{}-api", values={"global": "api"}),
        Setting("region", **REGION, default="global"),
        Setting("project", names=("project",), env=("PROJECT",)),
    )

    @hookimpl
    def list_models(self, request):
        """List nothing."""
        yield self.get("/{project}/{region}/models")
        return ModelList()


def url(env=None, **given):
    """Return the URL that a call with these settings goes to."""
    wire = Wire(b"{}")
    with Client(http=wire, providers={"cloud": Cloud}, secrets=(env or {}).get) as client:
        client.list_models(provider="cloud", **given)
    return wire.requests[0].url


def test_a_setting_is_the_argument_else_the_variable_else_the_default():
    """An argument wins over the environment, and that over the default; values are quoted."""
    env = {"PROJECT": "mine", "REGION": "west"}
    assert url(env) == "https://west-api.cloud.example/mine/west/models"
    assert url(env, project="a/b", region="east") == "https://east-api.cloud.example/a%2Fb/east/models"


def test_a_value_may_stand_for_itself_in_a_form_of_its_own():
    """One setting has two places: a region's host is made of its name, and the global one's is not."""
    assert url({"PROJECT": "p"}) == "https://api.cloud.example/p/global/models"


def test_a_setting_without_a_value_says_how_to_set_it():
    """A setting that nothing gives is an error that names the argument and the variable."""
    with pytest.raises(BadRequestError, match=r"needs project=\.\.\. or PROJECT"):
        url()


class Placed(OpenAICompatible, Files):
    """A provider whose addresses hold the model, and whose settings stand there too."""

    base_url = "https://{region}.cloud.example"
    settings = (Setting("region", **REGION, default="global"),)

    def address(self, base, path, call):
        """Put the model in, and what the environment says."""
        return join(f"{base}/{call.request.model or 'any'}/{call.env('STAGE')}", path)


def test_a_provider_places_its_paths_itself():
    """The base, the model and the environment are known there; settings are filled in afterwards, and not sent."""
    wire = Wire([b'{"choices": []}', b'{"data": []}'])
    with Client(http=wire, providers={"placed": Placed}, secrets={"STAGE": "live"}.get) as client:
        client.completion("placed/m", [{"role": "user", "content": "Hi"}], region="east")
        client.list_files(provider="placed", region="west", api_base="https://{region}.mine.example", more=1)
    assert [request.url for request in wire.requests] == [
        "https://east.cloud.example/m/live/chat/completions",
        "https://west.mine.example/any/live/files?more=1",
    ]
    assert json.loads(wire.requests[0].content) == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
