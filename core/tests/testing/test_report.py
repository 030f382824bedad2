"""`conformance(name)`: the contract of an installed plugin as rows, with or without recorded exchanges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polyport import plugins
from polyport.errors import NotFoundError, PluginError
from polyport.testing import Row, conformance

PROVIDER = """
from polyport.auth import Bearer
from polyport.dialects.openai import Embeddings

class Toy(Embeddings):
    auth = Bearer(env="TOY_API_KEY")
    base_url = "https://toy.example/v1"
"""
EXCHANGES = """
from polyport.testing import Exchange

VECTORS = {"object": "list", "model": "e", "data": [{"object": "embedding", "index": INDEX, "embedding": [0.5, 1.0]}]}
EXCHANGES = [Exchange("embed", {"model": "e", "input": "one"}, reply=VECTORS)]
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Install]:
    """Return what installs a plugin: a package of a name of its own, and the metadata with its entry points."""
    package = f"polyport_toy_{abs(hash(request.node.name))}"

    def make(conformance: str | None, prefixes: tuple[str, ...] = ("toy",), provider: str = PROVIDER) -> None:
        folder = tmp_path / package
        folder.mkdir()
        (folder / "__init__.py").write_text(provider)
        if conformance is not None:
            (folder / "conformance.py").write_text(conformance)
        info = tmp_path / "polyport_toy-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: polyport-toy\nVersion: 1.0\n")
        lines = "\n".join(f"{prefix} = {package}:Toy" for prefix in prefixes)
        (info / "entry_points.txt").write_text(f"[polyport.providers]\n{lines}\n")
        monkeypatch.syspath_prepend(tmp_path)
        plugins.rescan()

    yield make
    monkeypatch.undo()
    plugins.rescan()


def outcomes(rows: list[Row]) -> Counter[str]:
    """Count the rows by outcome."""
    return Counter(row.outcome for row in rows)


def test_a_plugin_that_keeps_the_contract_passes(install: Install) -> None:
    """No row fails; what does not apply says why."""
    install(EXCHANGES.replace("INDEX", "0"))
    rows = conformance("toy")
    assert not [row for row in rows if row.outcome == "failed"]
    assert outcomes(rows)["passed"] > 25
    assert all(row.detail for row in rows if row.outcome == "skipped")
    assert all(row.about for row in rows)


def test_what_fails_says_why(install: Install) -> None:
    """The row of the broken promise has the check's own words; the others still count."""
    install(EXCHANGES.replace("INDEX", "5"))
    failed = [row for row in conformance("toy") if row.outcome == "failed"]
    assert [(row.where, row.check) for row in failed] == [("embed", "reply_is_parsed")]
    assert failed[0].detail == "1 inputs gave vectors with the indexes [5]"


def test_without_recorded_bodies_the_rest_is_checked(install: Install) -> None:
    """The table says that, and where, the recorded exchanges are missing."""
    install(None)
    rows = conformance("toy")
    assert outcomes(rows)["passed"] == 3
    assert "has no module polyport_toy_" in rows[-1].detail
    assert "with EXCHANGES" in rows[-1].detail


def test_the_distribution_names_all_its_prefixes(install: Install) -> None:
    """One package may answer for several prefixes, each with its own exchanges."""
    by_prefix = EXCHANGES.replace("INDEX", "0") + 'EXCHANGES = {"toy": EXCHANGES}\n'
    install(by_prefix, ("toy", "toy2"))
    rows = conformance("polyport-toy")
    assert {row.provider for row in rows} == {"toy", "toy2"}
    assert "records no exchanges for 'toy2'" in rows[-1].detail


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("EXCHANGES = 5", "must be a list of polyport.testing.Exchange"),
        ("EXCHANGES = [{}]", "must be a list of polyport.testing.Exchange"),
        ("import nothing_of_this_name", "failed to load: ModuleNotFoundError"),
        ("from polyport.testing import Exchange\nExchange('chatt', {}, reply={})", "there is no hook 'chatt'"),
    ],
)
def test_exchanges_that_cannot_be_read(install: Install, module: str, says: str) -> None:
    """A conformance module that is wrong is an error of the plugin, in one sentence."""
    install(module)
    with pytest.raises(PluginError, match=says):
        conformance("toy")


def test_a_plugin_that_is_no_provider(install: Install) -> None:
    """The entry point must name a subclass of Provider."""
    install(None, provider="class Toy: ...")
    with pytest.raises(PluginError, match=r"must be a subclass of polyport\.Provider"):
        conformance("toy")


def test_a_plugin_that_is_not_installed() -> None:
    """The error says what is installed."""
    with pytest.raises(NotFoundError, match=r"No provider for 'nothere'\. Installed:"):
        conformance("nothere")
