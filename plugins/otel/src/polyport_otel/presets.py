"""Places to look at calls that need only keys: each is Otlp with an address and headers of its own.

Keys are read from the environment under the vendor's own names, or given. None of them takes OTLP metrics beside traces
but where it says so, so only traces are sent.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import Any

import msgspec

from polyport.errors import AuthenticationError
from polyport.observing import Event
from polyport_otel.attributes import Value
from polyport_otel.observer import Otlp


def needed(given: str | None, *names: str, who: str) -> str:
    """Return what was given or the first variable that is set. Raises AuthenticationError naming them."""
    found = given or next((value for name in names if (value := os.environ.get(name))), None)
    if not found:
        raise AuthenticationError(f"{who} needs {' or '.join(names)} to be set in the environment, or to be given.")
    return found


def setting(given: str | None, *names: str, default: str) -> str:
    """Return what was given, the first variable that is set, or the default."""
    return given or next((value for name in names if (value := os.environ.get(name))), default)


class Langfuse(Otlp):
    """Traces to Langfuse: LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY, and LANGFUSE_HOST for another region or your own.

    https://langfuse.com/integrations/native/opentelemetry
    """

    def __init__(
        self, public_key: str | None = None, secret_key: str | None = None, host: str | None = None, **options: Any
    ) -> None:
        public = needed(public_key, "LANGFUSE_PUBLIC_KEY", who="Langfuse")
        secret = needed(secret_key, "LANGFUSE_SECRET_KEY", who="Langfuse")
        address = setting(host, "LANGFUSE_BASE_URL", "LANGFUSE_HOST", default="https://cloud.langfuse.com")
        pair = base64.b64encode(f"{public}:{secret}".encode()).decode()
        headers = {"authorization": f"Basic {pair}", "x-langfuse-ingestion-version": "4"}
        super().__init__(f"{address.rstrip('/')}/api/public/otel", headers, **_traces(options))

    def own_attributes(self, event: Event) -> dict[str, Value]:
        """Return what Langfuse reads beside the conventions' attributes.

        https://langfuse.com/integrations/native/opentelemetry#property-mapping
        """
        found: dict[str, Value] = {"langfuse.observation.type": "generation"}
        if event.user:
            found["langfuse.user.id"] = event.user
        if event.tags:
            found["langfuse.trace.tags"] = event.tags
        session = event.metadata.get("session_id")
        if isinstance(session, str):
            found["langfuse.session.id"] = session
        if event.cost is not None:
            found["langfuse.observation.cost_details"] = _json({"total": event.cost})
        for name, value in event.metadata.items():
            if name not in ("tags", "session_id"):
                found[f"langfuse.trace.metadata.{name}"] = value if isinstance(value, str) else _json(value)
        return found


class Mlflow(Otlp):
    """Traces to an MLflow server (3.6 or newer): MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_ID ("0" is the default one).

    https://mlflow.org/docs/latest/genai/tracing/opentelemetry/ingest
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        experiment_id: str | None = None,
        token: str | None = None,
        **options: Any,
    ) -> None:
        address = setting(tracking_uri, "MLFLOW_TRACKING_URI", default="http://localhost:5000")
        headers = {"x-mlflow-experiment-id": setting(experiment_id, "MLFLOW_EXPERIMENT_ID", default="0")}
        bearer = token or os.environ.get("MLFLOW_TRACKING_TOKEN")
        if bearer:
            headers["authorization"] = f"Bearer {bearer}"
        super().__init__(address, headers, **_traces(options))


class Lunary(Otlp):
    """Traces to Lunary: LUNARY_PUBLIC_KEY, and LUNARY_API_URL for your own.

    https://docs.lunary.ai/docs/integrations/opentelemetry
    """

    def __init__(self, public_key: str | None = None, api_url: str | None = None, **options: Any) -> None:
        key = needed(public_key, "LUNARY_PUBLIC_KEY", "LUNARY_API_KEY", who="Lunary")
        address = setting(api_url, "LUNARY_API_URL", default="https://api.lunary.ai")
        super().__init__(f"{address.rstrip('/')}/v1/otel", {"authorization": f"Bearer {key}"}, **_traces(options))


class Datadog(Otlp):
    """Traces to Datadog's LLM Observability, without an agent: DD_API_KEY, and DD_SITE for another one than US1.

    https://docs.datadoghq.com/llm_observability/instrumentation/otel_instrumentation/ and
    https://docs.datadoghq.com/opentelemetry/setup/otlp_ingest/traces/. `endpoint` is for an agent of yours that takes
    OTLP, http://localhost:4318.
    """

    def __init__(
        self, api_key: str | None = None, site: str | None = None, endpoint: str | None = None, **options: Any
    ) -> None:
        key = needed(api_key, "DD_API_KEY", who="Datadog")
        address = endpoint or f"https://otlp.{setting(site, 'DD_SITE', default='datadoghq.com')}"
        super().__init__(address, {"dd-api-key": key, "dd-otlp-source": "llmobs"}, **_traces(options))


def _traces(options: Mapping[str, Any]) -> dict[str, Any]:
    return {"metrics": False, **options}


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()
