"""Routers and surroundings for simulations, small enough to be read at a glance."""

from __future__ import annotations

from typing import Any

from polyport import Router
from polyport.simulating import Report, Setting, Traffic, run

QUICK = {"latency": {"uniform": [0.2, 0.8]}}


def router(*ids: str, group: str = "g", limits: dict[str, dict[str, Any]] | None = None, **settings: Any) -> Router:
    """Return a router with one deployment for each id; `limits` are parameters by id."""
    entries = [
        {
            "model_name": group,
            "params": {"model": f"fake/{one}", **(limits or {}).get(one, {})},
            "model_info": {"id": one},
        }
        for one in ids
    ]
    return Router(entries, **settings)


def tried(router: Router, faults: str = "", **setting: Any) -> Report:
    """Run a short simulation and return its report."""
    traffic = Traffic(**{"rps": 5, "hours": 300 / 3600, **setting.pop("traffic", {})})
    return run(
        router,
        Setting(traffic=traffic, faults=faults, **{"deployments": {"*": QUICK}, "seed": 1, **setting}),
        None,
    )
