"""How requests to Azure are signed: with a key, or with a token of Microsoft Entra's.

https://learn.microsoft.com/en-us/azure/ai-foundry/openai/how-to/managed-identity
"""

from __future__ import annotations

import importlib
import inspect
import threading
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from polyport.auth import ApiKey, Auth, Bearer, Lookup, Signer
from polyport.border import Call as Asked
from polyport.errors import AuthenticationError
from polyport.flow import Call, Flow, HttpRequest

KEY_ENV = ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY")
TOKEN_ENV = ("AZURE_AD_TOKEN", "AZURE_OPENAI_AD_TOKEN")
SCOPE_ENV = "AZURE_SCOPE"
TOKEN = "azure_ad_token"  # noqa: S105  the name of a parameter
PROVIDER = "azure_ad_token_provider"
#: Whom tokens are for. Azure's other clouds have others, which AZURE_SCOPE names.
SCOPE = "https://cognitiveservices.azure.com/.default"
#: A token is not used in its last seconds.
MARGIN = 300

#: Gives a token whenever one is wanted, and remembers by itself; `async def` where all calls are asynchronous.
TokenProvider: TypeAlias = Callable[[], Any]


class AzureAuth(Signer):
    """Signs with what is there, in this order: `azure_ad_token` or `azure_ad_token_provider` of the call, `api_key`
    (a key, or a token), the provider of tokens it was made with, a token and then a key of the environment, and at
    last what azure-identity finds.
    """

    header = "api-key"

    def __init__(self, token_provider: TokenProvider | None = None) -> None:
        self._provider = token_provider
        self._credential: Any = None
        self._tokens: dict[str, Any] = {}
        self._lock = threading.Lock()

    def each(self) -> tuple[Auth, ...]:
        """Return both ways: where the user's own headers have one, it stands."""
        return (ApiKey(self.header), Bearer())

    def sign(self, request: HttpRequest, lookup: Lookup) -> Flow[None]:
        """Put the key or a token into the headers."""
        if "authorization" not in request.headers:
            way, secret = yield from self._find(lookup)
            way.apply(request, secret.strip())

    def hint(self) -> str:
        """Say what a user without a key can do."""
        return (
            f"Set {' or '.join(KEY_ENV)}, pass api_key=... or {PROVIDER}=..., or sign in with Entra: "
            "pip install 'polyport-azure[entra]'"
        )

    def _find(self, lookup: Lookup) -> Flow[tuple[ApiKey, str]]:
        given = lookup.request.extra if isinstance(lookup, Asked) else {}
        if given.get(TOKEN):
            return BEARER, str(given[TOKEN])
        if given.get(PROVIDER):
            return BEARER, (yield from _provided(given[PROVIDER]))
        if lookup.api_key:
            return (BEARER if _is_token(lookup.api_key) else KEY), lookup.api_key
        if self._provider is not None:
            return BEARER, (yield from _provided(self._provider))
        if token := _first(lookup, TOKEN_ENV):
            return BEARER, token
        if key := _first(lookup, KEY_ENV):
            return KEY, key
        scope = lookup.env(SCOPE_ENV) or SCOPE
        return BEARER, (yield Call(lambda: self._identify(scope)))

    def _identify(self, scope: str) -> str:
        """Return a token by what azure-identity finds: variables, a managed identity, `az login`. Blocks."""
        try:
            identity = importlib.import_module("azure.identity")
        except ModuleNotFoundError as error:
            raise AuthenticationError(f"No API key for Azure. {self.hint()}") from error
        with self._lock:
            found = self._tokens.get(scope)
            if found is None or found.expires_on - time.time() < MARGIN:
                try:
                    self._credential = self._credential or identity.DefaultAzureCredential()
                    found = self._tokens[scope] = self._credential.get_token(scope)
                except Exception as error:
                    raise AuthenticationError(f"Entra gave no token: {error}. {self.hint()}") from error
        return str(found.token)


KEY = ApiKey(AzureAuth.header)
BEARER = Bearer()


def _first(lookup: Lookup, names: tuple[str, ...]) -> str | None:
    return next((value for name in names if (value := lookup.env(name))), None)


def _is_token(key: str) -> bool:
    """Whether what was given for a key is a token: three parts, of which the first is JSON in base64."""
    return key.startswith("eyJ") and key.count(".") == 2


def _provided(provider: TokenProvider) -> Flow[str]:
    """Return what a provider of tokens gives. It may block, or be `async def`, for asynchronous calls only."""
    if inspect.iscoroutinefunction(provider):
        token = yield Call(_refuse, awaitable=provider)
    else:
        token = yield Call(lambda: _ask(provider))
    if not isinstance(token, str) or not token:
        raise AuthenticationError(f"{PROVIDER} gave no token but a {type(token).__name__}")
    return token


def _ask(provider: TokenProvider) -> Any:
    try:
        return provider()
    except Exception as error:
        raise AuthenticationError(f"{PROVIDER} raised {type(error).__name__}: {error}") from error


def _refuse() -> Any:
    raise AuthenticationError(f"{PROVIDER} is `async def`, and this call is not: pass a plain function")
