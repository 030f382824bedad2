"""Google Secret Manager, by its REST interface and google-auth: the library for it alone would bring gRPC along.

https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
"""

from __future__ import annotations

import base64
import os
from urllib.parse import quote

import google.auth
from google.auth.transport.requests import AuthorizedSession

from polyport_secrets.managers import Fetch

WHAT = "Google Secret Manager"
ENDPOINT = "https://secretmanager.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
PROJECTS = ("GOOGLE_SECRET_MANAGER_PROJECT_ID", "GOOGLE_CLOUD_PROJECT")
TIMEOUT = 30.0


def fetcher(project: str | None = None, endpoint: str = ENDPOINT, version: str = "latest") -> Fetch:
    """Return what asks for secrets of a project; by default that of the environment, else of the credentials."""
    credentials, own = google.auth.default(scopes=[SCOPE])
    session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    named = project or next((value for name in PROJECTS if (value := os.environ.get(name))), own)
    if not named:
        raise TypeError(f"say which project, or set {PROJECTS[1]}")

    def fetch(name: str) -> str | None:
        path = f"projects/{quote(named, safe='')}/secrets/{quote(name, safe='')}/versions/{version}:access"
        answer = session.get(f"{endpoint}/v1/{path}", timeout=TIMEOUT)
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return base64.b64decode(answer.json()["payload"]["data"]).decode()

    return fetch
