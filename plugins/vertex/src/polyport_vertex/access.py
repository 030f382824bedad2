"""How requests to Google Cloud are signed: with what google-auth finds, a service account, a token, or an API key.

https://google.aip.dev/auth and https://cloud.google.com/vertex-ai/generative-ai/docs/start/express-mode/overview
"""

from __future__ import annotations

import threading
from typing import Any

from polyport.auth import Lookup, Signer
from polyport.border import Call as Asked
from polyport.errors import AuthenticationError, BadRequestError
from polyport.flow import Call, Flow, HttpRequest
from polyport_vertex.settings import CREDENTIALS, NO_PROJECT, PROJECT_ENV

#: An API key of Google Cloud's. GOOGLE_API_KEY is not among them: it usually is one of Google AI Studio's.
KEY_ENV = ("VERTEX_API_KEY", "VERTEXAI_API_KEY")
CREDENTIALS_ENV = ("VERTEXAI_CREDENTIALS", "VERTEX_CREDENTIALS")
#: How a token of OAuth's begins, as `gcloud auth print-access-token` prints it.
TOKEN = "ya29."  # noqa: S105  not a password
NOBODYS = f"/projects/{NO_PROJECT}/"


class GoogleAuth(Signer):
    """Signs with what is there, in this order: `api_key` (an API key, a token, a service account's JSON or a path to
    it), `vertex_credentials`, the environment, and at last the application default credentials.

    Tokens are kept until they expire. Credentials bring a project, which stands in where the caller named none; an
    API key without a project goes to express mode, whose URLs have none.
    """

    def __init__(self) -> None:
        self._credentials: dict[str, tuple[Any, str | None]] = {}
        self._lock = threading.Lock()

    def sign(self, request: HttpRequest, lookup: Lookup) -> Flow[None]:
        """Put the key or a token into the headers, and the project into the URL."""
        if "authorization" in request.headers:  # the user brought a token
            request.secrets = (*request.secrets, request.headers["authorization"].removeprefix("Bearer "))
            _settle(request, None)
            return
        source = _source(lookup)
        if source is None or _is_json(source):
            project = yield from self._from_google(request, source or "")
            _settle(request, project)
            return
        request.secrets = (*request.secrets, source)
        if source.startswith(TOKEN):
            request.headers["authorization"] = f"Bearer {source}"
            _settle(request, None)
            return
        request.headers["x-goog-api-key"] = source
        _express(request)
        _settle(request, None)

    def hint(self) -> str:
        """Say what a user without credentials can do."""
        return (
            "Run `gcloud auth application-default login`, set GOOGLE_APPLICATION_CREDENTIALS to a service account's "
            f"file, or pass vertex_credentials=... or api_key=... (or set {KEY_ENV[0]})"
        )

    def _from_google(self, request: HttpRequest, source: str) -> Flow[str | None]:
        found = self._credentials.get(source)
        if found is None or not found[0].valid:
            found = yield Call(lambda: self._refreshed(source))
        credentials, project = found
        headers: dict[str, str] = {}
        credentials.apply(headers)
        request.headers.update({name.lower(): value for name, value in headers.items()})
        request.secrets = (*request.secrets, credentials.token)
        return project

    def _refreshed(self, source: str) -> tuple[Any, str | None]:
        """Return credentials with a token that is good. Blocks: it may ask Google for one."""
        try:
            from polyport_vertex.credentials import find, refresh
        except ModuleNotFoundError as error:
            raise AuthenticationError(
                "Signing in with Google needs google-auth: pip install 'polyport-vertex[google]', or pass api_key=..."
            ) from error
        with self._lock:
            found = self._credentials.get(source) or find(source, self.hint())
            if not found[0].valid:
                refresh(found[0], self.hint())
            self._credentials[source] = found
        return found


def _source(lookup: Lookup) -> str | None:
    """Return what to sign with; None leaves it to google-auth to find."""
    given: Any = lookup.api_key
    if not given and isinstance(lookup, Asked):
        extra = lookup.request.extra
        given = next((extra[name] for name in CREDENTIALS if extra.get(name)), None)
    given = given or next((value for name in (*CREDENTIALS_ENV, *KEY_ENV) if (value := lookup.env(name))), None)
    if isinstance(given, dict):
        import msgspec

        return msgspec.json.encode(given).decode()
    return str(given).strip() if given else None


def _is_json(source: str) -> bool:
    """Whether a key is a service account's JSON, or the path of a file that holds it."""
    return source.startswith("{") or source.endswith(".json")


def _express(request: HttpRequest) -> None:
    """Take the place out of the URL of a request that an API key signs and no project is named for."""
    head, found, tail = request.url.partition(NOBODYS)
    if found and "/publishers/google/" in f"/{tail}":
        request.url = f"{head}/{tail[tail.index('publishers/') :]}"


def _settle(request: HttpRequest, project: str | None) -> None:
    """Put the credentials' project where the caller named none. Raises BadRequestError where they have none either."""
    if NOBODYS not in request.url:
        return
    if project is None:
        raise BadRequestError(
            f"vertex_ai needs to know the project: vertex_project=... or {PROJECT_ENV[0]}; these credentials name none."
        )
    request.url = request.url.replace(NOBODYS, f"/projects/{project}/", 1)
