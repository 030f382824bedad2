"""config.yaml: strict, helpful, and LiteLLM's files as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from polyport_gateway import config
from polyport_gateway.config import ConfigError

pytest.importorskip("polyport_openai")

LITELLM = """
model_list:
  - model_name: claude-primary
    litellm_params: {model: openai/gpt-4o-mini, api_key: os.environ/SOME_KEY}
  - model_name: claude-fallback
    litellm_params: {model: openai/gpt-4o}
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/SOME_KEY, rpm: 500, tpm: 2000000}
router_settings:
  routing_strategy: least-busy
  num_retries: 3
  timeout: 60
  fallbacks: [{claude-primary: [claude-fallback]}]
general_settings: {master_key: sk-your-master-key, database_url: os.environ/DATABASE_URL}
litellm_settings: {cache: true, cache_params: {type: local, ttl: 60}, drop_params: true, set_verbose: false}
environment_variables: {SOME_KEY: sk-some, DATABASE_URL: "postgresql://db/x"}
"""


def test_a_litellm_file_is_read_as_it_is() -> None:
    """Every section leads somewhere, and what means nothing here is named."""
    found = config.parse(LITELLM)
    router = found.router()
    try:
        assert router.get_model_names() == ["claude-primary", "claude-fallback", "gpt-4o"]
        assert router.groups.of("gpt-4o")[0].options["api_key"] == "sk-some"
        assert (router.strategy_name, router.num_retries, router.client.drop_params) == ("least-busy", 3, True)
        assert router.client.cache is not None
        assert router.client.cache.name == "memory"
    finally:
        router.close()
    assert found.general.master_key == "sk-your-master-key"
    assert found.general.given["database_url"] == "postgresql://db/x"
    assert found.notes == ["$.litellm_settings.set_verbose changes nothing here"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model_lst: []", "$ has 'model_lst', which nothing reads: did you mean 'model_list'?"),
        ("router_settings: {}", "$.model_list is missing"),
        ("- a", "must be a mapping"),
        ("a: [", "is no YAML"),
        ("model_list: [3]", "$.model_list[0] must be a mapping, not int"),
        ("general_settings: {master_kee: x}", "$.general_settings has 'master_kee', which nothing reads: did you mean"),
        (
            "general_settings: {master_key: os.environ/NOT_THERE_1}",
            "$.general_settings.master_key asks for NOT_THERE_1",
        ),
        ("general_settings: {master_key: ''}", "master_key is empty"),
        ("general_settings: {drain_seconds: soon}", "$.general_settings: Expected `float`"),
        (
            "settings: {drop_parms: true}",
            "$.settings has 'drop_parms', which nothing reads: did you mean 'drop_params'?",
        ),
        ("router_settings: {num_retrys: 1}", "did you mean 'num_retries'?"),
        ("litellm_settings: 3", "$.litellm_settings must be a mapping"),
        ("guardrails: {}\nsettings: {model_list: []}", "$.settings has 'model_list'"),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest_right_key(text: str, says: str) -> None:
    """The path, what stands there, and what was probably meant."""
    model = "model_list: [{model_name: a, params: {model: openai/gpt-4o}}]\n"
    whole = text if text.startswith(("model", "-", "a:", "router_settings: {}")) else model + text
    with pytest.raises(ConfigError, match=re.escape(says)):
        config.parse(whole)


def test_no_secret_is_in_its_repr() -> None:
    """Configurations are logged."""
    found = config.parse(LITELLM)
    assert "sk-" not in repr(found)
    assert "sk-" not in repr(found.general)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        config.load(tmp_path / "nowhere.yaml")


def test_a_provider_that_is_not_installed_is_told_by_check() -> None:
    """Before anything is served."""
    found = config.of_models(["nosuch/model"])
    with pytest.raises(ConfigError, match="nosuch"):
        config.check(found)
    assert config.check(config.of_models(["openai/gpt-4o"])) == ["openai/gpt-4o: openai/gpt-4o"]
