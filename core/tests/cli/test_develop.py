"""`polyport conformance` and `new-plugin`: a table of what holds, a package that is written once."""

from __future__ import annotations

import json

GOOD = """
import polyport
from polyport.dialects.openai import Models

class Acme(Models):
    auth = polyport.Bearer(env="ACME_API_KEY")
    base_url = "https://acme.invalid/v1"
"""
BAD = (
    GOOD
    + """
    @polyport.hookimpl
    def close(self):
        raise RuntimeError("cannot be closed")
"""
)
POINTS = "[polyport.providers]\nacme = polyport_acme:Acme\n"


def test_a_plugin_that_keeps_the_contract_is_0(shell, plugin):
    """A table for people; the counts stand beside it."""
    done = shell("conformance", "acme", path=plugin("polyport-acme", POINTS, GOOD))
    assert done.returncode == 0, done.stderr
    assert "hooks are known" in done.stdout
    assert " 0 failed" in done.stderr


def test_a_plugin_that_breaks_it_is_1_and_says_where(shell, plugin):
    """--failures shows those alone, --json for machines; a distribution's name works too."""
    folder = plugin("polyport-acme", POINTS, BAD)
    done = shell("conformance", "polyport-acme", "--failures", "--json", path=folder)
    assert done.returncode == 1
    rows = json.loads(done.stdout)
    assert rows
    assert {row["outcome"] for row in rows} == {"failed"}
    assert "cannot be closed" in str(rows)
    assert "fails" in done.stderr


def test_a_plugin_that_is_not_there_is_4(cli):
    """It says what is installed."""
    assert "Installed:" in cli("conformance", "nothing", code=4).stderr


def test_a_new_plugin_is_a_package_and_is_not_written_twice(cli, tmp_path, monkeypatch):
    """In ./polyport-NAME, or where --path says; never over something else."""
    monkeypatch.chdir(tmp_path)
    assert cli("new-plugin", "acme").stdout == "polyport-acme\n"
    assert (tmp_path / "polyport-acme" / "pyproject.toml").exists()
    cli("new-plugin", "acme", "--openai-compatible", "--path", "elsewhere")
    assert (tmp_path / "elsewhere" / "src" / "polyport_acme" / "__init__.py").exists()
    assert "not empty" in cli("new-plugin", "acme", code=2).stderr
    assert cli("new-plugin", "No Name", code=2).stderr.count("\n") == 1
