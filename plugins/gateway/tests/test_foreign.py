"""LiteLLM's config.yaml as people have it: every documented name leads somewhere, or is named as leading nowhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from polyport_gateway import config, foreign
from polyport_gateway.config import ConfigError

from .services import Answering, Local, listening

pytest.importorskip("polyport_openai")

ONE = {"model_list": [{"model_name": "gpt-4o", "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-1"}}]}

NOBODY = "changes nothing here: no observer of that name is installed"
#: What people write -> what it is here: parameters of the router, general settings, the cache, and what is noted.
FILES: list[tuple[str, str, dict[str, Any]]] = [
    (
        "a start with two deployments and a budget for all",
        """
        model_list:
          - {model_name: gpt-4o, litellm_params: {model: openai/gpt-4o, api_key: os.environ/K}, tpm: 20000, rpm: 3}
          - model_name: gpt-4o
            litellm_params: {model: openai/gpt-4o-mini, api_key: os.environ/K, use_in_pass_through: true}
            model_info: {mode: chat, base_model: gpt-4o-mini, supports_function_calling: true}
        litellm_settings: {drop_params: true, max_budget: 100, budget_duration: 30d, request_timeout: 600}
        general_settings: {master_key: sk-1234, alerting: [slack], proxy_batch_write_at: 60}
        environment_variables: {K: sk-some}
        """,
        {
            "options": {"drop_params": True, "timeout": 600},
            "general": {"global_limits": {"max_budget": 100, "budget_duration": "30d"}},
            "notes": [
                "$.model_list[1].litellm_params.use_in_pass_through changes nothing here",
                "$.general_settings.alerting changes nothing here",
                "$.general_settings.proxy_batch_write_at changes nothing here",
            ],
        },
    ),
    (
        "production: redis, logging, health, what to do without the database",
        """
        model_list: [{model_name: a, litellm_params: {model: openai/gpt-4o, api_key: k}}]
        router_settings:
          {routing_strategy: usage-based-routing-v2, enable_pre_call_check: true, tag_filtering_match_any: true,
           default_max_parallel_requests: 7, allowed_fails_policy: {RateLimitErrorAllowedFails: 10},
           optional_pre_call_checks: [prompt_caching], provider_budget_config: {openai: {budget_limit: 1}}}
        litellm_settings:
          {success_callback: [prometheus, sentry], callbacks: [otel, custom.handler], json_logs: true,
           turn_off_message_logging: true, require_auth_for_metrics_endpoint: false,
           default_internal_user_params: {max_budget: 1}}
        general_settings:
          {master_key: sk-1234, database_url: "postgresql://u:p@db/x", allow_requests_on_db_unavailable: true,
           background_health_checks: true, health_check_interval: 300, health_check_details: false,
           store_model_in_db: true, reject_clientside_metadata_tags: true, enforce_user_param: true,
           maximum_spend_logs_retention_period: 30d, global_max_parallel_requests: 50}
        """,
        {
            "options": {
                "routing_strategy": "usage-based-routing-v2",
                "enable_pre_call_checks": True,
                "default_litellm_params": {"max_parallel_requests": 7},
                "success_callback": ["prometheus"],
                "callbacks": ["otel"],
            },
            "general": {
                "on_store_failure": "allow", "request_tags": False, "required_params": ["user"], "metrics_public": True,
                "background_health_checks": True, "default_internal_user_params": {"max_budget": 1},
            },
            "notes": [
                f"$.litellm_settings.success_callback: 'sentry' {NOBODY}",
                f"$.litellm_settings.callbacks: 'custom.handler' {NOBODY}",
                "$.router_settings.optional_pre_call_checks changes nothing here",
                "$.litellm_settings.turn_off_message_logging changes nothing here",
                "$.general_settings.health_check_details changes nothing here",
            ],
        },
    ),
    (
        "what holds people back",
        """
        model_list: [{model_name: a, litellm_params: {model: openai/gpt-4o, api_key: k}}]
        general_settings:
          {master_key: sk-1234, allowed_ips: [192.168.1.1], max_request_size_mb: 10, max_response_size_mb: 20,
           enforce_user_param: true, enforced_params: [metadata, metadata.generation_name],
           public_routes: [LiteLLMRoutes.public_routes, /metrics, /spend/calculate], max_parallel_requests: 9,
           admin_only_routes: [/key/generate], allowed_routes: [/chat/completions, LiteLLMRoutes.public_routes],
           use_x_forwarded_for: true, custom_auth: custom_auth.user_api_key_auth}
        """,
        {
            "options": {"default_litellm_params": {"max_parallel_requests": 9}},
            "general": {
                "allowed_ips": ["192.168.1.1"], "max_request_size_mb": 10, "max_response_size_mb": 20,
                "required_params": ["user", "metadata", "metadata.generation_name"], "metrics_public": True,
                "admin_only_routes": ["/key/generate"], "custom_auth": "custom_auth.user_api_key_auth",
                "allowed_routes": ["/chat/completions", "LiteLLMRoutes.public_routes"],
            },
            "notes": [
                "$.general_settings.use_x_forwarded_for changes nothing here",
                "$.general_settings.public_routes: /spend/calculate want a key here like all others",
            ],
        },
    ),
    (
        "a cache in Redis that the environment names",
        """
        model_list: [{model_name: a, litellm_params: {model: openai/gpt-4o, api_key: k}}]
        litellm_settings:
          cache: true
          cache_params: {type: redis, namespace: mine, ttl: 600, max_connections: 100,
                         supported_call_types: [acompletion, atext_completion, aembedding]}
        environment_variables: {REDIS_HOST: cache.internal, REDIS_PORT: "6380", REDIS_PASSWORD: hunter2}
        """,
        {
            "cache": {
                "type": "redis", "namespace": "mine", "ttl": 600, "host": "cache.internal", "port": 6380,
                "password": "hunter2", "supported_call_types": ["acompletion", "atext_completion", "aembedding"],
            },
            "notes": ["$.litellm_settings.cache_params.max_connections changes nothing here"],
        },
    ),
    (
        "a semantic cache in Qdrant, and one in Azure",
        """
        model_list: [{model_name: a, litellm_params: {model: openai/gpt-4o, api_key: k}}]
        litellm_settings:
          cache: true
          cache_params: {type: qdrant-semantic, qdrant_semantic_cache_embedding_model: openai/e, qdrant_api_base: "http://q",
                         similarity_threshold: 0.8}
        settings: {cache: true, cache_params: {type: azure-blob, azure_account_url: x}}
        """,
        {
            "cache": {"type": "semantic", "embedding_model": "openai/e", "similarity_threshold": 0.8},
            "notes": [
                f"$.litellm_settings.cache_params.type: 'qdrant-semantic' is 'semantic' here: {foreign.QDRANT}",
                f"$.litellm_settings.cache_params.qdrant_api_base changes nothing here: {foreign.QDRANT}",
                "$.settings.cache_params.type: there is no cache 'azure-blob' here: nothing is cached",
            ],
        },
    ),
    (
        "credentials by name, MCP, guardrails, and sections that there are not",
        """
        credential_list:
          - {credential_name: azure_one, credential_values: {api_key: sk-a, api_base: "http://a"}, credential_info: {}}
        model_list: [{model_name: a, litellm_params: {model: openai/gpt-4o, litellm_credential_name: azure_one}}]
        guardrails:
          - {guardrail_name: pii, litellm_params: {guardrail: pii, mode: pre_call, default_on: true}}
        mcp_servers: {github: {url: "http://mcp"}}
        callback_settings: {otel: {message_logging: false}}
        vector_store_registry: []
        finetune_settings: []
        """,
        {
            "notes": [
                f"$.mcp_servers changes nothing here: {foreign.MCP}",
                "$.callback_settings changes nothing here: observers read the environment",
            ],
            "params": {"api_key": "sk-a", "api_base": "http://a", "model": "openai/gpt-4o"},
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), [(text, expected) for _, text, expected in FILES],
                         ids=[name for name, _, _ in FILES])  # fmt: skip
def test_a_file_as_people_have_it_is_read(text: str, expected: dict[str, Any]) -> None:
    """What it says holds; what holds nothing here is named; and a router can be made of it."""
    for observer in expected.get("options", {}).get("callbacks", ()):
        pytest.importorskip(f"polyport_{observer}")
    found = config.parse(text)
    for name, value in expected.get("options", {}).items():
        assert found.options[name] == value, name
    for name, value in expected.get("general", {}).items():
        assert found.general.given[name] == value, name
    if "cache" in expected:
        assert found.cache == expected["cache"]
    if "params" in expected:
        assert found.models[0]["litellm_params"] == expected["params"]
    assert set(expected["notes"]) <= set(found.notes), found.notes
    without_cache = {**found.options, "callbacks": [], "success_callback": []}
    router = config.Config(models=found.models, options=without_cache, secrets=found.secrets).router()
    router.close()


def test_callbacks_that_hold_people_back_do_so_here() -> None:
    """Some are guardrails of ours, some always hold; each is told."""
    pytest.importorskip("polyport_guardrails")
    names = ["hide_secrets", "banned_keywords", "detect_prompt_injection", "max_budget_limiter", "blocked_user_check"]
    found = config.read({**ONE, "litellm_settings": {"callbacks": names, "banned_keywords_list": ["rival"]}})
    assert [one["params"] for one in found.options["guardrails"]] == [
        {"guardrail": "pii", "entities": ["SECRET"], "mode": "pre_call"},
        {"guardrail": "deny-list", "words": ["rival"], "mode": "pre_call"},
        {"guardrail": "prompt-injection", "mode": "pre_call"},
    ]
    assert found.options["callbacks"] == []
    assert all(any(repr(name) in note for note in found.notes) for name in names), found.notes
    config.check(found)
    with pytest.raises(ConfigError, match="needs banned_keywords_list beside it"):
        config.read({**ONE, "litellm_settings": {"callbacks": ["banned_keywords"]}})
    alone = config.read({**ONE, "litellm_settings": {"banned_keywords_list": ["x"]}})
    assert "holds nobody back: name 'banned_keywords' in callbacks" in alone.notes[0]


@pytest.mark.parametrize("section", ["litellm_settings", "router_settings", "general_settings"])
def test_every_documented_name_is_known(section: str) -> None:
    """One by one, so that no name refuses a whole file; each leaves a note, unless it says what holds here anyway."""
    for name in sorted(foreign.ELSEWHERE | foreign.RESTRICTING):
        found = config.read({**ONE, section: {name: "x"}})
        assert any(name in note for note in found.notes), name


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"litellm_settings": {"success_callback": ["langfues"]}}, "did you mean 'langfuse'?"),
        ({"model_list": [{"model_name": "a", "params": {"model": "openai/x", "litellm_credential_name": "no"}}]},
         "litellm_credential_name is 'no'; there are none"),
        ({"credential_list": [{"credential_name": "x"}]}, "$.credential_list[0] needs"),
        ({"general_settings": {"key_management_system": "google_kms"}}, "No secret manager 'google_kms'. There are"),
        ({"general_settings": {"master_key": "file/no-such-file"}}, "file /run/secrets/no-such-file, which"),
        ({"mcp_server": {}}, "$ has 'mcp_server', which nothing reads"),
    ],
)  # fmt: skip
def test_what_is_no_name_at_all_is_refused(given: dict[str, Any], says: str) -> None:
    """A misspelt one is not taken for one that means nothing."""
    pytest.importorskip("polyport_secrets")
    with pytest.raises(ConfigError, match=re.escape(says)):
        config.check(config.read({**ONE, **given}))


def test_files_are_included_and_secrets_are_read_from_files(tmp_path: Path) -> None:
    """Lists come together, the including file's own names count, and all of them are watched."""
    (tmp_path / "key").write_text("sk-from-a-file\n")
    models = {
        "model_list": [{"model_name": "a", "params": {"model": "openai/gpt-4o", "api_key": f"file/{tmp_path}/key"}}]
    }
    (tmp_path / "models.yaml").write_text(
        yaml.safe_dump({**models, "router_settings": {"num_retries": 1, "timeout": 9}})
    )
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({"include": ["models.yaml"], **ONE, "router_settings": {"num_retries": 2}})
    )
    found = config.load(tmp_path / "config.yaml")
    assert [one["model_name"] for one in found.models] == ["a", "gpt-4o"]
    assert (found.options["num_retries"], found.options["timeout"]) == (2, 9)
    assert found.models[0]["params"]["api_key"] == "sk-from-a-file"
    assert [path.name for path in found.files] == ["config.yaml", "models.yaml", "key"]
    assert "sk-from-a-file" not in json.dumps(found.source)
    (tmp_path / "models.yaml").write_text("include: config.yaml")
    with pytest.raises(ConfigError, match="included too deep, or by itself"):
        config.load(tmp_path / "config.yaml")
    (tmp_path / "models.yaml").unlink()
    with pytest.raises(ConfigError, match="Cannot read the configuration"):
        config.load(tmp_path / "config.yaml")


@pytest.fixture
def vault() -> Iterator[str]:
    """A Vault with one secret."""

    class Handler(Answering):
        def serve(self) -> None:
            known = self.path == "/v1/secret/data/litellm/OPENAI_KEY"
            told = {"data": {"data": {"key": "sk-from-vault"}, "metadata": {}}} if known else {"errors": []}
            self.send(json.dumps(told).encode(), 200 if known else 404)

    with listening(Local(Handler)) as server:
        yield server.address


def test_keys_come_from_a_manager_of_secrets(vault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By LiteLLM's names; hosted keys are asked for there first, others in the environment first."""
    pytest.importorskip("polyport_secrets")
    pytest.importorskip("hvac")
    monkeypatch.setenv("HCP_VAULT_ADDR", vault)
    monkeypatch.setenv("HCP_VAULT_TOKEN", "t")
    monkeypatch.setenv("HCP_VAULT_PATH_PREFIX", "litellm")
    given: dict[str, Any] = {
        "model_list": [
            {"model_name": "a", "litellm_params": {"model": "openai/x", "api_key": "os.environ/OPENAI_KEY"}}
        ],
        "general_settings": {"key_management_system": "hashicorp_vault"},
    }
    router = config.read(given).router()
    assert router.groups.of("a")[0].options["api_key"] == "sk-from-vault"
    router.close()
    monkeypatch.setenv("OPENAI_KEY", "sk-nearer")
    assert config.read(given).secrets("OPENAI_KEY") == "sk-nearer"
    given["general_settings"]["key_management_settings"] = {"hosted_keys": ["OPENAI_KEY"], "store_virtual_keys": True}
    assert config.read(given).secrets("OPENAI_KEY") == "sk-from-vault"
