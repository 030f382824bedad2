"""fal's own client as oracle: where it asks after jobs, we do."""

from __future__ import annotations

import pytest

from polyport_fal.apps import App, known
from polyport_fal.queue import HOST, job_of

fal_client = pytest.importorskip("fal_client.client")
ID = "764cabcf-b745-4b3e-ae38-1200304cf45b"


@pytest.mark.parametrize("path", ["me/mine", "me/mine/fast", "workflows/me/mine", "comfy/me/mine/a/b"])
def test_jobs_of_apps_that_are_not_in_the_table(path):
    """Namespaces, and endpoints within an app."""
    agrees(App(path))


def test_jobs_of_every_app_in_the_table():
    """Status, result and cancellation."""
    for app in known().values():
        agrees(app)


def agrees(app: App) -> None:
    """Compare the addresses of a job of an app."""
    theirs = fal_client.SyncRequestHandle.from_request_id(None, app.path, ID)
    ours = job_of(app, ID)
    assert ours is not None
    base = HOST.rstrip("/")
    assert (base + ours.result, base + ours.status, base + ours.cancel) == (
        theirs.response_url,
        theirs.status_url,
        theirs.cancel_url,
    )
