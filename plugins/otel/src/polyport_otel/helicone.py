"""Helicone, which takes calls by a log API of its own.

https://docs.helicone.ai/getting-started/integration-method/manual-logger-curl (read 2026-11-23). Its OTLP endpoint
takes JSON alone and the attributes of one instrumentation (https://docs.helicone.ai/rest/trace/post-v1tracelog), so it
is not used.
"""

from __future__ import annotations

from typing import Any

import httpx
import msgspec

from polyport.observing import Event, Observer
from polyport_otel.observer import content_of
from polyport_otel.presets import needed, setting

#: How long a log may take, in seconds.
TIMEOUT = 10.0


class Helicone(Observer):
    """Logs each call to Helicone: HELICONE_API_KEY, and HELICONE_BASE_URL for another region or your own."""

    def __init__(self, api_key: str | None = None, base_url: str | None = None, *, content: bool | None = None) -> None:
        key = needed(api_key, "HELICONE_API_KEY", who="Helicone")
        address = setting(base_url, "HELICONE_BASE_URL", default="https://api.worker.helicone.ai")
        self.content = content_of(content)
        self._url = f"{address.rstrip('/')}/custom/v1/log"
        self._headers = {"authorization": f"Bearer {key}"}
        self._client: httpx.AsyncClient | None = None

    async def on_success(self, event: Event) -> None:
        """Log a call that was answered."""
        await self._send(event)

    async def on_failure(self, event: Event) -> None:
        """Log a call that failed."""
        await self._send(event)

    async def _send(self, event: Event) -> None:
        if self._client is None:
            self._client = httpx.AsyncClient(headers=self._headers, timeout=TIMEOUT)
        reply = await self._client.post(self._url, json=log_of(event))
        reply.raise_for_status()

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def log_of(event: Event) -> dict[str, Any]:
    """Return an event as Helicone's HeliconeAsyncLogRequest."""
    timing: dict[str, Any] = {"startTime": _time(event.started), "endTime": _time(event.ended)}
    if event.time_to_first_content is not None:
        timing["timeToFirstToken"] = round(event.time_to_first_content * 1000)
    return {
        "providerRequest": {
            "url": "custom-model-nopath",
            "json": {"model": event.answered_by or event.model, **event.request},
            "meta": _meta(event),
        },
        "providerResponse": {
            "headers": {},
            "status": 200 if event.error is None else event.error.status or 500,
            "json": _answer(event),
        },
        "timing": timing,
    }


def _answer(event: Event) -> dict[str, Any]:
    if event.error is not None:
        return {"error": {"type": event.error.kind, "code": event.error.code, "message": event.error.message}}
    return event.response or {}


def _meta(event: Event) -> dict[str, str]:
    """Return Helicone's own headers: who asked, and properties to group by. https://docs.helicone.ai/helicone-headers"""
    meta = {f"Helicone-Property-{name}": _text(value) for name, value in event.metadata.items()}
    meta["Helicone-Property-Provider"] = event.provider
    if event.user:
        meta["Helicone-User-Id"] = event.user
    if event.cost is not None:
        meta["Helicone-Property-Cost-USD"] = f"{event.cost:.9f}"
    return meta


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()


def _time(seconds: float) -> dict[str, int]:
    whole = int(seconds)
    return {"seconds": whole, "milliseconds": int((seconds - whole) * 1000)}
