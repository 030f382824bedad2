"""The table of look-alikes: what must hold for every row, and what is written from it."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import polyport_compatible
from polyport import Client
from polyport.dialects.openai import Quirks
from polyport.plugins import Providers
from polyport.types.usage import Usage
from polyport_compatible.look_alike import ABILITIES, SETS
from polyport_compatible.rows import TABLE, Row, entry_points, rows

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
README = PROJECT.with_name("README.md")
HEAD = '[project.entry-points."polyport.providers"]\n'
MARKS = ("<!-- rows -->\n", "<!-- /rows -->\n")
#: The rows that users must find: the last line of the table of providers.
NAMED = {
    *("xai", "openrouter", "together_ai", "fireworks_ai", "perplexity", "cerebras", "nvidia_nim", "sambanova"),
    *("deepinfra", "novita", "hyperbolic", "moonshot", "zai", "dashscope", "volcengine", "minimax", "siliconflow"),
    *("baseten", "nebius", "friendliai", "lambda", "github", "vercel_ai_gateway", "portkey", "vllm", "lm_studio"),
    *("llamafile", "llamacpp", "xinference", "openai_like"),
}


def hold(path: Path, made: str, *, head: str, tail: str) -> None:
    """Hold what stands in a file between two marks against what the table says; POLYPORT_GOLDEN=write writes it."""
    before, mark, rest = path.read_text().partition(head)
    assert mark, f"{path} lacks {head!r}"
    written, mark, after = rest.partition(tail) if tail else (rest, "", "")
    if os.environ.get("POLYPORT_GOLDEN") == "write":
        path.write_text(before + head + made + mark + after)
        return
    assert written == made, f"{path.name} is not what rows.json says: run with POLYPORT_GOLDEN=write"


def test_entry_points_are_those_of_the_table():
    """Every prefix of every row is declared, and nothing else."""
    hold(PROJECT, "".join(f'{name} = "{value}"\n' for name, value in entry_points().items()), head=HEAD, tail="")
    declared = tomllib.loads(PROJECT.read_text())["project"]["entry-points"]["polyport.providers"]
    assert declared == entry_points()


def line(row: Row) -> str:
    """Return a row as a line of the README's table."""
    prefixes = ", ".join(f"`{prefix}/`" for prefix in row.prefixes)
    keys = f"`{row.keys[0]}`" + (" (if asked for)" if row.open else "")
    base = f"`{row.base}`" if row.base else f"`{row.prefix.upper()}_API_BASE`"
    note = f" {row.note}" if row.note else ""
    return f"| {prefixes} | [{row.name}]({row.docs}){note} | {base} | {keys} | {', '.join(row.can)} |\n"


def test_the_readme_has_the_table():
    """A reader finds every row in the README, as the table has it."""
    hold(README, "".join(line(row) for row in rows()), head=MARKS[0], tail=MARKS[1])


def test_there_are_many_and_all_that_are_named():
    """At least sixty, each prefix once, and those that users ask for by name."""
    prefixes = [prefix for row in rows() for prefix in row.prefixes]
    assert len(rows()) >= 60
    assert len(set(prefixes)) == len(prefixes)
    assert set(prefixes) >= NAMED


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.prefix)
def test_a_row_is_sound(row):
    """Its name, address, variables, abilities, quirks and source are of the form that they must have."""
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", prefix) for prefix in row.prefixes)
    assert not row.base or (urlsplit(row.base).scheme == ("http" if "localhost" in row.base else "https"))
    assert not row.base.endswith("/")
    assert set(re.findall(r"{(\w+)}", row.base)) == {setting.name for setting in row.settings}
    assert row.keys
    assert all(re.fullmatch(r"[A-Z0-9_]+", key) for key in row.keys)
    assert row.can[0] == "chat"
    assert set(row.can) <= set(ABILITIES)
    assert row.docs.startswith("https://")
    assert row.source.startswith("https://") or row.source in ("recorded traffic", "public code")
    assert set(row.quirks) <= set(Quirks.__struct_fields__)
    assert all(isinstance(value, list) is (name in SETS) for name, value in row.quirks.items())
    assert all(setting.env for setting in row.settings)


def test_a_class_is_made_of_its_row():
    """By its name, once, with the row's facts; a name without a row is an AttributeError."""
    made = polyport_compatible.TogetherAi
    assert made is polyport_compatible.TogetherAi
    assert (made.__name__, made.__module__) == ("TogetherAi", "polyport_compatible")
    assert (made.base_url, made.auth.names[0]) == ("https://api.together.ai/v1", "TOGETHER_API_KEY")
    assert made.base_env == ("TOGETHER_AI_API_BASE", "TOGETHER_AI_BASE_URL")
    assert issubclass(made.quirks.usage, Usage)
    assert "TogetherAi" in dir(polyport_compatible)
    with pytest.raises(AttributeError, match="no look-alike 'Nobody'"):
        _ = polyport_compatible.Nobody


def test_a_row_answers_what_it_can():
    """No more and no less: a hook for each of its abilities."""
    providers = Providers({"fireworks_ai": polyport_compatible.FireworksAi, "xai": polyport_compatible.Xai})
    assert set(providers.get("fireworks_ai").answers) - {"refine_error"} == {"chat", "embed", "rerank", "list_models"}
    assert "edit_image" not in providers.get("xai").answers
    assert "generate_image" in providers.get("xai").answers


def test_importing_reads_no_table():
    """The package alone is next to nothing: table and dialect come with the first class."""
    import subprocess
    import sys

    code = (
        "import sys, polyport_compatible; "
        "assert not {'polyport.dialects.openai', 'polyport_compatible.rows'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=TABLE.parent)


def test_the_installed_prefixes_load():
    """Every prefix of the table is a provider that loads (of the package as it is installed here)."""
    providers = Providers()
    for row in rows():
        for prefix in row.prefixes:
            if not providers.has(prefix):
                pytest.skip(f"{prefix} is not installed: install the package again")
            assert providers.get(prefix).plugin.name == prefix


def test_an_address_is_asked_for(monkeypatch):
    """A row without one says how to give it."""
    monkeypatch.delenv("GPUSTACK_API_BASE", raising=False)
    with Client(providers={"gpustack": polyport_compatible.Gpustack}) as client, pytest.raises(Exception) as caught:
        client.completion("gpustack/m", [{"role": "user", "content": "Hi"}])
    assert "api_base" in str(caught.value)
