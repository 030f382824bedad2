"""The header of a GGUF file: what it says about the model, read without loading it.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from polyport.errors import BadRequestError, NotFoundError

#: Value type -> struct format, for the types of fixed size.
_FIXED = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9


class Header(msgspec.Struct, frozen=True):
    """What a GGUF file says of its model; `context` is the number of tokens it was trained to attend to."""

    architecture: str
    name: str | None
    context: int | None
    chat_template: str | None
    pooling: int | None

    @property
    def knows_tools(self) -> bool:
        """Whether the chat template has a place for tools."""
        return self.chat_template is not None and "tools" in self.chat_template


def read_header(path: Path) -> Header:
    """Read a GGUF file's header. Raises NotFoundError for no file, BadRequestError for another kind of file."""
    try:
        with path.open("rb") as file:
            fields = _fields(file, path)
    except FileNotFoundError as error:
        raise NotFoundError(f"No such file: {path}", provider="local") from error
    except OSError as error:
        raise BadRequestError(f"Cannot read {path}: {error.strerror}", provider="local") from error
    except (struct.error, UnicodeDecodeError, KeyError) as error:
        raise BadRequestError(f"{path} is not a complete GGUF file", provider="local") from error
    kind = str(fields.get("general.architecture", "unknown"))
    return Header(
        architecture=kind,
        name=fields.get("general.name"),
        context=fields.get(f"{kind}.context_length"),
        chat_template=fields.get("tokenizer.chat_template"),
        pooling=fields.get(f"{kind}.pooling_type"),
    )


def _fields(file: BinaryIO, path: Path) -> dict[str, Any]:
    if file.read(4) != b"GGUF":
        raise BadRequestError(f"{path} is not a GGUF file (llama.cpp's format)", provider="local")
    _version, _tensors, count = _unpack(file, "<IQQ")
    return {_string(file): _value(file, _unpack(file, "<I")[0]) for _ in range(count)}


def _unpack(file: BinaryIO, form: str) -> tuple[Any, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _string(file: BinaryIO) -> str:
    (length,) = _unpack(file, "<Q")
    data = file.read(length)
    if len(data) != length:
        raise struct.error("truncated string")
    return data.decode()


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        return _skip_array(file)
    return _unpack(file, _FIXED[kind])[0]


def _skip_array(file: BinaryIO) -> None:
    """Step over an array: vocabularies are long and nobody here asks for them."""
    kind, count = _unpack(file, "<IQ")
    if kind in _FIXED:
        file.seek(struct.calcsize(_FIXED[kind]) * count, 1)
        return
    for _ in range(count):
        if kind == _STRING:
            file.seek(_unpack(file, "<Q")[0], 1)
        else:
            _skip_array(file)
