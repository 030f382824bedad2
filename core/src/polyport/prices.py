"""From what was used to what it costs: a model's prices (see `polyport.catalog`) times quantities, as a Bill.

Prices are whole femto-dollars (10^-15 USD) a unit inside, so that sums are exact; a bill is rounded once, to
nano-dollars. An unknown price makes the whole cost unknown: None, never 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

import msgspec

from polyport import catalog
from polyport.catalog import BY_KIND, MODIFIERS, SERVICE_TIERS, TOKENS, UNITS, ModelInfo
from polyport.errors import BadRequestError, NotFoundError
from polyport.types.bill import Bill, Line
from polyport.types.usage import Usage, split_writes

#: Femto-dollars in a USD, and in a nano-dollar.
FEMTO = 10**15
PER_NANO = 10**6
MILLION = 10**6
#: What a unit costs where the vendor lists no price of its own: the first of these that it lists. Reasoning is billed
#: as output. A vendor without a discount bills cached tokens in full, they are not free. One that bills sound or
#: pictures apart lists them. Writing to the cache is dearer than reading wherever it is told apart (seen in recorded
#: traffic of 2026), so nothing stands in for its price.
FALLBACKS: dict[str, tuple[str, ...]] = {
    "reasoning": ("output",),
    "cached_input": ("input",),
    "audio_input": ("input",),
    "image_input": ("input",),
    "video_input": ("input",),
    "cached_audio_input": ("audio_input", "cached_input", "input"),
    "cached_image_input": ("image_input", "cached_input", "input"),
    "audio_output": ("output",),
    "image_output": ("output",),
}
#: What is billed where tokens are not, in this order of precedence: the first that has a price.
MEASURES = ("search", "classification", "image", "megapixel", "video_second", "minute", "second", "character", "page")
#: What is heard by a model that bills what it reads by token and what it hears by time: its tokens of sound are then
#: in no bucket but the total (Mistral's Voxtral, 2026-11-23).
HEARD = ("minute", "second")
#: What comes on top, where it was used.
EXTRAS = ("web_search", "file_search", "cache_storage")
#: Service tiers that cost what the list says.
STANDARD = frozenset({None, "", "auto", "default", "standard", "standard_only", "on_demand", "unspecified"})
#: Tiers that are asked for by one name and answered by another.
#: https://developers.openai.com/api/docs/guides/priority-processing
ALIASES = {"fast": "priority"}


class Used(msgspec.Struct, kw_only=True):
    """What one call used. `tokens` are disjoint buckets; of `units`, None is a quantity that nobody told.

    `kinds` are what an image or a video is, most telling first ("hd/1024x1024", "1024x1024", "hd"); `prompt` the
    tokens of the whole prompt; `told` what the provider says it charged, in USD. Of `usage`, the tokens are yet to be
    counted: that is done for those who ask for a bill.
    """

    tokens: dict[str, int] = {}
    units: dict[str, float | int | None] = {}
    kinds: tuple[str, ...] = ()
    prompt: int = 0
    service_tier: str | None = None
    told: float | None = None
    model: str | None = None
    estimated: bool = False
    usage: Usage | None = None

    def counted(self) -> Used:
        """Return itself, with the tokens of its `usage` in `tokens`."""
        usage = self.usage
        if usage is not None:
            self.tokens = split_writes(usage.charged(), usage)
            self.usage = None
        return self


class Rates:
    """A model's prices, made ready: `bill(used)` gives what it cost."""

    def __init__(self, prices: Mapping[str, Any], source: str | None = None, read: str | None = None) -> None:
        check(prices)
        self.prices = prices
        self.source, self.read = source, read
        self._tiers = sorted(prices.get("tiers") or (), key=_above, reverse=True)
        #: Whether the time of the call counts.
        self.hourly = bool(prices.get("hours"))
        self._hours = [(_minute(row["from"]), _minute(row["to"]), row) for row in prices.get("hours") or ()]
        self._chosen: dict[tuple[int, int, str | None], dict[str, Any]] = {}

    def holds_at(self, service_tier: str | None) -> bool:
        """Return whether these prices say what a service tier costs."""
        if service_tier in STANDARD:
            return True
        tier = ALIASES.get(service_tier or "", service_tier)
        return tier in SERVICE_TIERS and tier in self.prices

    def bill(self, used: Used, clock: Callable[[], float] = time.time) -> Bill | None:
        """Return what it cost; None where a price or a quantity is not known."""
        if used.service_tier in STANDARD:
            tier = None
        elif self.holds_at(used.service_tier):
            tier = ALIASES.get(used.service_tier or "", used.service_tier)
        else:
            return None
        if used.usage is not None:
            used.counted()
        above = next((n for n, row in enumerate(self._tiers) if used.prompt > row["above"]), -1) if self._tiers else -1
        hour = self._hour(clock()) if self._hours else -1
        rates = self._chosen.get((above, hour, tier))
        if rates is None:
            rates = self._chosen[above, hour, tier] = self._choose(above, hour, tier)
        lines: list[Line] = []
        femto = _total(used, rates, lines)
        if femto is None:
            return None
        return Bill(
            nano=(femto + PER_NANO // 2) // PER_NANO,
            lines=tuple(lines),
            source=self.source,
            read=self.read,
            service_tier=tier,
            above=self._tiers[above]["above"] if above >= 0 else None,
            estimated=used.estimated,
        )

    def _hour(self, now: float) -> int:
        minute = int(now // 60) % 1440
        for number, (start, end, _) in enumerate(self._hours):
            if start <= minute < end or (start > end and (minute >= start or minute < end)):
                return number
        return -1

    def _choose(self, above: int, hour: int, tier: str | None) -> dict[str, Any]:
        """Return the prices that hold, by unit as (femto-dollars, as listed)."""
        found: dict[str, Any] = {**self.prices}
        if hour >= 0:
            found |= self._hours[hour][2]
        if above >= 0:
            found |= self._tiers[above]
        if tier is not None:
            found |= self.prices[tier]
            rows = sorted(self.prices[tier].get("tiers") or (), key=_above)
            for row in rows if above >= 0 else ():
                if row["above"] <= self._tiers[above]["above"]:
                    found |= row
        stand_ins = {
            unit: found[name]
            for unit, names in FALLBACKS.items()
            if unit not in found and (name := next((name for name in names if name in found), None)) is not None
        }
        found |= stand_ins
        priced = {unit: price for unit, price in found.items() if price is not None}
        return {unit: _ready(unit, price) for unit, price in priced.items() if unit in TOKENS or unit in UNITS}


def _above(row: Mapping[str, Any]) -> int:
    return int(row["above"])


def _minute(text: str) -> int:
    """Return the minute of the day of "16:30"."""
    hour, _, minute = text.partition(":")
    return int(hour) * 60 + int(minute)


def _ready(unit: str, price: Any) -> Any:
    if isinstance(price, Mapping):
        return {kind: _ready(unit, each) for kind, each in price.items()}
    per = MILLION if unit in TOKENS else 1
    return int((Decimal(repr(price)) * FEMTO / per).to_integral_value()), price


def _total(used: Used, rates: dict[str, Any], lines: list[Line]) -> int | None:
    """Add up in femto-dollars, noting each line; None where something has no price or no quantity."""
    total = 0
    if used.tokens and ("input" in rates or "output" in rates):
        heard = next((unit for unit in HEARD if unit in rates and used.units.get(unit)), None) if used.units else None
        for bucket, count in used.tokens.items():
            rate = rates.get(bucket)
            if rate is None:
                if bucket == "unattributed" and heard is not None:
                    continue
                return None
            total += count * rate[0]
            lines.append(Line(bucket, count, rate[1]))
        if heard is not None:
            total += _times(used.units[heard] or 0, rates[heard][0])
            lines.append(Line(heard, used.units[heard] or 0, rates[heard][1]))
    else:
        unit = next((unit for unit in MEASURES if unit in rates), None)
        if unit is None and "request" not in rates:
            return None
        if unit is not None:
            quantity, rate = used.units.get(unit), _of_kind(rates[unit], used.kinds)
            if quantity is None or rate is None:
                return None
            total += _times(quantity, rate[0])
            lines.append(Line(unit, quantity, rate[1]))
    return _extras(used.units, rates, total, lines) if used.units or "request" in rates else total


def _extras(units: dict[str, Any], rates: dict[str, Any], total: int, lines: list[Line]) -> int | None:
    if "request" in rates:
        total += int(rates["request"][0])
        lines.append(Line("request", 1, rates["request"][1]))
    for unit in EXTRAS if units else ():
        count = units.get(unit)
        if count:
            if unit not in rates:
                return None
            total += _times(count, rates[unit][0])
            lines.append(Line(unit, count, rates[unit][1]))
    return total


def _of_kind(rate: Any, kinds: tuple[str, ...]) -> Any:
    """Return the price for what was made; a price that is one for all is for this, too."""
    if not isinstance(rate, dict):
        return rate
    return next((rate[kind] for kind in kinds if kind in rate), rate.get("*"))


def _times(quantity: float, femto: int) -> int:
    return quantity * femto if isinstance(quantity, int) else round(Fraction(quantity) * femto)


def nano_of(line: Line) -> int:
    """Return what one line of a bill comes to, in nano-dollars, rounded by itself."""
    return (_times(line.quantity, _ready(line.unit, line.price)[0]) + PER_NANO // 2) // PER_NANO


# --- finding a model's prices ---


@lru_cache(maxsize=4096)
def rates_of(provider: str, model: str) -> Rates | None:
    """Return the prices of a model as its plugin or the user knows them; None where there are none."""
    try:
        info: ModelInfo = catalog.info(provider, model)
    except NotFoundError:
        return None
    return None if info.prices is None else Rates(info.prices, info.source, info.read)


catalog.on_change.append(rates_of.cache_clear)


# --- the vocabulary ---


def check(prices: Mapping[str, Any]) -> None:
    """Validate prices. Raises BadRequestError that names what is not of the vocabulary."""
    found = problem(prices)
    if found is not None:
        raise BadRequestError(found)


def problem(prices: Mapping[str, Any], path: str = "$.prices", *, inner: bool = False) -> str | None:
    """Return what is wrong with prices by the vocabulary of `polyport.catalog`; None where nothing is.

    `inner` ones hold at times; there, None says that a unit's price is not known then.
    """
    for name, value in prices.items():
        at = f"{path}.{name}"
        if name in SERVICE_TIERS or name in ("tiers", "hours"):
            rows = [value] if name in SERVICE_TIERS else value
            keys = {"tiers": ("above",), "hours": ("from", "to")}.get(name, ())
            if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
                return f"{at} is {value!r}; see polyport.catalog for its form"
            for row in rows:
                missing = [key for key in keys if key not in row]
                if missing:
                    return f"{at} lacks {missing[0]!r}"
                units = {unit: price for unit, price in row.items() if unit not in keys}
                wrong = problem(units, at, inner=True)
                if wrong is not None:
                    return wrong
        elif name not in TOKENS and name not in UNITS:
            return f"{at} is no unit of a price; there are {', '.join(sorted(TOKENS | UNITS | MODIFIERS))}"
        elif isinstance(value, Mapping) and name in BY_KIND:
            wrong = next((kind for kind, price in value.items() if not _is_price(price)), None)
            if wrong is not None:
                return f"{at}.{wrong} is {value[wrong]!r}, which is no price"
        elif not _is_price(value) and not (inner and value is None):
            return f"{at} is {value!r}, which is no price"
    return None


def _is_price(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
