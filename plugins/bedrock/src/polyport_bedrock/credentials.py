"""Credentials through botocore: profiles, roles, single sign-on, processes, containers and machines of AWS.

https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html. Imported when it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import botocore.credentials  # type: ignore[import-untyped]
import botocore.exceptions  # type: ignore[import-untyped]
import botocore.session  # type: ignore[import-untyped]

from polyport.errors import AuthenticationError
from polyport_bedrock.names import HOME
from polyport_bedrock.settings import KEYS
from polyport_bedrock.sigv4 import Keys

SESSION_NAME = "polyport"


class Chain:
    """Credentials that renew themselves, found as arguments say or as botocore looks for them.

    Making one blocks, and so does `keys` where they are not `fresh`. `region` is the profile's. Raises
    AuthenticationError.
    """

    def __init__(self, source: Mapping[str, str], hint: str) -> None:
        self._hint = hint
        try:
            self._session: Any = botocore.session.Session(profile=source.get("aws_profile_name"))
            if source.get(KEYS[0]):
                self._session.set_credentials(*(source.get(name) for name in KEYS))
            self.region: str | None = self._session.get_config_variable("region")
            self._credentials: Any = self._find(source)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise self._failed(error) from error
        if self._credentials is None:
            raise AuthenticationError(f"botocore finds no credentials for AWS. {hint}")

    @property
    def fresh(self) -> bool:
        """Whether the keys can be read without asking anybody for new ones."""
        needed = getattr(self._credentials, "refresh_needed", None)
        return needed is None or not needed()

    def keys(self) -> Keys:
        """Return keys that are good now."""
        try:
            found = self._credentials.get_frozen_credentials()
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise self._failed(error) from error
        return Keys(found.access_key, found.secret_key, found.token)

    def _find(self, source: Mapping[str, str]) -> Any:
        role = source.get("aws_role_name")
        if role is None:
            return self._session.get_credentials()
        extra = {"RoleSessionName": source.get("aws_session_name", SESSION_NAME)}
        if source.get("aws_external_id"):
            extra["ExternalId"] = source["aws_external_id"]
        token = source.get("aws_web_identity_token")
        if token is not None:
            fetcher: Any = botocore.credentials.AssumeRoleWithWebIdentityCredentialFetcher(
                self._creator(source), lambda: _token(token), role, extra
            )
        else:
            own = self._session.get_credentials()
            if own is None:
                raise AuthenticationError(f"Nobody is there to assume {role}. {self._hint}")
            fetcher = botocore.credentials.AssumeRoleCredentialFetcher(self._creator(source), own, role, extra)
        return botocore.credentials.DeferredRefreshableCredentials(fetcher.fetch_credentials, "polyport")

    def _creator(self, source: Mapping[str, str]) -> Any:
        place = {"region_name": source.get("region") or self.region or HOME}
        if source.get("aws_sts_endpoint"):
            place["endpoint_url"] = source["aws_sts_endpoint"]
        return lambda service, **given: self._session.create_client(service, **place, **given)

    def _failed(self, error: Exception) -> AuthenticationError:
        return AuthenticationError(f"botocore cannot get credentials for AWS: {error}. {self._hint}")


def _token(given: str) -> str:
    """Return a token of an identity provider's, given itself or as the path of a file that is read each time."""
    path = Path(given)
    return path.read_text().strip() if given.startswith("/") and path.is_file() else given
