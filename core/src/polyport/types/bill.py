"""What a call cost and what that is made of: kept with the prices used, so that it can be computed again."""

from __future__ import annotations

import msgspec

NANO = 1_000_000_000


class Line(msgspec.Struct, frozen=True):
    """So much of one unit at one price. `unit` and `price` are the catalog's: USD per million tokens, or per unit."""

    unit: str
    quantity: float
    price: float


class Bill(msgspec.Struct, frozen=True):
    """The cost in whole nano-dollars (10^-9 USD), rounded once, and its lines.

    `source` and `read` say which page the prices are from, and when they were read from it; `service_tier` and
    `above` which of several prices held. `estimated`: the provider told no usage, so the quantities are estimates.
    """

    nano: int
    lines: tuple[Line, ...] = ()
    source: str | None = None
    read: str | None = None
    service_tier: str | None = None
    above: int | None = None
    estimated: bool = False

    @property
    def cost(self) -> float:
        """The same in USD."""
        return self.nano / NANO
