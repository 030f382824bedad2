"""Settings in a provider's URLs: where they come from, and what stands for them there."""

from __future__ import annotations

import pytest

from polyport import Client
from polyport.errors import BadRequestError
from polyport.hookspecs import hookimpl
from polyport.provider import Provider, Setting
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
