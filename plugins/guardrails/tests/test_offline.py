"""Patterns, words, personal data, limits and schemas: all without anybody else."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from plugins.guardrails.tests.conftest import completion, entry, verdict

from polyport import BadRequestError, GuardrailError
from polyport.drivers.simulation import Simulation
from polyport.guarding.verdicts import Block, Mask, Pass, edited
from polyport_guardrails import numbers
from polyport_guardrails.entities import ENTITIES
from polyport_guardrails.pii import Pii

#: Entity -> numbers that are published as examples, or made for their checksum; none is anybody's.
EXAMPLES = {
    "EMAIL": ("amy.o'neil+x@mail.example.co.uk", "jörg@bücher.example"),
    "PHONE": ("+49 30 901820", "(212) 555-0100", "212-555-0100", "01 40 20 50 50", "030/901820", "+1 (212) 555 0100"),
    "CREDIT_CARD": ("4111 1111 1111 1111", "5555555555554444", "3782-822463-10005"),
    "IBAN": ("DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "FR1420041010050500013M02606"),
    "IP_ADDRESS": ("192.168.0.1", "2001:db8::8a2e:370:7334"),
    "MAC_ADDRESS": ("00:1B:44:11:3A:B7",),
    "US_SSN": ("078-05-1120",),
    "UK_NINO": ("AB 12 34 56 C",),
    "FR_NIR": ("2 55 08 14 168 025 38", "255081416802538"),
    "DE_TAX_ID": ("86 095 742 719",),
    "ES_NIF": ("12345678Z", "X1234567L"),
    "IT_FISCAL_CODE": ("RSSMRA85T10A562S",),
    "BR_CPF": ("111.444.777-35",),
    "PL_PESEL": ("44051401359",),
    "IN_AADHAAR": ("2345 6789 0124",),
    "CA_SIN": ("130 692 544",),
    "CH_AHV": ("756.9217.0769.85",),
    "SE_PERSONNUMMER": ("811218-9876",),
    "NL_BSN": ("111222333",),
    "API_KEY": ("sk-" + "proj-" + "a1B2" * 8, "AI" + "za" + "x" * 35),
    "AWS_ACCESS_KEY": ("AKIA" + "IOSFODNN7EXAMPLE",),
    "ACCESS_TOKEN": ("gh" + "p_" + "a1" * 18,),
    "JWT": ("eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxIn0.c2lnbmF0dXJl",),
    "PRIVATE_KEY": ("-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA " + "PRIVATE KEY-----",),
}
#: What looks like one of them and is none.
HARMLESS = (
    "version 1.2.3.4.5", "2024-11-23 12:30:00", "the year 2024", "4111 1111 1111 1112", "GB82 WEST 1234 5698 7654 33",
    "call me at 5", "order 1234567890123", "999.999.999.999", "a@b", "12:30", "000-12-3456", "111.444.777-34",
    "see RFC 2822, page 12-14", "f(x) = 3.14159265358979", "sk-short", "Room 101, 10-12 am", "ISBN 978-3-16-148410-0",
)  # fmt: skip


def masked(text, found):
    """The text as it is sent."""
    return edited(text, found.edits) if isinstance(found, Mask) else text


@pytest.mark.parametrize(("entity", "text"), [(name, text) for name, some in EXAMPLES.items() for text in some])
def test_every_entity_is_found_in_a_sentence(entity, text):
    """Alone, at an end, and in brackets; nothing around it is touched."""
    for form in ("{}", "It is {}.", "({})", "a, {}, b"):
        found = verdict("pii", form.format(text), entities=[entity])
        assert masked(form.format(text), found) == form.format(f"[{entity}]"), form


def test_every_entity_has_an_example():
    """So that none is there by name only."""
    assert set(EXAMPLES) == set(ENTITIES)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_one_is_left(text):
    """By checksums, and by what stands around it."""
    assert isinstance(verdict("pii", text), Pass)


def test_words_in_capitals_after_an_iban_stay():
    """It ends where its country's do."""
    text = "IBAN DE89 3704 0044 0532 0130 00 OK THEN"
    assert masked(text, verdict("pii", text, entities=["IBAN"])) == "IBAN [IBAN] OK THEN"


def test_actions_are_by_entity_or_group():
    """Secrets block, addresses are told, the rest is masked."""
    rules = {"actions": {"SECRET": "block", "IP_ADDRESS": "detect"}}
    found = verdict("pii", "a@b.example from 10.0.0.1", **rules)
    assert masked("a@b.example from 10.0.0.1", found) == "[EMAIL] from 10.0.0.1"
    found = verdict("pii", f"{EXAMPLES['API_KEY'][0]} a@b.example", **rules)
    assert isinstance(found, Block)
    assert found.reason == "it has API_KEY in it"
    assert [f.entity for f in verdict("pii", "10.0.0.1", **rules).findings] == ["IP_ADDRESS"]


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("pii", {"entities": ["EMIAL"]}, "No entity 'EMIAL' is known. Did you mean EMAIL"),
        ("pii", {"action": "hide"}, "action is one of block, mask, detect"),
        ("pii", {"entity": ["EMAIL"]}, "cannot be made so.*Settings: entities, action"),
        ("regex", {}, "needs patterns"),
        ("regex", {"patterns": {"X": "("}}, "is none"),
        ("deny-list", {"words": [" "]}, "needs words"),
        ("deny-list", {"file": "/nowhere"}, "cannot be read"),
        ("size-limits", {}, "needs max_characters"),
        ("json-schema", {}, "needs schema"),
        ("json-schema", {"schema": {"type": "objekt"}}, "The schema is none"),
    ],
)
def test_wrong_settings_are_said(name, params, says):
    """Before the first call."""
    with pytest.raises(BadRequestError, match=says):
        verdict(name, "x", **params)


def test_patterns_are_the_users():
    """By name, blocked or masked."""
    found = verdict("regex", "ticket ABC-123", patterns={"TICKET": r"[A-Z]+-\d+"}, action="mask", mask="<{entity}>")
    assert masked("ticket ABC-123", found) == "ticket <TICKET>"
    assert isinstance(verdict("regex", "abc", pattern="B", ignore_case=True), Block)
    assert isinstance(verdict("regex", "abc", pattern="b", roles=["tool"]), Pass)


def test_denied_words_are_whole_words_in_any_case(tmp_path):
    """Unless it is said otherwise; phrases over line breaks, too."""
    (tmp_path / "words.txt").write_text("# ours\nProject  Falcon\n\nfoo\n")
    path = str(tmp_path / "words.txt")
    assert isinstance(verdict("deny-list", "the PROJECT\nfalcon", file=path), Block)
    assert isinstance(verdict("deny-list", "food for projects", file=path), Pass)
    assert isinstance(verdict("deny-list", "food", words=["foo"], whole_words=False), Block)
    assert isinstance(verdict("deny-list", "FOO", words=["foo"], ignore_case=False), Pass)
    assert masked("a foo b", verdict("deny-list", "a foo b", words=["foo"], action="mask")) == "a [DENIED] b"


def test_sizes_are_limited():
    """Of all texts, of one, and their number."""
    assert isinstance(verdict("size-limits", "abc", "de", max_characters=5), Pass)
    assert verdict("size-limits", "abc", "def", max_characters=5).reason == "it has 6 characters, and 5 are allowed"
    assert verdict("size-limits", "abc", "d", max_text=2).findings[0].path == "$.messages[0].content"
    assert isinstance(verdict("size-limits", "a", "b", max_texts=1), Block)


def test_answers_fit_a_schema(guarded):
    """The reason says where it does not, and quotes nothing."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    good = entry("json-schema", "post_call", schema=schema, allow_fences=True)
    for text in ('{"n": 1}', '```json\n{"n": 1}\n```'):
        assert guarded(completion(text), good)[0].completion("openai/m", ASK).text == text
    for text, why in (("hello", "it is not JSON"), ('{"n": "secret"}', r"at \$\.n \(type\)"), ("{}", "required")):
        with pytest.raises(GuardrailError, match=why) as caught:
            guarded(completion(text), good)[0].completion("openai/m", ASK)
        assert "secret" not in str(caught.value)


ASK = [{"role": "user", "content": "mail amy@mail.example about card 4111 1111 1111 1111"}]


def test_by_name_in_a_configuration(guarded):
    """What is sent has no data in it any more."""
    client, wire = guarded(completion("ok"), entry("pii"))
    client.completion("openai/m", ASK)
    assert wire.requests[0].json["messages"] == [{"role": "user", "content": "mail [EMAIL] about card [CREDIT_CARD]"}]


SOME = st.lists(
    st.sampled_from(["hi ", " then\n", *(text for some in EXAMPLES.values() for text in some), " and ", ", "]),
    max_size=6,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(SOME, st.lists(st.integers(0, 500), max_size=12))
def test_personal_data_never_comes_out_of_a_stream(guarded, words, cuts):
    """However it is cut: a reader reads what a whole answer would be after masking."""
    text = " ".join(words)
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    pieces = [text[a:b] for a, b in pairwise(edges)]
    body = b"".join(
        b"data: " + json.dumps({"id": "c", "choices": [{"index": 0, "delta": {"content": piece}}]}).encode() + b"\n\n"
        for piece in pieces
    ) + b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'  # fmt: skip
    client, wire = guarded(body, entry("pii", "post_call"))
    chunks = Simulation(wire.simulated).run_flow(client.flow("completion", model="openai/m", messages=ASK, stream=True))
    said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert said == masked(text, verdict("pii", text))
    assert not [word for word in words if word in said and not isinstance(verdict("pii", word), Pass)]


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
@pytest.mark.parametrize("entity", ENTITIES.values(), ids=ENTITIES.keys())
def test_no_text_is_too_odd_to_be_judged(entity, data):
    """Whatever has an entity's form: digits of any script, cut short, with more numbers behind it."""
    text = data.draw(st.from_regex(entity.pattern)) + data.draw(st.sampled_from(["", " ", " 1", " 4111 1111", "x"]))
    for stop in range(max(0, len(text) - 12), len(text) + 1):
        assert all(0 <= one.start < one.end <= stop for one in Pii().find(text[:stop]))


def test_a_number_hides_none_behind_it():
    """What begins like a phone number in one, and ends in another, hides neither."""
    text = "2345 6789 0124 212-555-0100"
    assert masked(text, verdict("pii", text)) == "[IN_AADHAAR] [PHONE][PHONE]"  # 0124 212-555, too, has the form of one


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (EXAMPLES["API_KEY"][0] + "@mail.example", "[EMAIL]"),
        ("+49 30 901820 2001:db8::8a2e:370:7334", "[PHONE] [IP_ADDRESS]"),
        ("01 40 20 50 50 130 692 544", "[PHONE] [CREDIT_CARD]"),
    ],
)
def test_overlapping_matches_leave_nothing_of_either(text, left):
    """The longest stays whole, and what it leaves of the other is masked, too."""
    assert masked(text, verdict("pii", text)) == left


@pytest.mark.parametrize("entity", ENTITIES.values(), ids=ENTITIES.keys())
def test_no_pattern_runs_away(entity):
    """On long texts that nearly fit."""
    import time

    for piece in ("1", "1 ", "1-", "a", "A1", "a.", "a@", "a@b.", "+1 (", "0:", "DE12", "eyJ", "sk-a", "-----BEGIN A "):
        start = time.process_time()  # the processor's time: a busy machine takes no more of it
        for _ in entity.pattern.finditer(piece * 5000):
            pass
        assert time.process_time() - start < 3.0, piece


def test_one_wrong_digit_is_no_number():
    """Each checksum tells it."""
    for check, good in ((numbers.luhn, "4111111111111111"), (numbers.iban, "DE89370400440532013000"),
                        (numbers.verhoeff, "234567890124"), (numbers.pesel, "44051401359"),
                        (numbers.cpf, "11144477735"), (numbers.ean13, "7569217076985")):  # fmt: skip
        assert check(good)
        assert not check(good[:-1] + str((int(good[-1]) + 1) % 10))
