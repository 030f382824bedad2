"""Where on Google Cloud: the project and the location, and the hosts of locations.

https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations
"""

from __future__ import annotations

from polyport.provider import Setting
from polyport_gemini.door import Door

PROJECT_NAMES = ("vertex_project", "vertex_ai_project")
PROJECT_ENV = ("VERTEXAI_PROJECT", "VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT", "ANTHROPIC_VERTEX_PROJECT_ID")
LOCATION_NAMES = ("vertex_location", "vertex_ai_location")
LOCATION_ENV = ("VERTEXAI_LOCATION", "VERTEX_LOCATION", "GOOGLE_CLOUD_LOCATION", "GOOGLE_CLOUD_REGION")
CREDENTIALS = ("vertex_credentials", "vertex_ai_credentials")
BUCKET_NAMES = ("gcs_bucket_name", "vertex_bucket")
#: Stands for a project that nobody named: the one of the credentials takes its place when the request is signed.
NO_PROJECT = "-"
#: Locations whose host is not made of their name.
HOSTS = {"global": "aiplatform", "us": "aiplatform.us.rep", "eu": "aiplatform.eu.rep"}
HOST = "{}-aiplatform"
#: Where models are that `global` does not have: those called by `predict`, and Veo.
REGION = "us-central1"

SETTINGS = (
    Setting("project", PROJECT_NAMES, PROJECT_ENV, NO_PROJECT),
    Setting("location", LOCATION_NAMES, LOCATION_ENV, "global"),
    Setting("host", LOCATION_NAMES, LOCATION_ENV, "global", form=HOST, values=HOSTS),
    Setting("region", LOCATION_NAMES, LOCATION_ENV, REGION),
    Setting("region_host", LOCATION_NAMES, LOCATION_ENV, REGION, form=HOST, values=HOSTS),
    Setting("bucket", BUCKET_NAMES, ("GCS_BUCKET_NAME", "VERTEXAI_BUCKET")),
)

VERTEX = Door(
    name="Vertex AI",
    unsupported={"store": "Vertex AI logs what the project's settings say"},
    tier_in_body=False,
    shows_server_tools=False,
    settings=frozenset({*PROJECT_NAMES, *LOCATION_NAMES, *CREDENTIALS, *BUCKET_NAMES}),
)

#: Where things are in a project: `location` defaults to global, `region` to a region.
GLOBAL = "projects/{project}/locations/{location}"
REGIONAL = "projects/{project}/locations/{region}"
