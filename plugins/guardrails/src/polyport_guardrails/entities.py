"""What `pii` finds: a pattern each, and a checksum where there is one. Patterns are bounded, so that none runs away."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from msgspec import Struct

from polyport_guardrails import numbers

_SEPARATORS = re.compile(r"[ ./-]")


class Entity(Struct, frozen=True):
    """One kind of thing. `check` is given the match without separators, or as it stands (`plain`).

    `needs` is what no text has one without: one of these pieces, where "0" is any digit. Most texts have none of them.
    """

    pattern: re.Pattern[str]
    check: Callable[[str], bool] | None = None
    plain: bool = False
    needs: tuple[str, ...] = ("0",)

    def may_be_in(self, text: str, has_digit: bool) -> bool:
        """Whether a text has what one needs."""
        return any(has_digit if piece == "0" else piece in text for piece in self.needs)

    def accepts(self, text: str) -> bool:
        """Whether a match is one."""
        return self.check is None or self.check(text if self.plain else _SEPARATORS.sub("", text))


def _entity(pattern: str, check: Callable[[str], bool] | None = None, plain: bool = False, needs: str = "0") -> Entity:
    return Entity(re.compile(pattern), check, plain, tuple(needs.split()) or ("",))


#: Digits that are no part of a longer number.
_L, _R = r"(?<![\w.-])", r"(?![\w-])(?!\.\d)"

PERSONAL: Mapping[str, Entity] = {
    "EMAIL": _entity(
        r"(?<![\w.%+-])[\w.%+'-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])", needs="@"
    ),
    "PHONE": _entity(
        r"(?<![\w.+-])(?:(?:\+|00)[1-9][\d ().-]{5,18}\d"  # with a country's code
        r"|(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}"  # North America
        r"|0\d(?:[ .-]\d{2}){4}"  # France
        r"|0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,5})(?!\w)",
        numbers.digits_between(8, 15),
        plain=True,
    ),
    "CREDIT_CARD": _entity(rf"{_L}\d(?:[ -]?\d){{12,18}}{_R}", numbers.card),
    "IBAN": _entity(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,28}(?!\w)", numbers.iban),
    "IP_ADDRESS": _entity(
        r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:]))",
        numbers.address,
        plain=True,
        needs=". :",
    ),
    "MAC_ADDRESS": _entity(
        r"(?<![\w:-])[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}(?![\w:-])", needs=": -"
    ),
}
NATIONAL: Mapping[str, Entity] = {
    "US_SSN": _entity(rf"{_L}(?!000|666|9)\d{{3}}-(?!00)\d{{2}}-(?!0000)\d{{4}}{_R}"),
    "UK_NINO": _entity(
        r"(?<!\w)(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)"
    ),
    "FR_NIR": _entity(
        rf"{_L}[12] ?\d{{2}} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{{2}}|2[AB]) ?\d{{3}} ?\d{{3}} ?\d{{2}}{_R}",
        numbers.french_nir,
    ),
    "DE_TAX_ID": _entity(rf"{_L}\d{{2}} ?\d{{3}} ?\d{{3}} ?\d{{3}}{_R}", numbers.german_tax_id),
    "ES_NIF": _entity(r"(?<!\w)(?:\d{8}|[XYZ]-?\d{7})-?[A-HJ-NP-TV-Z](?!\w)", numbers.spanish_nif),
    "IT_FISCAL_CODE": _entity(
        r"(?<!\w)[A-Z]{6}[0-9LMNP-V]{2}[ABCDEHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z](?!\w)",
        numbers.fiscal_code,
        needs="",
    ),
    "BR_CPF": _entity(rf"{_L}\d{{3}}\.?\d{{3}}\.?\d{{3}}-?\d{{2}}{_R}", numbers.cpf),
    "PL_PESEL": _entity(rf"{_L}\d{{11}}{_R}", numbers.pesel),
    "IN_AADHAAR": _entity(rf"{_L}[2-9]\d{{3}}[ -]?\d{{4}}[ -]?\d{{4}}{_R}", numbers.verhoeff),
    "CA_SIN": _entity(rf"{_L}[1-79]\d{{2}}[ -]\d{{3}}[ -]\d{{3}}{_R}", numbers.luhn),
    "CH_AHV": _entity(rf"{_L}756\.?\d{{4}}\.?\d{{4}}\.?\d{{2}}{_R}", numbers.ean13),
    "SE_PERSONNUMMER": _entity(
        rf"{_L}(?:19|20)?\d{{6}}[-+]\d{{4}}{_R}", lambda text: numbers.personnummer(text.replace("+", ""))
    ),
    "NL_BSN": _entity(rf"{_L}\d{{9}}{_R}", numbers.bsn),
}
SECRETS: Mapping[str, Entity] = {
    "API_KEY": _entity(
        r"(?<![\w-])(?:sk-ant-[\w-]{20,200}|sk-(?:proj-|svcacct-|admin-|or-v1-)?[A-Za-z0-9_-]{20,200}"
        r"|AIza[\w-]{35}|gsk_\w{20,80}|hf_[A-Za-z0-9]{30,60}|r8_[A-Za-z0-9]{30,60}|xai-[A-Za-z0-9]{40,120}"
        r"|[spr]k_(?:live|test)_[A-Za-z0-9]{16,200})(?![\w-])",
        needs="sk- AIza gsk_ hf_ r8_ xai- k_live_ k_test_",
    ),
    "AWS_ACCESS_KEY": _entity(r"(?<!\w)(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?!\w)", needs="AKIA ASIA ABIA ACCA"),
    "ACCESS_TOKEN": _entity(
        r"(?<![\w-])(?:gh[opusr]_[A-Za-z0-9]{36,255}|github_pat_\w{22,255}|glpat-[\w-]{20,64}|xox[abeoprs]-[\w-]{10,250}"
        r"|npm_[A-Za-z0-9]{36}|pypi-[\w-]{50,255}|dop_v1_[0-9a-f]{64}|SG\.[\w-]{16,32}\.[\w-]{16,64})(?![\w-])",
        needs="gho_ ghp_ ghu_ ghs_ ghr_ github_pat_ glpat- xox npm_ pypi- dop_v1_ SG.",
    ),
    # These two may be longer than what is held back of a stream: they match from their beginning on, as far as they go.
    "JWT": _entity(r"(?<![\w-])eyJ[\w-]{10,200}\.eyJ[\w-]*(?:\.[\w-]*)?", needs="eyJ"),
    "PRIVATE_KEY": _entity(
        r"-----BEGIN (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY-----[\w+/=\s]{0,8000}"
        r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----)?",
        needs="PRIVATE",
    ),
}
ENTITIES: Mapping[str, Entity] = {**PERSONAL, **NATIONAL, **SECRETS}
#: Names that stand for several.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "PERSONAL": tuple(PERSONAL),
    "NATIONAL_ID": tuple(NATIONAL),
    "SECRET": tuple(SECRETS),
    "ALL": tuple(ENTITIES),
}
