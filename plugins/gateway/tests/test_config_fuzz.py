"""Whatever a configuration says, it is taken or refused in words; no other error, and no secret in one."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings, strategies as st

from polyport.errors import PolyportError
from polyport_gateway import config
from polyport_gateway.config import ELSEWHERE, GENERAL, SECTIONS

#: Made anew each time: hypothesis takes what is written in a test for texts to try, names of models among them.
SECRET = "sk-" + secrets.token_hex(16)
NAMES = st.sampled_from(
    [*SECTIONS, *GENERAL, *ELSEWHERE, "model_name", "params", "litellm_params", "model", "api_key", "rpm", "tpm",
     "weight", "routing_strategy", "num_retries", "fallbacks", "timeout", "cache", "cache_params", "type", "guardrail",
     "mode", "guardrail_name", "model_info", "success_callback", "callbacks", "drop_params"]
) | st.text(max_size=8)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["openai/gpt-4o", "local/x", "*", "os.environ/PATH_THAT_IS_NOT_SET", "os.environ/",
                       "least-busy", "1d", "sqlite://", "postgresql://u:p@h/d", "pre_call", "memory"])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
MODELS = st.lists(
    st.fixed_dictionaries(
        {
            "model_name": SCALARS,
            "params": st.fixed_dictionaries({"model": SCALARS}, optional={"api_key": st.just(SECRET) | SCALARS}),
        },
        optional={"model_info": VALUES},
    ),
    max_size=2,
)
CONFIGS = st.dictionaries(NAMES, VALUES, max_size=4) | st.fixed_dictionaries(
    {"model_list": MODELS},
    optional={
        "general_settings": st.dictionaries(st.sampled_from(list(GENERAL)), VALUES, max_size=3)
        | st.just({"master_key": SECRET, "database_url": f"postgresql://user:{SECRET}@host/name"}),
        "router_settings": st.dictionaries(NAMES, VALUES, max_size=2),
        "settings": st.dictionaries(NAMES, VALUES, max_size=2),
        "litellm_settings": VALUES,
        "guardrails": VALUES,
        "environment_variables": VALUES,
    },
)


def tried(read: Any) -> None:
    """Read, and see that what is refused is refused in words without secrets."""
    try:
        found = read()
        config.check(found)
        said = repr(found)
    except PolyportError as error:
        said = str(error)
    assert said
    assert SECRET not in said


@settings(max_examples=400, deadline=None)
@given(CONFIGS)
def test_any_mapping_is_taken_or_refused_in_words(given: dict[str, Any]) -> None:
    """A configuration of any shape raises PolyportError or nothing."""
    tried(lambda: config.read(given))


ODD = ["2001-13-01", "2001-01-01T25:00:00Z", "0x_", "._", "!!bool x", "!!int ''", "!!timestamp x", '"\\UFFFFFFFF"',
       '"\\ud800"', "&a [*a]", "&a {b: *a}", "[" * 3000, "9" * 5000, "!!set {a}", "!!binary aGk="]  # fmt: skip


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("place", ["{}", "model_list: {}", "general_settings: {{master_key: {}}}",
                                   "model_list: [{{model_name: m, params: {{model: {}}}}}]"])  # fmt: skip
def test_what_yaml_cannot_read_is_refused_in_words(place: str, value: str) -> None:
    """Dates and numbers that are none, escapes of no character, anchors within themselves."""
    tried(lambda: config.parse(place.format(value)))


def test_what_is_no_value_is_told_by_its_place_and_not_quoted() -> None:
    """It may be a secret."""
    with pytest.raises(PolyportError, match="no such int in line 2, column 15") as error:
        config.parse(f"general_settings:\n  master_key: !!int {SECRET}")
    assert SECRET not in str(error.value)


@settings(max_examples=200, deadline=None)
@example("2001-13-01")
@example("model_list: &a [*a]")
@given(st.text(max_size=80) | CONFIGS.map(lambda one: yaml.safe_dump(one, allow_unicode=True)[:400]))
def test_any_text_is_taken_or_refused_in_words(text: str) -> None:
    """So does a file that is cut off, or no YAML at all."""
    tried(lambda: config.parse(text))
