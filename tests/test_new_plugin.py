"""A rendered plugin installs in a fresh environment, keeps the contract, type-checks and answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from environments import Environment, run

from polyport.errors import BadRequestError
from polyport.template import render

ROOT = Path(__file__).parents[1]
VARIANTS = {"acme": False, "look_alike": True}

#: Serves the recorded exchanges of a plugin, calls it in every way a newcomer would, and prints what came out.
CALLS = """
import asyncio, importlib, json, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

name = sys.argv[1]
chat = importlib.import_module(f"polyport_{name}.conformance").EXCHANGES[0]

class Provider(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.headers["authorization"] != "Bearer a-key":
            return self.answer(401, b'{"error": {"message": "wrong key"}}', "application/json")
        recorded = chat.recorded(stream=bool(body.get("stream")))
        self.answer(200, recorded.content, recorded.headers["content-type"])

    def answer(self, status, content, kind):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()

import polyport
polyport.api_base = f"http://127.0.0.1:{server.server_port}"
polyport.api_key = "a-key"
model, ask = f"{name}/{chat.call['model']}", chat.call["messages"]
said = polyport.completion(model, ask)
streamed = "".join(chunk.choices[0].delta.content or "" for chunk in polyport.completion(model, ask, stream=True)
                   if chunk.choices)
awaited = asyncio.run(polyport.acompletion(chat.call["model"], ask))
try:
    polyport.completion(model, ask, api_key="another")
    refused = None
except polyport.AuthenticationError as error:
    refused = str(error)
print(json.dumps({
    "said": said.choices[0].message.content, "used": said.usage.total_tokens, "provider": said.meta.provider,
    "streamed": streamed, "awaited": awaited.choices[0].message.content, "refused": refused,
}))
polyport.close()
server.shutdown()
server.server_close()
"""

#: Rendered by the installed core, so that what its wheel lacks is missed here.
RENDER = """
from pathlib import Path
from polyport.template import render
render({name!r}, Path({folder!r}), {compatible})
"""

REPORT = """
import json, sys
from polyport.testing import conformance
print(json.dumps([[row.where, row.check, row.outcome, row.detail] for row in conformance(sys.argv[1])]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Environment, Path]:
    """Return a fresh environment with the core and both variants of a rendered plugin, and the folder of those."""
    folder = tmp_path_factory.mktemp("new-plugin")
    environment = Environment(folder / "venv")
    try:
        environment.install("hatchling", "pytest")
    except AssertionError as error:
        pytest.skip(f"the package registry cannot be reached, so nothing can be installed: {str(error)[-300:]}")
    environment.install(str(ROOT / "core"))
    for name, openai_compatible in VARIANTS.items():
        environment.run("-c", RENDER.format(name=name, folder=str(folder / name), compatible=openai_compatible))
        environment.install("--no-build-isolation", str(folder / name))
    return environment, folder


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
class TestInstalled:
    """What a stranger's plugin does on a machine that has only polyport."""

    def test_it_is_found_by_its_prefix(self, installed: tuple[Environment, Path], name: str) -> None:
        """Nothing but its own entry point makes it known, and nothing is imported to know it."""
        look = "import json, polyport, sys; names = polyport.Client().providers.names(); print(json.dumps(names))"
        found = installed[0].run("-c", f"{look}; print('polyport_{name}' in sys.modules)")
        assert found.splitlines() == ['["acme", "look_alike"]', "False"]

    def test_it_answers(self, installed: tuple[Environment, Path], name: str) -> None:
        """Sync, streamed, async by its bare name, and a wrong key is the right error."""
        found = json.loads(installed[0].run("-c", CALLS, name))
        text = "Sunny, 21 \N{DEGREE SIGN}C."
        assert (found["said"], found["streamed"], found["awaited"]) == (text, text, text)
        assert (found["used"], found["provider"]) == (27, name)
        assert found["refused"].startswith(f"{name}/{name.replace('_', '-')}-small: ")
        assert "wrong key" in found["refused"]

    def test_its_own_tests_pass(self, installed: tuple[Environment, Path], name: str) -> None:
        """The contract and the literal request, run as its author would; a hundred checks, not one skipped."""
        environment, folder = installed
        said = environment.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", at=folder / name)
        assert "failed" not in said
        assert "skipped" not in said
        assert int(said.rpartition(" passed")[0].split()[-1]) > 80

    def test_its_conformance_report_is_clean(self, installed: tuple[Environment, Path], name: str) -> None:
        """The installed plugin ships its exchanges, and keeps the contract without pytest."""
        rows = json.loads(installed[0].run("-c", REPORT, name))
        assert [row for row in rows if row[2] == "failed"] == []
        assert {row[0] for row in rows} >= {"plugin", "chat"}

    def test_it_type_checks_and_is_clean(self, installed: tuple[Environment, Path], name: str) -> None:
        """mypy --strict against the installed core, and ruff, have nothing to say."""
        environment, folder = installed
        python = f"--python-executable={environment.python}"
        run([sys.executable, "-m", "mypy", "--strict", python, "src", "tests"], at=folder / name)
        check_style(folder / name)


def check_style(folder: Path) -> None:
    """Hold a rendered plugin to its own ruff settings and to this repository's."""
    ruff = [sys.executable, "-m", "ruff"]
    run([*ruff, "check", "--no-cache", "."], at=folder)
    run([*ruff, "format", "--no-cache", "--check", "."], at=folder)
    # How imports are grouped depends on what else is developed in the same place, and a line's length on the name.
    run(
        [*ruff, "check", "--no-cache", "--config", str(ROOT / "pyproject.toml"), "--ignore", "I001,E501", "."],
        at=folder,
    )


@pytest.mark.parametrize("openai_compatible", [False, True], ids=["native", "compatible"])
@pytest.mark.parametrize("name", ["x", "acme2", "bearer", "test-ai", "polyport-acme", "a-rather-long-name-of-a-house"])
def test_every_name_renders_clean(tmp_path: Path, name: str, openai_compatible: bool) -> None:
    """Short, long, or a word that the code uses itself: the code is well formed and formatted."""
    written = render(name, tmp_path / "new", openai_compatible)
    assert all(path.is_file() and "$" not in path.read_text().replace("$.", "") for path in written)
    check_style(tmp_path / "new")


def test_the_names_in_a_plugin(tmp_path: Path) -> None:
    """Hyphens in the distribution, underscores in prefix and package, one class."""
    written = render("polyport-acme-ai", tmp_path, openai_compatible=True)
    assert tmp_path / "src" / "polyport_acme_ai" / "__init__.py" in written
    project = (tmp_path / "pyproject.toml").read_text()
    assert 'name = "polyport-acme-ai"' in project
    assert 'acme_ai = "polyport_acme_ai:AcmeAi"' in project


@pytest.mark.parametrize(
    "name", ["", "Acme", "2fast", "a b", "a--b", "a-", "-a", "../up", "a/b", "a.b", "é", "polyport-"]
)
def test_a_name_that_no_prefix_can_have(tmp_path: Path, name: str) -> None:
    """Nothing is written, and the error says what a name is made of."""
    with pytest.raises(BadRequestError, match="lower-case letters, digits and single hyphens or underscores"):
        render(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_in_use(tmp_path: Path) -> None:
    """What is there is never overwritten."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BadRequestError, match="is there already and is not an empty folder"):
        render("acme", tmp_path)
    with pytest.raises(BadRequestError, match="is not an empty folder"):
        render("acme", tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A place that cannot be written to is an error that names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BadRequestError, match=r"Cannot write .*file"):
        render("acme", tmp_path / "file" / "new")
