"""Google's credentials through google-auth, whose own requests go over httpx. Imported when a token is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import google.auth
import google.auth.exceptions
import google.auth.transport
import google.oauth2.credentials
import google.oauth2.service_account
import httpx
import msgspec

from polyport.errors import APIConnectionError, AuthenticationError

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
TIMEOUT = 30.0


class _Response(google.auth.transport.Response):
    """httpx's response, as google-auth reads one."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    @property
    def status(self) -> int:
        """The status."""
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""
        return self._response.headers

    @property
    def data(self) -> bytes:
        """The body."""
        return self._response.content


class _Request(google.auth.transport.Request):
    """Sends what google-auth asks for."""

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> google.auth.transport.Response:
        """Send one request. Raises TransportError, as google-auth expects."""
        try:
            sent = httpx.request(method, url, content=body, headers=headers, timeout=timeout or TIMEOUT)
        except httpx.HTTPError as error:
            raise google.auth.exceptions.TransportError(error) from error  # type: ignore[no-untyped-call]
        return _Response(sent)


def find(source: str, hint: str) -> tuple[Any, str | None]:
    """Return (credentials, their project) for a JSON text, a path, or "" for the application default ones."""
    try:
        if not source:
            found: tuple[Any, str | None] = google.auth.default(scopes=SCOPES, request=_Request())
            return found
        info = _read(source)
        make = KINDS.get(str(info.get("type")))
        if make is None:
            raise AuthenticationError(
                f"Google's credentials are of the type {info.get('type')!r}; known here: {', '.join(KINDS)}. "
                "Others are read from the file that GOOGLE_APPLICATION_CREDENTIALS names."
            )
        return make(info), info.get("project_id") or info.get("quota_project_id")
    except (google.auth.exceptions.GoogleAuthError, ValueError) as error:
        raise AuthenticationError(f"Google's credentials cannot be used: {error}. {hint}") from error


def _service_account(info: dict[str, Any]) -> Any:
    return google.oauth2.service_account.Credentials.from_service_account_info(info, scopes=SCOPES)  # type: ignore[no-untyped-call]


def _user(info: dict[str, Any]) -> Any:
    return google.oauth2.credentials.Credentials.from_authorized_user_info(info, scopes=SCOPES)  # type: ignore[no-untyped-call]


#: What a credential's JSON says it is -> what reads it. google-auth advises against reading just any kind.
KINDS: dict[str, Callable[[dict[str, Any]], Any]] = {"service_account": _service_account, "authorized_user": _user}


def _read(source: str) -> dict[str, Any]:
    try:
        text = source.encode() if source.startswith("{") else Path(source).expanduser().read_bytes()
        return msgspec.json.decode(text, type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        what = "the JSON given" if source.startswith("{") else repr(source)
        raise AuthenticationError(f"Google's credentials cannot be read from {what}: {type(error).__name__}") from error


def refresh(credentials: Any, hint: str) -> None:
    """Have credentials get a token. Raises AuthenticationError, or APIConnectionError where Google was not reached."""
    try:
        credentials.refresh(_Request())
    except google.auth.exceptions.TransportError as error:
        raise APIConnectionError(f"Google's token endpoint was not reached: {error}") from error
    except google.auth.exceptions.GoogleAuthError as error:
        raise AuthenticationError(f"Google gave no token: {error}. {hint}") from error
