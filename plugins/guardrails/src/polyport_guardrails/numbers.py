"""Checksums, by which a number of some kind is told from any other. All take it without separators."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence

#: Country -> length of its IBANs. https://www.swift.com/standards/data-standards/iban-international-bank-account-number
IBAN_LENGTHS: Mapping[str, int] = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip
#: The tables of Verhoeff's checksum. https://en.wikipedia.org/wiki/Verhoeff_algorithm
_TIMES = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 0, 6, 7, 8, 9, 5), (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7), (4, 0, 1, 2, 3, 9, 5, 6, 7, 8), (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2), (7, 6, 5, 9, 8, 2, 1, 0, 4, 3), (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)  # fmt: skip
_PLACE = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 5, 7, 6, 2, 8, 3, 0, 9, 4), (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7), (9, 4, 5, 3, 1, 2, 6, 8, 7, 0), (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5), (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)  # fmt: skip
#: Characters of odd places of an Italian fiscal code -> what they count. Decreto 12/03/1974.
_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16,
         10, 22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip
NIF_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


def luhn(number: str) -> bool:
    """https://en.wikipedia.org/wiki/Luhn_algorithm."""
    doubled = [int(d) * (1 + place % 2) for place, d in enumerate(reversed(number))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def card(number: str) -> bool:
    """A payment card's number: of a network's range, not one digit repeated."""
    return 13 <= len(number) <= 19 and number[0] in "23456" and len(set(number)) > 1 and luhn(number)


def iban(number: str) -> bool:
    """ISO 13616: the country's length, and 1 modulo 97."""
    if IBAN_LENGTHS.get(number[:2]) != len(number):
        return False
    return int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97 == 1


def weighted(number: str, weights: Sequence[int], modulus: int) -> int:
    """Return the weighted sum of the first digits, modulo."""
    return sum(int(d) * w for d, w in zip(number, weights, strict=False)) % modulus


def cpf(number: str) -> bool:
    """Brazil: two check digits."""
    first = -weighted(number, range(10, 1, -1), 11) % 11 % 10
    second = -weighted(number, range(11, 1, -1), 11) % 11 % 10
    return len(set(number)) > 1 and number[9:] == f"{first}{second}"


def pesel(number: str) -> bool:
    """Poland."""
    month = int(number[2:4]) % 20
    return 1 <= month <= 12 and int(number[10]) == -weighted(number, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3), 10) % 10


def german_tax_id(number: str) -> bool:
    """Germany, ISO 7064 MOD 11,10: the first ten digits have one that comes two or three times."""
    most = max(number[:10].count(d) for d in number[:10])
    rest = 10
    for digit in number[:10]:
        rest = ((int(digit) + rest) % 10 or 10) * 2 % 11
    return number[0] != "0" and most in (2, 3) and (11 - rest) % 10 == int(number[10])


def french_nir(number: str) -> bool:
    """France: the key is what 97 leaves; Corsica's departments count as 19 and 18."""
    digits = number[:13].replace("2A", "19").replace("2B", "18")
    return digits.isdecimal() and 97 - int(digits) % 97 == int(number[13:])


def spanish_nif(number: str) -> bool:
    """Spain: the letter of the number, of a foreigner's with X, Y, Z for 0, 1, 2."""
    digits = number[:-1].translate(str.maketrans("XYZ", "012"))
    return NIF_LETTERS[int(digits) % 23] == number[-1]


def fiscal_code(number: str) -> bool:
    """Italy."""
    odd = sum(_ODD[c] for c in number[:15:2])
    even = sum(int(c) if c.isdecimal() else ord(c) - ord("A") for c in number[1:15:2])
    return chr(ord("A") + (odd + even) % 26) == number[15]


def verhoeff(number: str) -> bool:
    """India's Aadhaar."""
    check = 0
    for place, digit in enumerate(reversed(number)):
        check = _TIMES[check][_PLACE[place % 8][int(digit)]]
    return check == 0


def ean13(number: str) -> bool:
    """Switzerland's AHV number."""
    return weighted(number, (1, 3) * 6 + (1,), 10) == 0


def bsn(number: str) -> bool:
    """The Netherlands: eleven's test."""
    return number != "000000000" and weighted(number, (9, 8, 7, 6, 5, 4, 3, 2, -1), 11) == 0


def personnummer(number: str) -> bool:
    """Sweden: a date and Luhn over its last ten digits."""
    ten = number[-10:]
    return 1 <= int(ten[2:4]) <= 12 and 1 <= int(ten[4:6]) % 60 <= 31 and luhn(ten)


def address(text: str) -> bool:
    """An IP address, of either version."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def digits_between(least: int, most: int) -> Callable[[str], bool]:
    """Return a check that there are so many digits."""
    return lambda text: least <= sum(c.isdecimal() for c in text) <= most
