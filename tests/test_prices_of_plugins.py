"""Every price that any plugin ships is in the one vocabulary of `polyport.catalog`, and can be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polyport.prices import Rates, Used, problem

ROOT = Path(__file__).parent.parent
FILES = sorted([*ROOT.glob("plugins/*/src/*/models.json"), *ROOT.glob("plugins/*/src/*/models/*.json")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parts[-4]}-{path.stem}")
def test_a_plugin_names_prices_by_known_units_only(path):
    """A unit that nothing reads would be a cost that nobody sees."""
    wrong = []
    for name, info in json.loads(path.read_bytes())["models"].items():
        found = None if info.get("prices") is None else problem(info["prices"], name)
        if found is not None:
            wrong.append(found)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parts[-4]}-{path.stem}")
def test_a_model_that_has_a_price_of_input_can_be_billed(path):
    """Whatever tiers and hours it has."""
    for name, info in json.loads(path.read_bytes())["models"].items():
        if "input" in (info.get("prices") or {}):
            for prompt in (1, 10_000_000):
                bill = Rates(info["prices"]).bill(Used(tokens={"input": prompt}, prompt=prompt))
                assert bill is not None, name
                assert bill.nano > 0 or not info["prices"]["input"], name
