"""From a model's name to (provider, model): "openai/gpt-4o" -> ("openai", "gpt-4o"), and "gpt-4o" -> the same."""

from __future__ import annotations

import difflib

from polyport import plugins
from polyport.errors import BadRequestError, NotFoundError
from polyport.plugins import Providers


def resolve(model: str, providers: Providers, provider: str | None = None) -> tuple[str, str]:
    """Return (provider, the provider's own name of the model).

    `provider` given by the user decides. Otherwise the part before the first slash does, and bare names go by the
    globs that plugins registered. Raises NotFoundError that names what is installed and near misses.
    """
    if not isinstance(model, str) or not model:
        raise BadRequestError(f'A model is text such as "openai/gpt-4o", not {model!r} at $.model')
    if provider is not None:
        return provider, model.removeprefix(f"{provider}/")
    prefix, slash, rest = model.partition("/")
    if slash and providers.has(prefix):
        return prefix, rest
    found = plugins.provider_of(model)
    if found is not None:
        return found, model
    if slash:
        raise plugins.missing(prefix, providers.names(), model)
    raise unknown(model, providers)


def unknown(model: str, providers: Providers) -> NotFoundError:
    """Return the error for a bare name that no glob fits."""
    from polyport import catalog

    known = catalog.names(providers.names())
    patterns = [glob for glob, _ in plugins.globs()]
    near = difflib.get_close_matches(model, [*known, *(name.partition("/")[2] for name in known)], 3)
    hint = (
        f"Did you mean {' or '.join(near)}?" if near else f"Bare names that resolve: {', '.join(patterns) or 'none'}."
    )
    return NotFoundError(f"No provider for {model!r}: write provider/{model}. {hint}", model=model)
