"""Services: what is sent beside what their documentation wants, and what becomes of their replies."""

from __future__ import annotations

import json

import pytest
from plugins.guardrails.tests.conftest import completion, entry

from polyport import GuardrailError, PluginError
from polyport.middleware.guardrails import Guardrails
from polyport.testing import Reply

ASK = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "I am Bob, bob@mail.example"}]
KEY = "key-never-to-be-seen"


def said(result):
    """The first outcome that was told."""
    one = result.meta.guardrails[0]
    return one.outcome, [(f.entity, f.path, f.start, f.end) for f in one.findings]


# --- aporia: https://gr-docs.aporia.com/fundamentals/integration/rest-api ---


def test_aporia_validates_the_prompt(guarded):
    """Beside the call, with its own key."""
    client, wire = guarded(
        lambda sent: {"action": "passthrough", "revised_response": ""} if "aporia" in sent.url else completion("fine"),
        entry("aporia", "during_call", api_key=KEY, project_id="p1"),
    )
    result = client.completion("openai/m", ASK)
    (asked,) = [sent for sent in wire.requests if "aporia" in sent.url]
    assert asked.url == "https://gr-prd.aporia.com/p1/validate"
    assert asked.headers["x-aporia-api-key"] == KEY
    assert asked.json == {"messages": ASK, "validation_target": "prompt", "explain": True}
    assert said(result) == ("passed", [])


def test_aporia_revises_an_answer(guarded):
    """The response and what it is to be; a block is one. The base is the one that the dashboard tells."""
    replies = [completion("secret plan"), {"action": "modify", "revised_response": "plan"}]
    client, wire = guarded(
        replies, entry("aporia", "post_call", api_key=KEY, api_base="https://gr-prd-trial.aporia.com/some-id")
    )
    assert client.completion("openai/m", ASK).text == "plan"
    assert wire.requests[1].url == "https://gr-prd-trial.aporia.com/some-id/validate"
    assert wire.requests[1].json == {
        "messages": [{"role": "assistant", "content": "secret plan"}],
        "response": "secret plan", "validation_target": "response", "explain": True,
    }  # fmt: skip
    blocked = {
        "action": "block",
        "revised_response": "no",
        "explain_log": [{"policy_id": "1", "policy_type": "toxicity"}],
    }
    client, _ = guarded([blocked], entry("aporia", api_key=KEY))
    with pytest.raises(GuardrailError, match="a policy blocked it") as caught:
        client.completion("openai/m", ASK)
    assert [f.entity for f in caught.value.findings] == ["toxicity"]


# --- lakera: https://docs.lakera.ai/docs/api/guard ---


def flagged(*kinds, **more):
    """Guard's reply."""
    rows = [
        {"project_id": "p", "policy_id": "q", "detector_id": "d", "detector_type": k, "detected": True, "message_id": 1}
        for k in kinds
    ]
    return {"flagged": True, "breakdown": rows, **more}


def test_lakera_screens_messages(guarded):
    """What is flagged is blocked, and said by whom."""
    client, wire = guarded(
        [{"flagged": False}, completion("fine")], entry("lakera", api_key=KEY, project_id="project-1")
    )
    client.completion("openai/m", ASK)
    assert wire.requests[0].url == "https://api.lakera.ai/v2/guard"
    assert wire.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert wire.requests[0].json == {"messages": ASK, "breakdown": True, "project_id": "project-1"}
    client, _ = guarded([flagged("prompt_attack")], entry("lakera", api_key=KEY))
    with pytest.raises(GuardrailError, match=r"Lakera flagged it \(prompt_attack\)") as caught:
        client.completion("openai/m", ASK)
    assert caught.value.findings[0].path == "$.messages[1].content"


def test_lakera_masks_what_it_places(guarded):
    """Personal data alone, and only where every finding has its place."""
    place = {
        "start": 10,
        "end": 26,
        "text": "bob@mail.example",
        "detector_type": "pii/email",
        "labels": [],
        "message_id": 1,
    }
    one = entry("lakera", api_key=KEY, action="mask")
    client, wire = guarded([flagged("pii/email", payload=[place]), completion("fine")], one)
    client.completion("openai/m", ASK)
    assert wire.requests[0].json["payload"] is True
    assert wire.requests[1].json["messages"][1]["content"] == "I am Bob, [EMAIL]"
    for reply in (flagged("pii/email", "prompt_attack", payload=[place]), flagged("pii/email", payload=[])):
        with pytest.raises(GuardrailError):
            guarded([reply], one)[0].completion("openai/m", ASK)


# --- presidio: https://microsoft.github.io/presidio/api-docs/api-docs.html ---

FOUND = [{"entity_type": "PERSON", "start": 5, "end": 8, "score": 0.85, "analysis_explanation": None},
         {"entity_type": "EMAIL_ADDRESS", "start": 10, "end": 26, "score": 1.0}]  # fmt: skip


def presidio(sent):
    """The analyzer, the anonymizer, and the model."""
    if sent.path == "/analyze":
        return json.dumps(FOUND if "Bob" in sent.json["text"] else []).encode()
    if sent.path == "/anonymize":
        return {
            "text": "I am ***, <MAIL>",
            "items": [{"operator": "mask", "entity_type": "PERSON", "start": 5, "end": 8}],
        }
    return completion("fine")


def test_presidio_masks_what_its_analyzer_finds(guarded):
    """Each text by itself."""
    one = entry(
        "presidio", api_base="http://analyzer.invalid", entities=["PERSON", "EMAIL_ADDRESS"], score_threshold=0.4
    )
    client, wire = guarded(presidio, one)
    result = client.completion("openai/m", ASK)
    assert wire.requests[1].json == {"text": ASK[1]["content"], "language": "en", "score_threshold": 0.4,
                                     "entities": ["PERSON", "EMAIL_ADDRESS"]}  # fmt: skip
    assert wire.requests[2].json["messages"][1]["content"] == "I am <PERSON>, <EMAIL_ADDRESS>"
    assert said(result)[1] == [
        ("PERSON", "$.messages[1].content", 5, 8),
        ("EMAIL_ADDRESS", "$.messages[1].content", 10, 26),
    ]


def test_presidio_blocks_some_and_has_others_anonymized(guarded):
    """By its anonymizer's operators."""
    base = {"api_base": "http://analyzer.invalid"}
    with pytest.raises(GuardrailError, match="it has PERSON in it"):
        guarded(presidio, entry("presidio", **base, actions={"PERSON": "block"}))[0].completion("openai/m", ASK)
    operators = {"PERSON": {"type": "mask", "masking_char": "*", "chars_to_mask": 3, "from_end": False}}
    one = entry("presidio", **base, anonymizer_api_base="http://anonymizer.invalid/", operators=operators)
    client, wire = guarded(presidio, one)
    client.completion("openai/m", ASK)
    assert wire.requests[2].url == "http://anonymizer.invalid/anonymize"
    assert wire.requests[2].json == {
        "text": ASK[1]["content"], "anonymizers": operators,
        "analyzer_results": [{k: v for k, v in one.items() if k != "analysis_explanation"} for one in FOUND],
    }  # fmt: skip
    assert wire.requests[3].json["messages"][1]["content"] == "I am ***, <MAIL>"


def test_presidio_without_a_service_says_what_to_install():
    """Before the first call."""
    with pytest.raises(PluginError, match="PRESIDIO_ANALYZER_API_BASE"):
        Guardrails([entry("presidio")])


# --- bedrock: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ApplyGuardrail.html ---

AWS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": KEY, "aws_region_name": "eu-west-1"}


def applied(action, outputs, **policies):
    """ApplyGuardrail's reply."""
    return {"action": action, "outputs": [{"text": t} for t in outputs], "assessments": [policies], "usage": {}}


def test_bedrock_applies_a_guardrail_signed(guarded):
    """By access keys of the entry, in its region."""
    one = entry("bedrock", guardrailIdentifier="gr1", guardrailVersion="2", **AWS)
    client, wire = guarded([applied("NONE", []), completion("fine")], one)
    client.completion("openai/m", ASK)
    asked = wire.requests[0]
    assert asked.url == "https://bedrock-runtime.eu-west-1.amazonaws.com/guardrail/gr1/version/2/apply"
    assert asked.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert asked.json == {"source": "INPUT", "content": [{"text": {"text": m["content"]}} for m in ASK]}


def test_bedrock_blocks_and_anonymizes(guarded):
    """What it quotes is not told."""
    topic = {"topicPolicy": {"topics": [{"name": "Advice", "type": "DENY", "action": "BLOCKED"}]}}
    one = entry("bedrock-guardrails", guardrail_id="gr1", **AWS)
    with pytest.raises(GuardrailError, match=r"intervened \(Advice\)"):
        guarded([applied("GUARDRAIL_INTERVENED", ["Sorry"], **topic)], one)[0].completion("openai/m", ASK)
    names = {"sensitiveInformationPolicy": {"piiEntities": [{"type": "NAME", "match": "Bob", "action": "ANONYMIZED"}]}}
    replies = [
        applied("GUARDRAIL_INTERVENED", ["be brief", "I am {NAME}, bob@mail.example"], **names),
        completion("fine"),
    ]
    client, wire = guarded(replies, one)
    result = client.completion("openai/m", ASK)
    assert wire.requests[1].json["messages"][1]["content"] == "I am {NAME}, bob@mail.example"
    assert "Bob" not in repr(result.meta.guardrails)


def test_bedrock_anonymizes_each_text_where_one_output_stands_for_all(guarded):
    """Nobody could tell the texts apart in it."""
    names = {"sensitiveInformationPolicy": {"piiEntities": [{"type": "NAME", "match": "Bob", "action": "ANONYMIZED"}]}}
    replies = [
        applied("GUARDRAIL_INTERVENED", ["be brief I am {NAME}"], **names), applied("NONE", []),
        applied("GUARDRAIL_INTERVENED", ["I am {NAME}"], **names), completion("fine"),
    ]  # fmt: skip
    client, wire = guarded(replies, entry("bedrock", guardrail_id="gr1", **AWS))
    client.completion("openai/m", ASK)
    assert [m["content"] for m in wire.requests[3].json["messages"]] == ["be brief", "I am {NAME}"]


# --- moderation: https://platform.openai.com/docs/guides/moderation ---


def moderated(*hits):
    """OpenAI's reply."""
    return {"id": "m", "model": "omni", "results": [
        {"flagged": hit, "categories": {"violence": hit, "hate": False},
         "category_scores": {"violence": 0.9 if hit else 0.1, "hate": 0.2}}
        for hit in hits]}  # fmt: skip


def test_moderation_is_the_clients_own(guarded):
    """By its key; nobody guards the guardrail's call."""
    client, wire = guarded([moderated(False, True)], entry("openai-moderation", model="omni-moderation-latest"))
    with pytest.raises(GuardrailError, match=r"flagged it \(violence\)") as caught:
        client.completion("openai/m", ASK)
    assert wire.requests[0].path == "/v1/moderations"
    assert wire.requests[0].headers["authorization"] == "Bearer k"
    assert wire.requests[0].json == {"model": "omni-moderation-latest", "input": [m["content"] for m in ASK]}
    assert (caught.value.findings[0].path, caught.value.findings[0].score) == ("$.messages[1].content", 0.9)


def test_moderation_counts_by_categories_and_thresholds(guarded):
    """The user's own."""
    params = ({"categories": ["hate"]}, {"thresholds": {"violence": 0.95}})
    for one in params:
        client, _ = guarded([moderated(True, True), completion("fine")], entry("moderation", **one))
        assert client.completion("openai/m", ASK).text == "fine"
    client, _ = guarded([moderated(False, False)], entry("moderation", thresholds={"hate": 0.15}))
    with pytest.raises(GuardrailError, match="hate"):
        client.completion("openai/m", ASK)


# --- all of them ---

SERVICES = [
    entry("aporia", api_key=KEY), entry("lakera", api_key=KEY), entry("presidio", api_base="http://a.invalid"),
    entry("bedrock", guardrail_id="g", **AWS), entry("moderation"),
]  # fmt: skip


@pytest.mark.parametrize("one", SERVICES, ids=lambda one: one["guardrail_name"])
@pytest.mark.parametrize(
    "reply",
    [
        Reply.of({"error": f"no {KEY} for bob@mail.example"}, status=401), Reply.of(b"<html>"), Reply.of({"a": 1}),
        Reply(refused=True), Reply.of({"flagged": "perhaps", "action": "perhaps"}),
    ],
    ids=["401", "html", "other json", "refused", "nonsense"],
)  # fmt: skip
def test_a_service_that_fails_blocks(guarded, one, reply):
    """Neither key nor text is told, here or in what it came from."""
    client, wire = guarded(lambda sent: reply, one)
    with pytest.raises(GuardrailError) as caught:
        client.completion("openai/m", ASK)
    error = caught.value
    assert error.reason == "could not judge"
    told = f"{error} {error.__cause__} {vars(error.__cause__)}"
    assert KEY not in told
    assert "bob@mail" not in told
    assert not any("chat/completions" in sent.url for sent in wire.requests)


@pytest.mark.parametrize("one", SERVICES, ids=lambda one: one["guardrail_name"])
def test_a_service_that_may_fail_lets_calls_pass(guarded, one):
    """Where that is said."""
    one = {**one, "litellm_params": {**one["litellm_params"], "on_failure": "allow"}}
    client, _ = guarded(
        lambda sent: completion("fine") if "chat/compl" in sent.url else Reply.of(b"x", status=503), one
    )
    result = client.completion("openai/m", ASK)
    assert (result.text, said(result)[0]) == ("fine", "failed")
