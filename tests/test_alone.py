"""Each plugin by itself: with the core, what it depends on, and nothing else, it imports, and its own tests pass."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from environments import Environment

ROOT = Path(__file__).parents[1]
PLUGINS = {
    path.parent.name: tomllib.loads(path.read_text())["project"] for path in ROOT.glob("plugins/*/pyproject.toml")
}

#: Plugin -> the extras it is developed with, "[google]".
EXTRAS = {
    match[1]: match[2]
    for one in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    if (match := re.fullmatch(r"polyport-([\w-]+)(\[[\w,]+\])", one))
}
TOOLS = (f"{ROOT / 'core'}[cli]", "pytest", "hypothesis", "typing_extensions")
#: The contract's hundreds of checks are core's own, and run in the workspace.
CHOSEN = ("-k", "not TestContract")

#: Imports a package, and prints what is installed and which packages of polyport's were imported.
LOOK = """
import importlib, importlib.metadata, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps({
    "installed": sorted(one.name.lower() for one in importlib.metadata.distributions()),
    "imported": sorted({name.partition(".")[0] for name in sys.modules if name.startswith("polyport")}),
}))
"""


def named(dependencies: list[str]) -> list[str]:
    """Return the plugins among some dependencies."""
    return re.findall(r"^polyport-([\w-]+)", "\n".join(dependencies), re.MULTILINE)


def folders(name: str) -> list[str]:
    """Return the folders of a plugin and of the plugins that it depends on."""
    needed = named(PLUGINS[name]["dependencies"])
    return [str(ROOT / "plugins" / name), *(path for one in needed for path in folders(one))]


def companions(name: str) -> list[str]:
    """Return what its tests need besides: plugins of its extras, and a provider where it is none."""
    optional = PLUGINS[name].get("optional-dependencies", {})
    extras = [one for extra, needed in optional.items() if extra in EXTRAS.get(name, "") for one in named(needed)]
    is_provider = "polyport.providers" in PLUGINS[name].get("entry-points", {})
    return [path for one in [*extras, *([] if is_provider else ["openai"])] for path in folders(one)]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PLUGINS))
def test_a_plugin_alone(tmp_path: Path, name: str) -> None:
    """Its import brings in no other plugin than those it names; its extras are there for its tests alone."""
    environment = Environment(tmp_path / "venv")
    try:
        environment.install(str(ROOT / "core"), *folders(name))
    except AssertionError as error:
        pytest.skip(f"the package registry cannot be reached, so nothing can be installed: {str(error)[-300:]}")
    package = f"polyport_{name.replace('-', '_')}"
    found: dict[str, Any] = json.loads(environment.run("-c", LOOK, package))
    wanted = {f"polyport_{Path(folder).name.replace('-', '_')}" for folder in folders(name)} | {"polyport"}
    assert set(found["imported"]) <= wanted
    assert {one.replace("-", "_") for one in found["installed"] if one.startswith("polyport")} == wanted
    own = f"{ROOT / 'plugins' / name}{EXTRAS.get(name, '')}"
    environment.install(own, *folders(name)[1:], *companions(name), *TOOLS)
    plain = ["-o", "addopts=--import-mode=importlib -ra --strict-markers --strict-config", "-p", "no:cacheprovider"]
    said = environment.run("-m", "pytest", "-q", *plain, *CHOSEN, str(ROOT / "plugins" / name / "tests"), at=ROOT)
    assert " passed" in said
