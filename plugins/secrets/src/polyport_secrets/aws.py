"""AWS Secrets Manager, by botocore: credentials and region come from where the AWS tools have them.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
"""

from __future__ import annotations

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # botocore has no types
from botocore.session import Session  # type: ignore[import-untyped]

from polyport_secrets.managers import Fetch

WHAT = "AWS Secrets Manager"
#: There is no such secret, or it is about to be deleted.
NONE = frozenset({"ResourceNotFoundException", "InvalidRequestException"})


def fetcher(region: str | None = None, endpoint: str | None = None, profile: str | None = None) -> Fetch:
    """Return what asks for secrets in a region."""
    session = Session(profile=profile)
    region = region or session.get_config_variable("region")
    client = session.create_client("secretsmanager", region_name=region, endpoint_url=endpoint)

    def fetch(name: str) -> str | None:
        try:
            found = client.get_secret_value(SecretId=name)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in NONE:
                return None
            raise
        text: str | None = found.get("SecretString")
        return found["SecretBinary"].decode() if text is None else text

    return fetch
