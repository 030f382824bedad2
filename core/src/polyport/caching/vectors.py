"""The nearest vector among some: by numpy where it is installed and there are enough of them, by Python otherwise."""

from __future__ import annotations

import importlib.util
import math
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from operator import mul
from types import ModuleType

#: From so many vectors on, importing numpy (100 ms, once) pays for itself soon.
WORTH_NUMPY = 200


def unit(vector: Sequence[float]) -> list[float]:
    """Return a vector scaled to length 1; one of length 0 as it is."""
    length = math.hypot(*vector)
    return [value / length for value in vector] if length else list(vector)


@lru_cache(maxsize=1)
def _numpy() -> ModuleType | None:
    return importlib.import_module("numpy") if importlib.util.find_spec("numpy") is not None else None


class Vectors:
    """Vectors of one length in one block of 32-bit floats, each with its key."""

    __slots__ = ("_block", "keys", "places", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self.keys: list[str] = []
        self.places: dict[str, int] = {}
        self._block = array("f")

    def add(self, key: str, vector: Sequence[float]) -> None:
        """Keep a vector, in place of the key's earlier one."""
        place = self.places.get(key)
        if place is None:
            self.places[key] = len(self.keys)
            self.keys.append(key)
            self._block.extend(vector)
        else:
            self._block[place * self.width : (place + 1) * self.width] = array("f", vector)

    def remove(self, key: str) -> None:
        """Forget a vector: the last one takes its place."""
        place, width = self.places.pop(key), self.width
        last = self.keys.pop()
        if last != key:
            self.keys[place] = last
            self.places[last] = place
            self._block[place * width : (place + 1) * width] = self._block[-width:]
        del self._block[-width:]

    def find(self, vector: Sequence[float]) -> tuple[str, float] | None:
        """Return (key, dot product) of the nearest."""
        if not self.keys:
            return None
        numpy = _numpy() if len(self.keys) >= WORTH_NUMPY else None
        if numpy is not None:
            products = numpy.frombuffer(self._block, "f4").reshape(-1, self.width) @ numpy.asarray(vector, "f4")
            best = int(products.argmax())
            return self.keys[best], float(products[best])
        width, block = self.width, self._block
        return max(
            (
                (key, sum(map(mul, block[place * width : (place + 1) * width], vector)))
                for place, key in enumerate(self.keys)
            ),
            key=lambda pair: pair[1],
        )


class Nearest:
    """Vectors by partition, at most `limit` in all; the partition's least recently kept make room."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._order: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._partitions: dict[str, Vectors] = {}

    def __len__(self) -> int:
        return len(self._order)

    def find(self, partition: str, vector: Sequence[float]) -> tuple[str, float] | None:
        """Return (key, similarity) of the partition's nearest; None for an empty one, or one of another length."""
        vectors = self._partitions.get(partition)
        if vectors is None or vectors.width != len(vector):
            return None
        found = vectors.find(vector)
        if found is not None:
            self._order.move_to_end((partition, found[0]))
        return found

    def add(self, partition: str, key: str, vector: Sequence[float]) -> None:
        """Keep a vector. A partition whose vectors have another length, of another model, begins anew."""
        if self.limit < 1:
            return
        vectors = self._partitions.get(partition)
        if vectors is not None and vectors.width != len(vector):
            self.clear(partition)
            vectors = None
        if vectors is None:
            vectors = self._partitions[partition] = Vectors(len(vector))
        vectors.add(key, vector)
        self._order[partition, key] = None
        self._order.move_to_end((partition, key))
        while len(self._order) > self.limit:
            self.remove(*next(iter(self._order)))

    def remove(self, partition: str, key: str) -> None:
        """Forget a vector; one that is not there is fine."""
        vectors = self._partitions.get(partition)
        if vectors is None or key not in vectors.places:
            return
        vectors.remove(key)
        del self._order[partition, key]
        if not vectors.keys:
            del self._partitions[partition]

    def clear(self, prefix: str) -> None:
        """Forget every partition whose name begins with `prefix`."""
        for name in [name for name in self._partitions if name.startswith(prefix)]:
            for key in self._partitions.pop(name).keys:
                del self._order[name, key]
