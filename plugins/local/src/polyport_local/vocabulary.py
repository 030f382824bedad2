"""Whisper's tokens: byte-level BPE, from the files that ship with the weights.

Sennrich et al., https://arxiv.org/abs/1508.07909, over bytes written as printable characters (Radford et al., GPT-2).
"""

from __future__ import annotations

import json
import re
from functools import cached_property
from itertools import pairwise
from pathlib import Path

#: How GPT-2 cuts text before it is merged: contractions, words, numbers, other signs, spaces.
_WORDS = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?(?:_|[^\s\w])+|\s+(?!\S)|\s+")


def _byte_characters() -> dict[int, str]:
    """Return the character for each byte: itself where that prints, else the next one from 256 on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(rest)}


_CHARACTERS = _byte_characters()
_BYTES = {character: byte for byte, character in _CHARACTERS.items()}


class Vocabulary:
    """Text to token ids and back, for the model in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tokens = (folder / "vocabulary.txt").read_text(encoding="utf-8").splitlines()
        self._ids = {token: index for index, token in enumerate(self._tokens)}
        self.end = self._ids["<|endoftext|>"]
        self.start = self._ids["<|startoftranscript|>"]
        self.previous = self._ids["<|startofprev|>"]
        self.no_timestamps = self._ids["<|notimestamps|>"]
        self.first_time = self._ids["<|0.00|>"]

    def decode(self, ids: list[int]) -> str:
        """Return the text of the tokens; special ones (times, end) are left out."""
        return self.raw(ids).decode("utf-8", "replace")

    def raw(self, ids: list[int]) -> bytes:
        """Return the bytes of the tokens, which may end within a character."""
        text = "".join(self._tokens[index] for index in ids if index < self.end)
        return bytes(_BYTES[character] for character in text)

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text."""
        ids: list[int] = []
        for word in _WORDS.findall(text):
            ids += [self._ids[part] for part in self._merge([_CHARACTERS[byte] for byte in word.encode()])]
        return ids

    @cached_property
    def _ranks(self) -> dict[tuple[str, str], int]:
        merges = json.loads((self._folder / "tokenizer.json").read_bytes())["model"]["merges"]
        pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in merges)
        return {(left, right): rank for rank, (left, right) in enumerate(pairs)}

    def _merge(self, parts: list[str]) -> list[str]:
        """Join neighbours, the pair learned first before all others, until no pair is known."""
        while len(parts) > 1:
            ranked = [(self._ranks[pair], at) for at, pair in enumerate(pairwise(parts)) if pair in self._ranks]
            if not ranked:
                break
            _, at = min(ranked)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return parts
