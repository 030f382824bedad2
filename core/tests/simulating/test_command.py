"""`polyport simulate`: configurations in YAML and JSON, tables, pictures, and what is said of wrong ones."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from polyport.cli.app import app

CONFIG = """
model_list:
  - model_name: gpt
    litellm_params: {model: openai/gpt, api_key: os.environ/NOT_SET, rpm: 600}
  - model_name: gpt
    params: {model: fake/other}
  - model_name: spare
    params: {model: fake/spare}
    model_info: {id: reserve}
router_settings:
  routing_strategy: least-busy
  fallbacks: [{gpt: [spare]}]
  redis_host: redis.example.com
general_settings: {master_key: sk-1}
simulation:
  seed: 2
  traffic: {rps: 2, hours: 0.03, models: {gpt: 1}}
  deployments: {gpt-1: {latency: 0.4}, gpt-2: {latency: {samples: measured.txt}}}
  faults: ["gpt:429%30@30-60", "gpt-2:down@60-"]
"""


def polyport(*args):
    """Run the command."""
    return CliRunner().invoke(app, ["simulate", *map(str, args)])


@pytest.fixture
def config(tmp_path):
    """A configuration, next to the file of samples that it names."""
    (tmp_path / "measured.txt").write_text("0.3\n0.9\n")
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def test_a_table_tells_what_came_of_it(config):
    """The whole, and a row for each deployment; ids are groups with numbers where there are none."""
    done = polyport(config)
    assert done.exit_code == 0, done.output
    for wanted in ("least-busy", "succeeded", "gpt-1", "gpt-2", "reserve", "first token p50/p90/p99", "calls/s"):
        assert wanted in done.output


def test_options_come_before_the_file(config, tmp_path):
    """Rates, ramps, hours, faults, strategy, seed; JSON is the whole report; the picture is a file."""
    picture = tmp_path / "out.svg"
    args = ("--rps", "1-5", "--hours", "0.02", "--faults", "gpt-1:down", "--strategy", "simple-shuffle", "--seed", 9)
    done = polyport(config, *args, "--json", "--picture", picture)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["strategy"], report["seed"], report["seconds"]) == ("simple-shuffle", 9, 72.0)
    assert report["deployments"][0]["failed"] == report["deployments"][0]["requests"] > 0
    assert report["timeline"]["faults"][0]["text"] == "gpt-1:down"
    assert picture.read_text().startswith("<svg")


def test_comparing_runs_every_strategy_on_the_same_traffic(config, tmp_path):
    """One table, and a picture for each."""
    done = polyport(config, "--compare", "--picture", tmp_path / "all.svg")
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.stdout.splitlines() if "-" in line.split(" ")[0]]
    assert {row[0] for row in rows} >= {"least-busy", "cost-based-routing", "usage-based-routing-v2"}
    assert len({row[1] for row in rows}) == 1
    assert (tmp_path / "all-least-busy.svg").exists()


def test_json_is_read_too(tmp_path):
    """Without YAML's package."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_list": [{"model_name": "g", "params": {"model": "x/y"}}]}))
    done = polyport(path, "--hours", "0.01", "--rps", "1", "--json")
    assert json.loads(done.stdout)["success_rate"] == 1.0


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("model_list:", "model_lists:", "$.model_lists is nothing that is read here: did you mean 'model_list'?"),
        ("routing_strategy:", "routing_strategi:", "$.router_settings.routing_strategi is nothing"),
        ("least-busy", "least-bussy", "Did you mean 'least-busy'?"),
        ("  traffic:", "  trafic:", "$.simulation.trafic is nothing that is read here: did you mean 'traffic'?"),
        ("rps: 2", "rsp: 2", "$.simulation.traffic.rsp is nothing that is read here: did you mean 'rps'?"),
        ("hours: 0.03", "hours: long", "got `str` at $.simulation.traffic.hours"),
        ("gpt-1: {latency: 0.4}", "gpt-7: {latency: 0.4}", "did you mean 'gpt"),
        ("latency: 0.4", "latncy: 0.4", "unknown field `latncy`"),
        ("gpt-2:down@60-", "gpt-2:dwon@60-", "at character 7 ('dwon@60-'): no fault is called 'dwon'; did you mean"),
        ("model: openai/gpt", "modell: openai/gpt", "$.model_list[0].litellm_params.model is missing"),
        ("measured.txt", "gone.txt", "cannot read"),
        ("[{gpt: [spare]}]", "[{gpt: [spar]}]", "A fallback names 'spar', which is no model group"),
        ("model_list:", "model_list: [", "cannot be read"),
        ("seed: 2", "seed: two", "at $.simulation.seed"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(config, old, new, why):
    """And exit code 2."""
    assert old in CONFIG
    config.write_text(CONFIG.replace(old, new, 1))
    done = polyport(config)
    assert done.exit_code == 2, done.output
    assert why in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_wrong_option_is_told(config):
    """Before anything runs."""
    for args, why in (
        (("--rps", "many"), "--rps is a number"),
        (("--strategy", "best"), "No routing strategy 'best'"),
        (("--faults", "gpt-1:down@"), "at character 12"),
    ):
        done = polyport(config, *args)
        assert done.exit_code == 2
        assert why in done.stderr
    assert polyport("nowhere.yaml").exit_code == 2
