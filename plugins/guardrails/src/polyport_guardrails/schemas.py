"""`json-schema`: answers must be JSON of a shape. The validator is jsonschema: pip install polyport-guardrails[schema].

https://json-schema.org/draft/2020-12
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from polyport.errors import BadRequestError, PluginError
from polyport.guarding.guardrail import Guardrail
from polyport.guarding.verdicts import PASS, Block, Mode, Seen, Verdict
from polyport.types.guard import Finding

_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL)


class JsonSchema(Guardrail):
    """Blocks texts that are not JSON, or not of `schema` (or of the one in `file`).

    `applies_to` are the kinds of text that are judged: "content" (an answer's text, the default) or "arguments" (of
    tool calls). `allow_fences` takes JSON out of a Markdown fence first. A stream is judged when it is complete.
    """

    modes: tuple[Mode, ...] = ("post_call",)
    window: int | None = None

    def __init__(
        self,
        schema: Mapping[str, Any] | None = None,
        *,
        file: str | None = None,
        applies_to: Literal["content", "arguments"] = "content",
        allow_fences: bool = False,
    ) -> None:
        super().__init__()
        if (schema is None) == (file is None):
            raise BadRequestError("A json-schema guardrail needs schema={...} or file='...', and not both")
        self._validator = _validator(_read(file) if file is not None else schema)
        self.applies_to = applies_to
        self.allow_fences = allow_fences

    def check(self, seen: Seen) -> Verdict:
        """Judge each text. The reason says where it is wrong, and not what is there."""
        for one in seen.texts:
            if one.kind == self.applies_to and (one.role == "assistant" or seen.side == "request"):
                wrong = self._wrong(one.text if one.json is None else one.json)
                if wrong is not None:
                    return Block(wrong, [Finding("SCHEMA", one.where)])
        return PASS

    def _wrong(self, text: str) -> str | None:
        fenced = _FENCED.fullmatch(text) if self.allow_fences else None
        try:
            value = msgspec.json.decode(fenced[1] if fenced else text)
        except msgspec.DecodeError:
            return "it is not JSON"
        error = next(iter(self._validator.iter_errors(value)), None)
        if error is None:
            return None
        return f"it does not fit the schema at {error.json_path} ({error.validator})"


def _validator(schema: Any) -> Any:
    try:
        jsonschema: Any = importlib.import_module("jsonschema")
    except ModuleNotFoundError as error:
        raise PluginError("json-schema needs jsonschema: pip install 'polyport-guardrails[schema]'") from error
    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise BadRequestError(f"The schema is none, at {error.json_path}: {error.message}") from error
    return kind(schema)


def _read(file: str) -> Any:
    try:
        return msgspec.json.decode(Path(file).read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise BadRequestError(f"The schema {file!r} cannot be read: {error}") from error
