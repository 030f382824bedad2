"""What goes wrong before anything is sent: each a clear error of the right class that says where and what to do."""

from __future__ import annotations

import io
import subprocess
import sys
import textwrap
import traceback
from pathlib import Path

import httpx
import pytest
from core.tests.conftest import ASK, KEY, Fake, completion, wire

import polyport
from polyport import plugins
from polyport.auth import ApiKey, Bearer, Query
from polyport.errors import (
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PluginError,
    PolyportError,
    UnsupportedParamsError,
)
from polyport.hookspecs import hookimpl
from polyport.provider import Provider
from polyport.types.chat import ChatCompletion


def unreachable(request: httpx.Request) -> httpx.Response:
    """Stand for a wire that must not be used."""
    raise AssertionError(f"nothing may be sent, but this was: {request.method} {request.url}")


@pytest.fixture
def offline(client):
    """A client that must find the fault before it sends anything."""
    return client(http=wire(unreachable))


WRONG = [
    ({"messages": "hello"}, "$.messages"),
    ({"messages": None}, "$.messages"),
    ({"messages": []}, "$.messages"),
    ({"messages": {"role": "user", "content": "x"}}, "$.messages"),
    ({"messages": 5}, "$.messages"),
    ({"messages": ["hello"]}, "$.messages[0]"),
    ({"messages": [{"role": "user", "content": 5}]}, "$.messages[0].content"),
    ({"messages": [*ASK, {"role": "user", "content": {"text": "x"}}]}, "$.messages[1].content"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "$.messages[0].role"),
    ({"messages": [{"content": "x"}]}, "$.messages[0]"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "$.messages[0]"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]}, "$.messages[0].tool_calls[0]"),
    ({"temperature": "hot"}, "$.temperature"),
    ({"max_tokens": 1.5}, "$.max_tokens"),
    ({"stop": [1]}, "$.stop[0]"),
    ({"tools": {"type": "function"}}, "$.tools"),
    ({"tools": ["f"]}, "$.tools[0]"),
    ({"logit_bias": {"1": "much"}}, "$.logit_bias"),
    ({"timeout": "soon"}, "$.timeout"),
    ({"num_retries": "many"}, "$.num_retries"),
    ({"extra_headers": ["x"]}, "$.extra_headers"),
    ({"extra_headers": {"x": 1}}, "$.extra_headers"),
    ({"fallbacks": "gpt-4o"}, "$.fallbacks"),
    ({"api_key": 5}, "$.api_key"),
    ({"stream": "yes"}, "$.stream"),
]


@pytest.mark.parametrize(("fault", "path"), WRONG, ids=[f"{path}-{n}" for n, (_, path) in enumerate(WRONG)])
def test_a_wrong_type_is_named_with_its_path(mode, offline, fault, path):
    """The message says what was expected, what was given, and where."""
    with pytest.raises(BadRequestError) as caught:
        mode.chat(offline, **{"messages": ASK, **fault})
    assert f" {path}" in str(caught.value).replace(";", "").replace(",", "")


@pytest.mark.parametrize("model", [5, "", ["fake/m"], {"model": "m"}, b"fake/m"])
@pytest.mark.parametrize("provider", [None, "fake"])
def test_a_model_that_is_no_text_is_named(mode, offline, model, provider):
    """Also where the provider is given beside it."""
    with pytest.raises(BadRequestError, match=r"\$\.model"):
        mode.chat(offline, model, provider=provider)


@pytest.mark.parametrize(
    ("function", "params", "path"),
    [
        ("embedding", {"input": 5}, "$.input"),
        ("rerank", {"query": "q", "documents": []}, "$.documents"),
        ("rerank", {"query": "q", "documents": ["a", 5]}, "$.documents[1]"),
        ("speech", {"input": None}, "$.input"),
        ("video_generation", {"prompt": 5}, "$.prompt"),
        ("text_completion", {"prompt": {"a": 1}}, "$.prompt"),
    ],
)
def test_every_capability_names_the_path(mode, offline, function, params, path):
    """Not only chat."""
    with pytest.raises(BadRequestError) as caught:
        mode.call(offline, function, model="fake/m", **params)
    assert path in str(caught.value)


def test_a_value_that_json_cannot_hold_is_a_bad_request(mode, offline):
    """An object, a set of objects, a lone surrogate and a cycle."""
    cycle: list = []
    cycle.append(cycle)
    for value in (object(), {object()}, "\ud800", cycle):
        with pytest.raises(BadRequestError, match="cannot be written as JSON"):
            mode.chat(offline, odd=value)


# --- whom to ask ---


def test_an_unknown_bare_model_names_near_ones(mode, client):
    """And says what a full name looks like."""
    with pytest.raises(NotFoundError) as caught:
        mode.chat(client(), "wizard-9000")
    assert "write provider/wizard-9000" in str(caught.value)
    assert "gpt-*" in str(caught.value) or "Did you mean" in str(caught.value)


def test_no_provider_says_what_is_installed_and_what_to_install(mode, client):
    """The words of the design."""
    with pytest.raises(
        NotFoundError, match=r"No provider for 'grok/grok-4'\. Installed: .*openai.*pip install polyport"
    ):
        mode.chat(client(), "grok/grok-4")


def test_a_misspelt_provider_gets_its_nearest_name(mode, client):
    """`opneai` is `openai`."""
    with pytest.raises(NotFoundError, match="Did you mean 'openai'"):
        mode.chat(client(), "opneai/gpt-4o")


def test_a_file_without_a_provider_says_who_could_be_meant(mode, client):
    """Several are installed, none is named."""
    with pytest.raises(BadRequestError, match=r"provider=.*openai"):
        mode.call(client(), "list_files")


def test_an_operation_the_provider_lacks_lists_what_it_has(mode, client):
    """No hook, no bridge."""

    class Mute(Provider):
        @hookimpl
        def embed(self, request):
            yield

    with pytest.raises(UnsupportedParamsError, match=r"'mute' has no completion\. It has: embedding"):
        mode.chat(client(providers={"mute": Mute}), "mute/m")


def test_a_hook_that_is_no_flow_is_an_error_of_the_plugin(mode, client):
    """A hook without a yield returns at once; that would never work."""

    class Hasty(Provider):
        @hookimpl
        def chat(self, request):
            return {"text": "done"}

    with pytest.raises(PluginError, match="chat of 'hasty' returned a dict: a hook is a flow"):
        mode.chat(client(providers={"hasty": Hasty}), "hasty/m")


def test_a_flow_that_yields_something_else_is_told_so(mode, client):
    """A forgotten self.post(...)."""

    class Odd(Provider):
        @hookimpl
        def chat(self, request):
            yield {"url": "https://example.com"}

    with pytest.raises(TypeError, match="A flow yielded a dict"):
        mode.chat(client(providers={"odd": Odd}), "odd/m")


def test_a_misspelt_hook_names_plugin_and_nearest_hook(mode, client):
    """Found when the plugin is loaded, not when the hook is missed."""

    class Typo(Provider):
        @hookimpl
        def chta(self, request):
            yield

    with pytest.raises(PluginError, match=r"'typo' \(Typo\) has an unknown hook 'chta'\. Did you mean 'chat'"):
        mode.chat(client(providers={"typo": Typo}), "typo/m")


def test_something_that_is_no_provider_is_refused(mode, client):
    """A class of another kind under a provider's name."""
    with pytest.raises(PluginError, match=r"must be a subclass of polyport\.Provider"):
        mode.chat(client(providers={"x": dict}), "x/m")


# --- plugins, installed for the test ---


def install(folder: Path, name: str, entry_points: str, modules: dict[str, str]) -> None:
    """Put a distribution into a folder, as pip would."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(textwrap.dedent(entry_points))
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(textwrap.dedent(source))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install distributions for one test: `installed(name, entry_points, modules)`."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def add(name: str, entry_points: str, modules: dict[str, str]) -> None:
        install(tmp_path, name, entry_points, modules)
        plugins.rescan()

    yield add
    plugins.rescan()
    for module in [name for name in sys.modules if (tmp_path / f"{name}.py").exists()]:
        del sys.modules[module]


PROVIDER = """
    from polyport.provider import Provider
    from polyport.hookspecs import hookimpl
    from polyport.types.chat import ChatCompletion
    from polyport.flow import Sleep

    class Echo(Provider):
        @hookimpl
        def chat(self, request):
            yield Sleep(0)
            return ChatCompletion(id=__name__, model=request.model)
"""


def test_a_stranger_s_plugin_answers_for_its_prefix_and_globs(mode, client, installed):
    """An entry point is all it takes."""
    entry_points = "[polyport.providers]\ntest-echo = pp_echo:Echo\n[polyport.models]\ntest-parrot-* = test-echo\n"
    installed("pp-echo", entry_points, {"pp_echo": PROVIDER})
    assert "pp_echo" not in sys.modules
    assert mode.chat(client(), "test-echo/x").id == "pp_echo"
    assert mode.chat(client(), "test-parrot-2").model == "test-parrot-2"


@pytest.mark.parametrize(
    "broken", ["import not_there", "raise RuntimeError('boom')", "def f(:", "x = 1", "raise OSError('gone')", "1/0"]
)
def test_a_plugin_that_fails_to_import_breaks_its_own_prefix_only(mode, client, installed, broken):
    """Whatever it raises; the message names the package, the original is chained."""
    installed("pp-broken", "[polyport.providers]\ntest-broken = pp_broken:Echo\n", {"pp_broken": broken})
    one = client(http=wire(lambda _: httpx.Response(200, json=completion())))
    with pytest.raises(PluginError, match="'test-broken' of pp-broken failed to load") as caught:
        mode.chat(one, "test-broken/x")
    assert caught.value.__cause__ is not None
    assert mode.chat(one).text == "hi"


def test_two_plugins_of_one_name_are_an_error_that_says_how_to_choose(mode, client, installed, monkeypatch):
    """And the choice it names works."""
    for number in "12":
        installed(f"pp-twin{number}", f"[polyport.providers]\ntest-twin = pp_twin{number}:Echo\n",
                  {f"pp_twin{number}": PROVIDER})  # fmt: skip
    with pytest.raises(PluginError, match=r"pp-twin1 and pp-twin2 both provide 'test-twin'.*POLYPORT_PLUGIN_TEST_TWIN"):
        mode.chat(client(), "test-twin/x")
    monkeypatch.setenv("POLYPORT_PLUGIN_TEST_TWIN", "pp-twin2")
    assert mode.chat(client(), "test-twin/x").id == "pp_twin2"


def test_two_providers_of_one_glob_are_an_error_that_names_both(mode, client, installed):
    """A full name always works."""
    for number in "12":
        installed(f"pp-glob{number}",
                  f"[polyport.providers]\ntest-glob{number} = pp_glob{number}:Echo\n"
                  f"[polyport.models]\ntest-same-* = test-glob{number}\n",
                  {f"pp_glob{number}": PROVIDER})  # fmt: skip
    with pytest.raises(PluginError, match=r"test-glob1 and test-glob2 both answer.*Write test-glob1/test-same-1"):
        mode.chat(client(), "test-same-1")
    assert mode.chat(client(), "test-glob2/test-same-1").id == "pp_glob2"


def test_a_transport_that_is_not_installed_names_those_that_are(mode, client):
    """The built-in one is always there."""
    with pytest.raises(PluginError, match=r"No transport 'pigeon'\. Installed: httpx.*pip install polyport-pigeon"):
        mode.chat(client("http://127.0.0.1:9", transport="pigeon"))


# --- keys ---


def test_no_key_says_which_variable_to_set(mode, client, monkeypatch):
    """And that it can be passed."""
    monkeypatch.delenv("FAKE_API_KEY", raising=False)
    with pytest.raises(
        AuthenticationError, match=r"No API key for 'fake'\. Set FAKE_API_KEY, or pass api_key"
    ) as caught:
        mode.chat(client(http=wire(unreachable), api_key=None))
    assert caught.value.status_code == 401
    assert caught.value.provider == "fake"


def test_keys_are_found_in_order(mode, client, monkeypatch):
    """The argument, the client's (for all, or by provider), the environment."""
    monkeypatch.setenv("FAKE_API_KEY", "from-environment")
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["authorization"])
        return httpx.Response(200, json=completion())

    mode.chat(client(http=wire(answer), api_key=None))
    mode.chat(client(http=wire(answer), api_key={"fake": "of-fake", "other": "of-other"}))
    mode.chat(client(http=wire(answer), api_key="of-client"), api_key="of-call")
    mode.chat(client(http=wire(answer), api_key=None, secrets={"FAKE_API_KEY": "from-vault"}.get))
    assert sent == ["Bearer from-environment", "Bearer of-fake", "Bearer of-call", "Bearer from-vault"]


@pytest.mark.parametrize("key", [f"{KEY}\n", f"  {KEY}", f"{KEY}\r\n"])
def test_the_line_break_that_a_key_s_file_ends_in_is_taken_off(mode, client, key):
    """`export KEY=$(cat file)` is not the only way to read one."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(200, json=completion())

    mode.chat(client(http=wire(answer), api_key=key))
    assert seen == [f"Bearer {KEY}"]


@pytest.mark.parametrize("auth", [Bearer(), ApiKey("x-key"), Query("key")], ids=["bearer", "header", "query"])
@pytest.mark.parametrize("key", [f"{KEY}\u2026", f"{KEY}\nx-injected: 1", f"{KEY}\x00", f"{KEY}\ud800"])
def test_a_key_that_no_header_can_hold_is_refused_unquoted(mode, client, auth, key):
    """A key cut by an ellipsis, or with a line break inside, would otherwise be shown by whoever rejects it."""
    provider = type("Fake2", (Fake,), {"auth": auth})
    with pytest.raises(AuthenticationError, match="Was it copied whole") as caught:
        mode.chat(client(http=wire(unreachable), providers={"fake": provider}, api_key=key))
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "headers", [{"x-token": f"{KEY}\n"}, {"x-t\u00f6ken": KEY}, {"x token": KEY}, {"x-t": f"{KEY}\ud800"}]
)
def test_a_header_that_cannot_be_sent_is_named_and_its_value_is_not(mode, client, serve, headers):
    """Header values are often keys."""
    server = serve(lambda exchange: exchange.reply(completion()))
    with pytest.raises(BadRequestError, match="header") as caught:
        mode.chat(client(server.url), extra_headers=headers)
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert server.seen == []


@pytest.mark.parametrize(
    ("api_base", "match"),
    [
        ("127.0.0.1:1234", "must begin with http"),
        ("ftp://example.com", "must begin with http"),
        ("http://[::1", "is not a URL"),
        ("http://host:port/v1", "is not a URL"),
    ],
)
def test_an_address_that_is_none_is_named(mode, client, api_base, match):
    """Before anything is sent."""
    with pytest.raises(BadRequestError, match=match):
        mode.chat(client(api_base))


def test_a_provider_without_an_address_asks_for_one(mode, client):
    """Self-hosted servers have no usual address."""

    class Homeless(Fake):
        base_url = ""

    with pytest.raises(BadRequestError, match=r"pass api_base"):
        mode.chat(client(providers={"homeless": Homeless}), "homeless/m")


# --- files ---


@pytest.mark.parametrize(
    ("file", "match"),
    [
        ("/no/such/file.jsonl", "Cannot read the file '/no/such/file.jsonl': No such file"),
        ("/", "Cannot read the file '/': Is a directory"),
        ("a\x00b", "Cannot read the file"),
        (5, "not int"),
        (None, "not NoneType"),
        (("only-a-name",), "not tuple"),
        (io.StringIO("text"), "binary mode"),
        ("data:text/plain;base64", "no comma"),
        ("data:text/plain;base64,@@@@", "cannot be decoded"),
        (b"[not json", "starts like a JSON array but is none"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(mode, offline, file, match):
    """Before anything is sent."""
    with pytest.raises(BadRequestError, match=match):
        mode.call(offline, "create_file", file=file, provider="fake")


def test_a_closed_file_is_named(mode, offline, tmp_path):
    """An open file that was closed meanwhile."""
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"{}\n")
    with path.open("rb") as file:
        pass
    with pytest.raises(BadRequestError, match=r"Cannot read the open file .*lines\.jsonl"):
        mode.call(offline, "create_file", file=file, provider="fake")


def test_a_file_opened_as_text_is_told_to_be_opened_in_binary_mode(mode, offline, tmp_path):
    """The most common slip."""
    path = tmp_path / "lines.jsonl"
    path.write_text("{}\n")
    with path.open() as file, pytest.raises(BadRequestError, match="binary mode"):
        mode.call(offline, "create_file", file=file, provider="fake")


def test_a_certificate_file_that_cannot_be_read_is_named(mode, client):
    """CA and client certificate."""
    for settings in ({"verify": "/no/such/ca.pem"}, {"cert": "/no/such/cert.pem"}):
        with pytest.raises(PolyportError, match=r"TLS files cannot be read.*/no/such"):
            mode.chat(client("https://127.0.0.1:9", **settings))


@pytest.mark.parametrize(("proxy", "match"), [("gopher://x:1", "gopher"), ("socks5://127.0.0.1:1", "socks")])
def test_a_proxy_that_cannot_be_used_is_named(mode, client, proxy, match):
    """An unknown scheme, and one that needs a package."""
    with pytest.raises(PolyportError, match=f"proxy .* cannot be used: .*{match}"):
        mode.chat(client("http://127.0.0.1:9", proxy=proxy))


# --- what a repr shows ---


def test_no_repr_shows_a_key(mode, client):
    """Client, call, request and options, also in a traceback's text."""
    seen: list[str] = []

    def spy(call, proceed):
        seen.extend(repr(value) for value in (call, call.request, call.options, call.provider.plugin))
        request = yield from proceed(call)
        return request

    one = client(http=wire(lambda _: httpx.Response(200, json=completion())), middleware=[spy])
    mode.chat(one, api_key=KEY, extra_headers={"x-token": KEY}, extra_query={"token": KEY})
    seen.append(repr(one))
    assert len(seen) == 5
    assert all(KEY not in text for text in seen), seen


def test_the_command_line_s_python_shows_one_line_for_a_missing_key():
    """A traceback ends in the message, and holds no key."""
    code = "import polyport; polyport.completion('openai/gpt-4o', [{'role': 'user', 'content': 'x'}], num_retries=0)"
    env = {"PATH": "", "POLYPORT_TRANSPORT": "httpx"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 1
    assert "polyport.errors.AuthenticationError" in done.stderr.splitlines()[-1]
    assert "OPENAI_API_KEY" in done.stderr.splitlines()[-1]


def test_the_module_s_own_settings_reach_its_functions(monkeypatch):
    """`polyport.api_base = ...` holds for polyport.completion, and is checked like an argument."""
    monkeypatch.setenv("POLYPORT_TRANSPORT", "httpx")
    polyport.api_base, polyport.api_key = "nonsense", "k"
    try:
        with pytest.raises(BadRequestError, match="api_base must begin with http"):
            polyport.completion("openai/gpt-4o", ASK)
    finally:
        polyport.api_base = polyport.api_key = None


# --- secrets and middleware from plugins ---

VAULT = """
    def find(name):
        return {"TEST_VAULT_KEY": "from-the-vault"}.get(name)

    def shout(call, proceed):
        result = yield from proceed(call)
        result.id = f"{call.provider.name}!"
        return result
"""
VAULT_ENTRIES = "[polyport.secrets]\nvault = pp_vault:find\n[polyport.middleware]\nshout = pp_vault:shout\n"


def test_a_secret_plugin_is_asked_where_the_environment_says_nothing(mode, client, installed, monkeypatch):
    """The variable wins where it is set; else the plugin's value signs the request."""
    installed("pp-vault", VAULT_ENTRIES, {"pp_vault": VAULT})
    seen = []

    class Vaulted(Provider):
        auth = Bearer(env="TEST_VAULT_KEY")
        base_url = "https://vaulted.example"

        @hookimpl
        def chat(self, request):
            yield self.post("/x", json={})
            return ChatCompletion()

    def answer(request):
        seen.append(request.headers["authorization"])
        return httpx.Response(200, json={})

    one = client(http=wire(answer), providers={"vaulted": Vaulted}, api_key=None)
    mode.chat(one, "vaulted/x")
    monkeypatch.setenv("TEST_VAULT_KEY", "from-the-environment")
    mode.chat(one, "vaulted/x")
    assert seen == ["Bearer from-the-vault", "Bearer from-the-environment"]


def test_installed_middleware_is_given_by_name(mode, client, installed):
    """One that is not there is an error that lists those that are."""
    installed("pp-vault", VAULT_ENTRIES, {"pp_vault": VAULT})
    one = client(http=wire(lambda _: httpx.Response(200, json=completion())), middleware=["shout"])
    assert mode.chat(one).id == "fake!"
    with pytest.raises(PluginError, match=r"No middleware 'whisper' is installed\. Installed: shout\."):
        client(middleware=["whisper"])
