"""LiteLLM's config.yaml -> ours: each documented name is what it means here, or is named as changing nothing.

`ours` takes what a file says and returns it in our words, with notes on what has no meaning here. What is in neither
table is for `config` to refuse, with the nearest right name. https://docs.litellm.ai/docs/proxy/config_settings
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from polyport import plugins
from polyport.errors import BadRequestError
from polyport.observing.callbacks import OBSERVERS

Notes = list[str]
NOTHING = "changes nothing here"
MCP = "there are no MCP servers behind the gateway: have callers reach them, or name them in a request's `tools`"
#: What of a semantic cache in Qdrant is left out, and what to do.
QDRANT = "vectors are not kept in Qdrant: say store: memory, disk or sqlite-vec, or type: redis-semantic"
#: Sections that are about what the gateway does not have, or has otherwise.
SECTIONS: dict[str, str] = {
    "callback_settings": "observers read the environment",
    "mcp_servers": MCP,
    "mcp_tools": MCP,
    "mcp_aliases": MCP,
    "finetune_settings": "fine-tuning is asked for with ?provider= or ?model=",
    "files_settings": "files and batches are asked for with ?provider=",
    "assistant_settings": "there are no assistants",
    "vector_store_registry": "vector stores are named by their ids, and are their makers' own",
    "search_tools": "there are no search tools",
    "prompts": "prompts are the callers' own",
    "agent_list": "there are no agents behind the gateway",
    "agents": "there are no agents behind the gateway",
    "policies": "guardrails stand in guardrails, and with keys",
    "policy_attachments": "guardrails stand in guardrails, and with keys",
    "router_strategy_settings": "strategies stand in router_settings",
    "workflow_settings": "there are no workflows",
}
#: Names in LiteLLM's sections that mean nothing here, whatever section they stand in.
ELSEWHERE = frozenset({
    "set_verbose", "json_logs", "telemetry", "modify_params", "turn_off_message_logging", "redact_user_api_key_info",
    "detailed_debug", "store_model_in_db", "supported_db_objects", "disable_spend_logs", "disable_spend_updates",
    "proxy_batch_write_at", "proxy_batch_polling_interval", "database_connection_pool_limit",
    "database_connection_timeout", "alerting", "alerting_threshold", "alerting_args", "alert_types",
    "alert_to_webhook_url", "alerting_config", "spend_report_frequency", "disable_error_logs", "set_debug_level",
    "debug_level", "enable_jwt_auth", "litellm_jwtauth", "ui_access_mode", "salt_key", "force_ipv4",
    "service_callback", "service_callbacks", "langfuse_default_tags",
    "forward_client_headers_to_llm_api", "forward_openai_org_id", "enable_preview_features",
    "LITELLM_DISABLE_STOP_SEQUENCE_LIMIT", "disable_end_user_cost_tracking",
    "disable_end_user_cost_tracking_prometheus_only", "disable_add_transform_inline_image_block",
    "use_chat_completions_url_for_anthropic_messages", "disable_hf_tokenizer_download",
    "enable_key_alias_format_validation", "disable_copilot_system_to_assistant", "enable_json_schema_validation",
    "custom_auth_run_common_checks", "enable_post_custom_auth_checks",
    "completion_model", "image_generation_model", "embedding_model", "moderation_model", "disable_master_key_return",
    "disable_retry_on_max_parallel_request_limit_error", "disable_reset_budget",
    "disable_adding_master_key_hash_to_db", "maximum_spend_logs_retention_interval", "user_mcp_management_mode",
    "infer_model_from_keys", "use_client_credentials_pass_through_routes", "health_check_details",
    "health_check_concurrency", "use_shared_health_check", "proxy_budget_rescheduler_min_time",
    "proxy_budget_rescheduler_max_time", "user_api_key_cache_ttl", "disable_prisma_schema_update", "litellm_license",
    "use_azure_key_vault", "use_google_kms", "allow_user_auth", "block_robots", "custom_key_generate", "custom_sso",
    "oauth2_config_mappings", "enable_oauth2_proxy_auth", "default_priority", "polling_interval", "client_ttl",
    "cache_kwargs", "caching_groups", "cache_responses", "assistants_config", "router_general_settings",
    "optional_pre_call_checks", "deployment_affinity_ttl_seconds", "ignore_invalid_deployments", "search_tools",
    "guardrail_list", "routing_groups", "redis_db", "default_redis_ttl", "default_redis_batch_cache_expiry",
    "network_mock", "public_model_groups", "public_model_groups_links", "s3_callback_params", "gcs_pub_sub_params",
    "prometheus_initialize_budget_metrics", "prometheus_metrics_config", "custom_prometheus_metadata_labels",
    "custom_prometheus_tags", "cost_discount_config", "cost_margin_config",
    "add_function_to_prompt", "ssl_verify", "ssl_certificate", "mcp_aliases", "use_redis_transaction_buffer",
    "custom_provider_map", "enable_loadbalancing_on_batch_endpoints", "dynamic_rate_limiter_settings",
    "priority_reservation", "priority_reservation_settings", "budget_alert_ttl", "proxy_config_reload_interval",
    "disable_token_counter", "model_cost_map_url", "disable_responses_id_security", "allow_client_side_credentials",
    "use_x_forwarded_for", "litellm_key_header_name",
})  # fmt: skip
#: Names that hold somebody back: that they do not here must not be overlooked.
RESTRICTING = frozenset({
    "enable_oauth2_auth", "service_account_settings", "default_team_disabled",
    "allowed_model_region",
})  # fmt: skip
#: What stands in litellm_settings, and in general_settings here.
MOVED = (
    "default_key_generate_params", "default_internal_user_params", "default_team_params",
    "upperbound_key_generate_params", "key_generation_settings", "blocked_user_list", "tag_budget_config",
)  # fmt: skip
#: Budgets of whoever has none of their own -> where they stand here; LiteLLM's other names of that.
BUDGETS = {
    "max_internal_user_budget": ("default_internal_user_params", "max_budget"),
    "internal_user_budget_duration": ("default_internal_user_params", "budget_duration"),
    "max_end_user_budget": ("default_customer_params", "max_budget"),
    "max_user_budget": ("default_customer_params", "max_budget"),
    "max_end_user_budget_id": ("default_customer_params", "budget_id"),
}
#: Of which team default_team_settings say what all new ones get; what is a team's, and no observer's.
DEFAULT_TEAM = "default-settings"
TEAM_PARAMS = frozenset({
    "max_budget", "budget_duration", "rpm_limit", "tpm_limit", "max_parallel_requests", "models", "team_alias",
    "soft_budget", "metadata", "tags", "team_member_budget", "team_member_budget_duration", "team_member_rpm_limit",
    "team_member_tpm_limit", "guardrails",
})  # fmt: skip
LISTS = frozenset({"callbacks", "success_callback", "failure_callback"})
TARGETS = {"default_internal_user_params": "default_user_params"}
#: LiteLLM's roles of users -> ours.
USER_ROLES = {
    "proxy_admin": "admin", "proxy_admin_viewer": "viewer", "internal_user": "member",
    "internal_user_viewer": "",
}  # fmt: skip
#: Callbacks that LiteLLM documents and no plugin of ours answers to; other unknown names are refused.
CALLBACKS = frozenset({
    "sentry", "posthog", "slack", "s3", "s3_v2", "gcs_bucket", "gcs_pubsub", "dynamodb", "helicone_v2", "arize",
    "arize_phoenix", "logfire", "traceloop", "langsmith", "literalai", "greenscale", "lago", "openmeter", "galileo",
    "braintrust", "athina", "argilla", "azure_storage", "azure_sentinel", "opik", "humanloop", "deepeval", "agentops",
    "weave", "weave_otel", "cloudzero", "vantage", "generic_api", "sqs", "aws_sqs", "wandb", "supabase", "promptlayer",
    "prompt_injection_detection", "llmguard_moderations", "llamaguard_moderations", "google_text_moderation",
    "dynamic_rate_limiter", "dynamic_rate_limiter_v3", "batch_redis_requests", "smtp_email", "resend_email",
    "sendgrid_email", "levo", "focus", "qualifire",
    "websearch_interception",
})  # fmt: skip
#: Callbacks that hold people back -> where that is here, whether they are named or not.
HOLDING = {
    "blocked_user_check": "blocked_user_list and /customer/block always hold here",
    "max_budget_limiter": "budgets always hold here",
    "parallel_request_limiter": "limits always hold here",
    "parallel_request_limiter_v3": "limits always hold here",
    "max_iterations_limiter": "say rpm_limit or max_budget of its key",
    "cache_control_check": "say allowed_cache_controls of a key",
}
#: Callbacks that are guardrails here -> the guardrail, and its settings.
RAILS: dict[str, dict[str, Any]] = {
    "hide_secrets": {"guardrail": "pii", "entities": ["SECRET"]},
    "detect_prompt_injection": {"guardrail": "prompt-injection"},
    "lakera_prompt_injection": {"guardrail": "lakera"},
    "aporia_prompt_injection": {"guardrail": "aporia"},
    "presidio": {"guardrail": "presidio"},
    "banned_keywords": {"guardrail": "deny-list"},
}
#: LiteLLM's name -> the name of an observer of ours; of a guardrail.
OBSERVERS_NAMED = {
    "langfuse_otel": "langfuse", "datadog_llm_observability": "datadog", "opentelemetry": "otel", "otel_v2": "otel",
}  # fmt: skip
GUARDRAILS_NAMED = {"lakera_v2": "lakera", "openai_moderation": "moderation", "litellm_content_filter": "regex"}
#: Parameters of a deployment that are LiteLLM's own, and would only puzzle a provider.
PARAMS = frozenset({
    "use_in_pass_through", "use_litellm_proxy", "merge_reasoning_content_in_choices",
    "configurable_clientside_auth_params", "litellm_trace_id", "max_file_size_mb", "auto_router_config",
    "auto_router_config_path", "auto_router_default_model", "auto_router_embedding_model",
    "cache_control_injection_points", "supports_system_message", "use_chat_completions_api", "model_config",
    "allowed_model_region", "region_name", "ignore_invalid_deployments",
    "watsonx_region", "complexity_router_config", "complexity_router_default_model", "litellm_system_prompt",
    "default_api_key_tpm_limit", "default_api_key_rpm_limit", "mock_timeout", "mock_response", "base_model",
})  # fmt: skip
#: Settings of a cache -> ours; None: without meaning here.
CACHE: dict[str, str | None] = {
    "disk_cache_dir": "path",
    "redis_semantic_cache_embedding_model": "embedding_model",
    "qdrant_semantic_cache_embedding_model": "embedding_model",
    **dict.fromkeys((
        "max_connections", "redis_startup_nodes", "service_name", "sentinel_nodes", "sentinel_password",
        "gcp_service_account", "gcp_ssl_ca_certs", "ssl_cert_reqs", "ssl_check_hostname", "ssl_ca_certs",
        "qdrant_api_base", "qdrant_api_key", "qdrant_collection_name", "qdrant_quantization_config",
        "qdrant_semantic_cache_vector_size", "redis_flush_size", "default_in_memory_ttl", "default_in_redis_ttl",
        "max_size_in_memory", "redis_semantic_cache_index_name", "redis_semantic_cache_use_async",
        "disable_copilot_system_to_assistant", "s3_api_version", "s3_use_ssl", "s3_verify", "s3_config",
        "gcs_path_service_account", "azure_account_url", "azure_blob_container", "gcs_bucket_name", "gcs_path",
    )),
}  # fmt: skip
#: Types of caches that are another one of ours, and those that there are not.
CACHE_TYPES = {"qdrant-semantic": "semantic", "azure-blob": None, "gcs": "s3"}
#: What a Redis is found by, where the file does not say.
REDIS = {"url": "REDIS_URL", "host": "REDIS_HOST", "port": "REDIS_PORT", "password": "REDIS_PASSWORD"}
#: LiteLLM's name of a manager of secrets -> ours.
MANAGERS = {
    "aws_secret_manager": "aws", "google_secret_manager": "google", "azure_key_vault": "azure",
    "hashicorp_vault": "vault",
}  # fmt: skip
#: Settings of a manager -> ours; None: without meaning here.
MANAGED: dict[str, str | None] = {
    "hosted_keys": "only", "primary_secret_name": "primary", "aws_region_name": "region",
    **dict.fromkeys((
        "store_virtual_keys", "prefix_for_stored_virtual_keys", "access_mode", "description", "tags", "aws_role_name",
        "aws_session_name", "aws_external_id", "aws_profile_name", "aws_web_identity_token", "aws_sts_endpoint",
    )),
}  # fmt: skip


def ours(given: Mapping[str, Any], notes: Notes, secrets: Callable[[str], str | None]) -> dict[str, Any]:
    """Return what a file says, in our words. Raises BadRequestError."""
    found = {name: value for name, value in given.items() if name not in SECTIONS}
    notes += [f"$.{name} {NOTHING}: {why}" for name, why in SECTIONS.items() if name in given]
    credentials = _credentials(found.pop("credential_list", None))
    if isinstance(found.get("model_list"), list):
        found["model_list"] = [
            _entry(entry, f"$.model_list[{place}]", credentials, notes) if isinstance(entry, Mapping) else entry
            for place, entry in enumerate(found["model_list"])
        ]
    added: list[Any] = []
    for name in ("settings", "litellm_settings", "router_settings", "general_settings"):
        if isinstance(found.get(name), Mapping):
            found[name] = _section(name, dict(found[name]), notes, secrets, added)
    _across(found, notes)
    rails = found.get("guardrails") or []
    if isinstance(rails, list):
        rails = [*rails, *added]
        found["guardrails"] = [_rail(rail) if isinstance(rail, Mapping) else rail for rail in rails]
    return found


# --- deployments ---


def _credentials(listed: Any) -> dict[str, Mapping[str, Any]]:
    if listed is None:
        return {}
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        raise BadRequestError("$.credential_list must be a list of {credential_name: ..., credential_values: {...}}")
    found = {}
    for place, one in enumerate(listed):
        name, values = one.get("credential_name"), one.get("credential_values")
        if not isinstance(name, str) or not isinstance(values, Mapping):
            raise BadRequestError(f"$.credential_list[{place}] needs credential_name and credential_values")
        found[name] = values
    return found


def _entry(entry: Mapping[str, Any], path: str, credentials: Mapping[str, Mapping[str, Any]], notes: Notes) -> Any:
    named = "litellm_params" if "litellm_params" in entry else "params"
    if not isinstance(entry.get(named), Mapping):
        return entry
    made, params = dict(entry), dict(entry[named])
    for limit in ("rpm", "tpm"):
        if limit in made:
            params.setdefault(limit, made.pop(limit))
    credential = params.pop("litellm_credential_name", None)
    if credential is not None:
        if not isinstance(credential, str) or credential not in credentials:
            there = ", ".join(credentials) or "none"
            raise BadRequestError(f"{path}.{named}.litellm_credential_name is {credential!r}; there are {there}")
        params = {**credentials[credential], **params}
    for name in sorted(PARAMS & params.keys()):
        del params[name]
        notes.append(f"{path}.{named}.{name} {NOTHING}")
    return {**made, named: params}


def _rail(rail: Mapping[str, Any]) -> dict[str, Any]:
    named = "litellm_params" if "litellm_params" in rail else "params"
    params = rail.get(named)
    kind = params.get("guardrail") if isinstance(params, Mapping) else None
    if not isinstance(kind, str) or kind not in GUARDRAILS_NAMED:
        return dict(rail)
    return {**rail, named: {**rail[named], "guardrail": GUARDRAILS_NAMED[kind]}}


# --- settings ---


def _section(
    name: str, section: dict[str, Any], notes: Notes, secrets: Callable[[str], str | None], rails: list[Any]
) -> dict[str, Any]:
    for key in [key for key in section if key in RESTRICTING]:
        value = section.pop(key)
        if value not in (None, False, [], {}):
            notes.append(f"$.{name}.{key} holds nobody back here")
    banned = section.pop("banned_keywords_list", None)
    for key in ("callbacks", "success_callback", "failure_callback"):
        if key in section:
            given = _railed(section[key], f"$.{name}.{key}", banned, notes, rails)
            section[key] = _callbacks(given, f"$.{name}.{key}", notes)
    if banned and not any(rail["guardrail_name"] == "banned_keywords" for rail in rails):
        notes.append(f"$.{name}.banned_keywords_list holds nobody back: name 'banned_keywords' in callbacks, too")
    if isinstance(section.get("cache_params"), Mapping):
        section["cache_params"] = _cache(dict(section["cache_params"]), section, f"$.{name}", notes, secrets)
    if "enable_pre_call_check" in section:
        section.setdefault("enable_pre_call_checks", section.pop("enable_pre_call_check"))
    if "tag_filtering_match_any" in section and section.pop("tag_filtering_match_any") is False:
        notes.append(f"$.{name}.tag_filtering_match_any {NOTHING}: one tag of several is enough")
    if "default_max_parallel_requests" in section:
        most = section.pop("default_max_parallel_requests")
        section["default_litellm_params"] = {
            "max_parallel_requests": most, **(section.get("default_litellm_params") or {}),
        }  # fmt: skip
    return section


def _railed(given: Any, path: str, banned: Any, notes: Notes, rails: list[Any]) -> Any:
    """Take those of the callbacks out that are guardrails here, and those that always hold. Raises BadRequestError."""
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list):
        return given
    for name in names:
        if not isinstance(name, str):
            continue
        if name in HOLDING:
            notes.append(f"{path}: {name!r} {NOTHING}: {HOLDING[name]}")
        elif name in RAILS:
            params = {**RAILS[name], "mode": "pre_call"}
            if name == "banned_keywords":
                if not banned:
                    raise BadRequestError(f"{path}: 'banned_keywords' needs banned_keywords_list beside it")
                params |= {"file": banned} if isinstance(banned, str) else {"words": banned}
            rails.append({"guardrail_name": name, "params": params})
            notes.append(f"{path}: {name!r} is the guardrail {params['guardrail']!r} here")
    return [name for name in names if not isinstance(name, str) or name not in {*HOLDING, *RAILS}]


def _callbacks(given: Any, path: str, notes: Notes) -> Any:
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list):
        return given
    kept = []
    for name in names:
        ours_ = OBSERVERS_NAMED.get(name, name) if isinstance(name, str) else name
        if not isinstance(ours_, str) or plugins.find(OBSERVERS, ours_) is not None:
            kept.append(ours_)
        elif name in CALLBACKS or "." in ours_:
            notes.append(f"{path}: {name!r} {NOTHING}: no observer of that name is installed")
        else:
            there = [entry.name for entry in plugins.entries(OBSERVERS)]
            near = difflib.get_close_matches(ours_, there, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"installed are {', '.join(there) or 'none'}"
            raise BadRequestError(f"{path}: there is no observer {ours_!r}; {hint}")
    return [name for place, name in enumerate(kept) if name not in kept[:place]]


def _cache(
    given: dict[str, Any], section: dict[str, Any], path: str, notes: Notes, secrets: Callable[[str], str | None]
) -> dict[str, Any]:
    kind = given.get("type")
    if kind == "gcs" and given.get("gcs_bucket_name"):
        given["url"] = f"gs://{given['gcs_bucket_name']}/{given.get('gcs_path') or ''}".rstrip("/")
    if isinstance(kind, str) and kind in CACHE_TYPES:
        if CACHE_TYPES[kind] is None:
            section["cache"] = False
            notes.append(f"{path}.cache_params.type: there is no cache {kind!r} here: nothing is cached")
            return {}
        more = f": {QDRANT}" if kind == "qdrant-semantic" else ""
        notes.append(f"{path}.cache_params.type: {kind!r} is {CACHE_TYPES[kind]!r} here{more}")
        given["type"] = CACHE_TYPES[kind]
    for name in [name for name in given if name in CACHE]:
        value, own = given.pop(name), CACHE[name]
        if own is not None:
            given.setdefault(own, value)
        elif not (kind == "gcs" and name.startswith("gcs_")):
            why = f": {QDRANT}" if name.startswith("qdrant_") else ""
            notes.append(f"{path}.cache_params.{name} {NOTHING}{why}")
    if str(given.get("type", "")).startswith("redis") and not {"url", "host"} & given.keys():
        given |= {own: value for own, name in REDIS.items() if (value := secrets(name))}
        given = {name: value for name, value in given.items() if name != "host" or "url" not in given}
    if isinstance(given.get("port"), str) and given["port"].isdecimal():
        given["port"] = int(given["port"])
    return given


def _across(found: dict[str, Any], notes: Notes) -> None:
    """Put what stands in one of LiteLLM's sections where it stands in ours."""
    given = found.get("general_settings") or {}
    if not isinstance(given, Mapping):
        return
    general = dict(given)
    if "allow_requests_on_db_unavailable" in general:
        allow = general.pop("allow_requests_on_db_unavailable")
        general.setdefault("on_store_failure", "allow" if allow else "deny")
    _required(general)
    _public(general, notes)
    if "max_parallel_requests" in general:
        most, router = general.pop("max_parallel_requests"), dict(found.get("router_settings") or {})
        router["default_litellm_params"] = {
            "max_parallel_requests": most, **(router.get("default_litellm_params") or {}),
        }  # fmt: skip
        found["router_settings"] = router
    if "reject_clientside_metadata_tags" in general:
        general.setdefault("request_tags", not general.pop("reject_clientside_metadata_tags"))
    for name in ("settings", "litellm_settings"):
        section = found.get(name)
        if not isinstance(section, Mapping):
            continue
        section = dict(section)
        if "require_auth_for_metrics_endpoint" in section:
            general.setdefault("metrics_public", not section.pop("require_auth_for_metrics_endpoint"))
        if "budget_duration" in section:
            limits = {key: section.pop(key) for key in ("max_budget", "budget_duration") if key in section}
            general.setdefault("global_limits", limits)
        for key in MOVED:
            if key in section:
                general.setdefault(key, section.pop(key))
        for key, (target, column) in BUDGETS.items():
            if section.get(key) is not None:
                where = TARGETS[target] if TARGETS.get(target, "") in general else target
                general[where] = {column: section.pop(key), **(general.get(where) or {})}
        found[name] = section
        _teams(general, section.pop("default_team_settings", None), f"$.{name}.default_team_settings", notes)
    _people(general, notes)
    if general:
        found["general_settings"] = general


def _teams(general: dict[str, Any], listed: Any, place: str, notes: Notes) -> None:
    """Say in our words what teams have: observers of their own, and what new ones get. Raises BadRequestError.

    https://docs.litellm.ai/docs/proxy/team_logging https://docs.litellm.ai/docs/proxy/team_budgets
    """
    if not listed:
        return
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) and one.get("team_id") for one in listed):
        raise BadRequestError(f"{place} must be a list of {{team_id: ..., success_callback: [...]}}")
    observed = dict(general.get("team_callbacks") or {})
    for number, one in enumerate(listed):
        team, where = str(one["team_id"]), f"{place}[{number}]"
        said = {name: value for name, value in one.items() if name != "team_id" and name in TEAM_PARAMS}
        if said and team == DEFAULT_TEAM:
            general["default_team_params"] = {**said, **(general.get("default_team_params") or {})}
        elif said:
            notes.append(
                f"{where}: {', '.join(said)} of {team!r} {NOTHING}: say it at /team/new, or for {DEFAULT_TEAM!r}"
            )
        rest = {name: value for name, value in one.items() if name != "team_id" and name not in TEAM_PARAMS}
        for name in LISTS & rest.keys():
            rest[name] = _callbacks(rest[name], f"{where}.{name}", notes)
        if rest:
            observed.setdefault(team, rest)
    if observed:
        general["team_callbacks"] = observed


def _people(general: dict[str, Any], notes: Notes) -> None:
    """Say in our words what new users get. https://docs.litellm.ai/docs/proxy/self_serve"""
    name = "default_internal_user_params"
    given = general.get(name)
    if not isinstance(given, Mapping):
        return
    params = dict(given)
    if params.get("user_role") in USER_ROLES:
        params["user_role"] = USER_ROLES[params["user_role"]]
    for key in ("teams", "available_teams", "auto_create_key"):
        if key in params:
            del params[key]
            notes.append(f"$.general_settings.{name}.{key} {NOTHING}: say a team's members, or an issuer's teams_claim")
    general[name] = params


def _required(general: dict[str, Any]) -> None:
    """What every call has to say. https://docs.litellm.ai/docs/proxy/enterprise#required-params-for-llm-requests"""
    wanted = general.pop("enforced_params", None) or []
    if general.pop("enforce_user_param", None):
        wanted = ["user", *wanted] if isinstance(wanted, list) else wanted
    if wanted:
        general.setdefault("required_params", wanted)


def _public(general: dict[str, Any], notes: Notes) -> None:
    """Routes without a key: of those that want one here, metrics alone may be read without."""
    routes = general.pop("public_routes", None) or []
    routes = routes if isinstance(routes, list) else [routes]
    if "/metrics" in routes:
        general.setdefault("metrics_public", True)
    rest = [str(one) for one in routes if one not in ("/metrics", "LiteLLMRoutes.public_routes")]
    if rest:
        notes.append(f"$.general_settings.public_routes: {', '.join(rest)} want a key here like all others")
