"""The skeleton of a provider plugin, which `polyport new-plugin` renders.

The files next to this one are `string.Template`s: `common` for every plugin, `compatible` for a provider that speaks
OpenAI's wire, `native` for one with a wire of its own. What is rendered works as it stands: it installs, passes the
contract of `polyport.testing`, and answers.
"""

from __future__ import annotations

import datetime
import keyword
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from string import Template

from polyport.errors import BadRequestError

SUFFIX = ".tmpl"
#: The folder of the templates that becomes the plugin's package.
PACKAGE = "package"
NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
#: Names that the rendered modules import; a class of one of these names gets an ending.
TAKEN = frozenset({"Bearer", "Client", "Exchange", "Flow", "Provider", "Quirks", "Streaming"})


def render(name: str, target: Path, openai_compatible: bool = False) -> list[Path]:
    """Write the plugin `name` into the folder `target`, which must be new or empty; return the files written.

    `name` is the model prefix: lower-case letters, digits and single hyphens or underscores, with or without
    "polyport-" before it. Raises BadRequestError that says what is wrong with the name or the folder.
    """
    words = words_for(name)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BadRequestError(f"{str(target)!r} is there already and is not an empty folder; nothing was written")
    variant = "compatible" if openai_compatible else "native"
    written = []
    for path, template in sorted([*_templates("common"), *_templates(variant)]):
        parts = (words["package"] if part == PACKAGE else part for part in path.parts)
        file = target.joinpath(*parts)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(Template(template).substitute(words), encoding="utf-8")
        except OSError as error:
            raise BadRequestError(f"Cannot write {str(file)!r}: {error.strerror or error}") from error
        written.append(file)
    return written


def words_for(name: str) -> Mapping[str, str]:
    """Return what the templates fill in. Raises BadRequestError for a name that no prefix can have."""
    bare = name.removeprefix("polyport-").removeprefix("polyport_")
    if not NAME.fullmatch(bare):
        raise BadRequestError(
            f"{name!r} cannot be a plugin's name: it becomes the model prefix (name/model) and the package "
            "polyport_name, so use lower-case letters, digits and single hyphens or underscores, a letter first"
        )
    parts = re.split("[-_]", bare)
    kind = "".join(part.capitalize() for part in parts)
    return {
        "name": "_".join(parts),
        "dashed": "-".join(parts),
        "package": "_".join(["polyport", *parts]),
        "kind": f"{kind}Provider" if kind in TAKEN or keyword.iskeyword(kind) else kind,
        "title": " ".join(part.capitalize() for part in parts),
        "upper": "_".join(parts).upper(),
        "today": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "year": str(datetime.datetime.now(tz=datetime.UTC).year),
    }


def _templates(folder: str) -> Iterator[tuple[PurePosixPath, str]]:
    """Give (path without the ending, text) of every template in a folder."""
    yield from _walk(files(__name__) / folder, PurePosixPath())


def _walk(folder: Traversable, at: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, at / entry.name)
        elif entry.name.endswith(SUFFIX):
            yield at / entry.name.removesuffix(SUFFIX), entry.read_text(encoding="utf-8")
