"""Versions, betas, keys and tokens. https://platform.claude.com/docs/en/api/versioning"""

from __future__ import annotations

import pytest

from polyport import Client, errors

USER = [{"role": "user", "content": "Hello"}]
OAUTH = "sk-ant-oat01-not-a-real-token"


def call(wire, model="claude-sonnet-4-5", client=None, **params):
    """Make a chat call; return its headers."""
    server = wire()
    with server.client(**(client or {})) as made:
        made.completion(f"anthropic/{model}", USER, **params)
    return server.last.headers


def test_the_newest_version_that_takes_the_request_is_used(wire):
    """Sampling parameters are in the older version only; `api_version` decides for itself."""
    assert call(wire)["anthropic-version"] == "2026-10-21"
    assert call(wire, temperature=0.5)["anthropic-version"] == "2023-06-01"
    assert call(wire, api_version="2023-06-01")["anthropic-version"] == "2023-06-01"


def test_a_chosen_version_without_sampling_refuses_it(wire):
    """The error names the version that has it."""
    with pytest.raises(errors.UnsupportedParamsError, match="2026-10-21 has no sampling parameters; 2023-06-01 has"):
        call(wire, temperature=0.5, api_version="2026-10-21")
    headers = call(wire, temperature=0.5, api_version="2026-10-21", drop_params=True)
    assert headers["anthropic-version"] == "2026-10-21"


def test_messages_choose_the_version_too(wire):
    """Native requests go by what they hold."""
    server = wire()
    client = server.client()
    client.messages("anthropic/claude-sonnet-4-5", USER, max_tokens=5, temperature=0.5, betas=["a", "b"])
    assert server.last.headers["anthropic-version"] == "2023-06-01"
    assert server.last.headers["anthropic-beta"] == "a,b"
    assert server.sent == {
        "model": "claude-sonnet-4-5",
        "messages": USER,
        "max_tokens": 5,
        "temperature": 0.5,
    }


def test_betas_go_into_their_header(wire):
    """As a list or one name; never into the body."""
    assert call(wire, betas=["one", "two"])["anthropic-beta"] == "one,two"
    assert call(wire, betas="one")["anthropic-beta"] == "one"
    assert "anthropic-beta" not in call(wire)


def test_a_key_and_a_token_are_sent_each_in_its_header(wire):
    """x-api-key for a key; Authorization for a token, which OAuth's needs a beta for."""
    headers = call(wire)
    assert headers["x-api-key"].startswith("sk-ant-api03")
    assert "authorization" not in headers
    headers = call(wire, client={"api_key": OAUTH}, betas=["one"])
    assert headers["authorization"] == f"Bearer {OAUTH}"
    assert "x-api-key" not in headers
    assert headers["anthropic-beta"] == "one,oauth-2025-04-20"


@pytest.mark.parametrize(
    ("variables", "header", "value"),
    [
        ({"ANTHROPIC_API_KEY": "k"}, "x-api-key", "k"),
        ({"ANTHROPIC_AUTH_TOKEN": "t"}, "authorization", "Bearer t"),
        ({"ANTHROPIC_API_KEY": "k", "ANTHROPIC_AUTH_TOKEN": "t"}, "x-api-key", "k"),
        ({"ANTHROPIC_API_KEY": OAUTH}, "authorization", f"Bearer {OAUTH}"),
        ({"ANTHROPIC_AUTH_TOKEN": OAUTH}, "authorization", f"Bearer {OAUTH}"),
    ],
)
def test_variables_of_the_environment_are_found(wire, variables, header, value):
    """The key's before the token's."""
    headers = call(wire, client={"api_key": None, "secrets": variables.get})
    assert headers[header] == value
    assert ("x-api-key" in headers) != ("authorization" in headers)


def test_without_a_key_the_error_says_which_variables(wire):
    """Nothing is sent."""
    server = wire()
    with pytest.raises(errors.AuthenticationError, match="ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN"):
        server.client(api_key=None, secrets={}.get).completion("anthropic/claude-sonnet-4-5", USER)
    assert server.requests == []


def test_another_address_is_taken_from_argument_or_environment(wire):
    """A version in it stands once."""
    server = wire()
    server.client(api_base="http://a.test/v1").completion("anthropic/claude-sonnet-4-5", USER)
    assert str(server.last.url) == "http://a.test/v1/messages"
    variables = {"ANTHROPIC_BASE_URL": "http://b.test", "ANTHROPIC_API_KEY": "k"}
    server.client(api_key=None, secrets=variables.get).completion("anthropic/claude-sonnet-4-5", USER)
    assert str(server.last.url) == "http://b.test/v1/messages"


def test_a_bare_name_finds_the_plugin(wire):
    """claude-* is Anthropic's."""
    server = wire()
    assert server.client().completion("claude-sonnet-4-5", USER).meta.provider == "anthropic"


@pytest.mark.parametrize("key", ["sk-ant-api03-secret", OAUTH])
def test_no_key_is_in_any_error_or_repr(wire, key):
    """Even where the provider's reply repeats it."""
    server = wire({"type": "error", "error": {"type": "authentication_error", "message": f"bad {key}"}}, 401)
    client = server.client(api_key=key)
    with pytest.raises(errors.AuthenticationError) as caught:
        client.completion("anthropic/claude-sonnet-4-5", USER)
    shown = [str(caught.value), repr(caught.value), repr(caught.value.body), repr(client), repr(vars(caught.value))]
    assert not any(key in text for text in shown)


def test_the_models_are_listed(wire):
    """Each with what else Anthropic says of it."""
    entry = {
        "type": "model",
        "id": "claude-opus-5-5",
        "display_name": "Claude Opus 5.5",
        "created_at": "2026-09-22T00:00:00Z",
        "max_tokens": 128000,
    }
    server = wire({"data": [entry], "has_more": False, "first_id": entry["id"], "last_id": entry["id"]})
    listed = server.client().list_models(provider="anthropic")
    assert str(server.last.url) == "https://api.anthropic.com/v1/models?limit=1000"
    assert listed.data[0].to_dict() == {
        "id": "claude-opus-5-5",
        "object": "model",
        "created": 1790035200,
        "owned_by": "anthropic",
        "display_name": "Claude Opus 5.5",
        "max_tokens": 128000,
    }
    assert isinstance(server.client(), Client)
