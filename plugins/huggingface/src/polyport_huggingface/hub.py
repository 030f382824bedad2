"""Who serves a model for a task: asked of the Hub, in the flow.

https://huggingface.co/docs/inference-providers/hub-api#get-model-status
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import quote

import msgspec

from polyport.errors import BadRequestError, NotFoundError, UnsupportedParamsError
from polyport.flow import Flow, HttpReply
from polyport.provider import Provider, decode
from polyport.types.record import Request
from polyport_huggingface.naming import POLICIES, dedicated, read

HUB = "https://huggingface.co"
#: Hugging Face's own provider: it serves models under their names, so that nobody need be asked.
OWN = "hf-inference"


class Served(msgspec.Struct, frozen=True):
    """A model at a provider: its name there, its repository, and the file of its weights where it is an adapter.

    At an endpoint of the user's own, `path` is its root.
    """

    provider: str
    id: str
    repo: str
    weights: str | None = None
    path: str = ""

    def at(self, path: str) -> str:
        """Return a path of the provider's as the router has it."""
        return f"/{self.provider}/{path.lstrip('/')}"


class Entry(msgspec.Struct, rename="camel"):
    """What the Hub says of one provider."""

    provider_id: str
    task: str = ""
    status: str = ""
    provider: str = ""
    adapter_weights_path: str | None = None


class Listed(msgspec.Struct, rename="camel"):
    """A model on the Hub, with its providers in the user's own order."""

    id: str = ""
    inference_provider_mapping: list[Entry] | dict[str, Entry] | None = None

    @property
    def entries(self) -> list[Entry]:
        """The providers; older replies name them by keys."""
        found = self.inference_provider_mapping or []
        if isinstance(found, list):
            return found
        return [msgspec.structs.replace(entry, provider=name) for name, entry in found.items()]


def serve(asker: Provider, request: Request, task: str, known: Collection[str]) -> Flow[Served]:
    """Return who serves the model for a task, of the providers known here.

    The provider that the model's name asks for, else the first in the user's order.
    Raises NotFoundError where nobody does, naming who serves it for what.
    """
    if dedicated(request):
        if OWN not in known:
            raise UnsupportedParamsError(
                f"api_base is not supported for {task}: only providers behind the router do it."
            )
        return Served(OWN, request.model, request.model, path="/")
    name = read(request.model)
    if name.provider in POLICIES - {"preferred"}:
        raise UnsupportedParamsError(f":{name.provider} is a choice that chat has; for {task} name a provider.")
    if name.provider and name.provider not in known and name.provider != "preferred":
        raise BadRequestError(_unknown(name.provider, task, known))
    if name.provider == OWN:
        return Served(OWN, name.repo, name.repo)
    reply: HttpReply = yield asker.get(
        f"{HUB}/api/models/{quote(name.repo)}", params={"expand[]": "inferenceProviderMapping"}
    )
    return choose(decode(reply, Listed).entries, name.repo, name.provider, task, known)


def choose(entries: list[Entry], repo: str, provider: str, task: str, known: Collection[str]) -> Served:
    """Return the provider to take."""
    wanted = "" if provider in POLICIES else provider
    for entry in entries:
        if entry.task == task and entry.provider in known and wanted in ("", entry.provider):
            return Served(entry.provider, entry.provider_id, repo, entry.adapter_weights_path)
    told = ", ".join(f"{entry.provider} ({entry.task})" for entry in entries) or "nobody"
    by = f" by {wanted}" if wanted else f" by any of {', '.join(sorted(known))}"
    raise NotFoundError(f"{repo} is not served for {task}{by}; the Hub lists {told}.", model=repo)


def _unknown(provider: str, task: str, known: Collection[str]) -> str:
    return f"{provider!r} is no provider that does {task} here; there are {', '.join(sorted(known))}."
