"""The user's own prices: files of both forms, names of providers in them, and what of them cannot be read."""

from __future__ import annotations

import json

import pytest

import polyport
from polyport import catalog
from polyport.errors import BadRequestError
from polyport.pricefile import PARAMETERS, flat_prices, of_params, place
from polyport.prices import Used, rates_of

FLAT = {
    "sample_spec": {"input_cost_per_token": 0.0},
    "gpt-4o": {
        "litellm_provider": "openai",
        "mode": "chat",
        "max_input_tokens": 128000,
        "max_output_tokens": 16384,
        "input_cost_per_token": 2.5e-06,
        "output_cost_per_token": 1e-05,
        "cache_read_input_token_cost": 1.25e-06,
        "input_cost_per_token_batches": 1.25e-06,
        "output_cost_per_token_batches": 5e-06,
        "input_cost_per_token_priority": 4.25e-06,
        "supports_function_calling": True,
        "supports_vision": True,
        "search_context_cost_per_query": {
            "search_context_size_low": 0.03,
            "search_context_size_medium": 0.035,
            "search_context_size_high": 0.05,
        },
    },
}


@pytest.fixture(autouse=True)
def forget():
    """Nothing stays registered."""
    yield
    catalog.unregister()


def cost(provider, model, **used):
    """What something costs, in nano-dollars, by what is known now."""
    rates = rates_of(provider, model)
    bill = None if rates is None else rates.bill(Used(**used))
    return None if bill is None else bill.nano


def test_the_flat_form_is_read():
    """USD per token become USD per million, without what floats would add."""
    done = polyport.register_prices(FLAT)
    assert (done.models, done.unread) == (["openai/gpt-4o"], {})
    info = polyport.model_info("gpt-4o")
    assert info.prices == {
        "input": 2.5,
        "output": 10.0,
        "cached_input": 1.25,
        "batch": {"input": 1.25, "output": 5.0},
        "priority": {"input": 4.25},
        "web_search": 0.035,
    }
    assert (info.mode, info.context_window, info.max_output_tokens) == ("chat", 128000, 16384)
    assert {"tools", "vision"} <= set(info.supports)


def test_prices_stand_in_place_of_those_that_are_known_at_once():
    """Whole; what the file does not say of the model stays as it was."""
    before = polyport.model_info("openai/gpt-4o")
    assert cost("openai", "gpt-4o", tokens={"cached_input": 1}) == 1250
    polyport.register_model({"openai/gpt-4o": {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}})
    assert cost("openai", "gpt-4o", tokens={"input": 1, "cached_input": 1, "output": 1}) == 1000 + 1000 + 2000
    assert polyport.model_info("openai/gpt-4o").context_window == before.context_window
    catalog.unregister()
    assert polyport.model_info("openai/gpt-4o").prices == before.prices


def test_a_file_of_our_own_form_is_read(tmp_path):
    """As plugins ship it, with names as calls use them."""
    path = tmp_path / "prices.json"
    entry = {"mode": "chat", "prices": {"input": 1.0, "output": 2.0, "tiers": [{"above": 10, "input": 3.0}]}}
    path.write_text(json.dumps({"source": "https://contract.example", "models": {"openai/ours": entry}}))
    assert polyport.register_prices(path).models == ["openai/ours"]
    assert cost("openai", "ours", tokens={"input": 11}, prompt=11) == 33_000
    assert polyport.model_info("openai/ours").source == "https://contract.example"


def test_long_prompts_have_tiers_in_the_flat_form_too():
    """By how many thousand tokens their names say."""
    prices, unread = flat_prices(
        {
            "input_cost_per_token": 1.25e-06,
            "input_cost_per_token_above_200k_tokens": 2.5e-06,
            "output_cost_per_token_above_200k_tokens": 1.5e-05,
            "cache_creation_input_token_cost_above_1hr": 6e-06,
        }
    )
    assert prices == {"input": 1.25, "cache_write_1h": 6.0, "tiers": [{"above": 200_000, "input": 2.5, "output": 15.0}]}
    assert not unread


@pytest.mark.parametrize(
    ("entry", "prices"),
    [
        ({"mode": "audio_transcription", "input_cost_per_second": 0.0001}, {"second": 0.0001}),
        ({"mode": "audio_speech", "input_cost_per_character": 1.5e-05}, {"character": 1.5e-05}),
        ({"mode": "rerank", "input_cost_per_query": 0.002}, {"search": 0.002}),
        ({"mode": "image_generation", "output_cost_per_image": 0.04}, {"image": 0.04}),
        ({"mode": "image_generation", "input_cost_per_image": 0.04}, {"image": 0.04}),
        ({"mode": "image_generation", "input_cost_per_pixel": 1.9e-08}, {"megapixel": 0.019}),
        ({"mode": "video_generation", "output_cost_per_video_per_second": 0.1}, {"video_second": 0.1}),
        ({"mode": "video_generation", "output_cost_per_second": 0.1}, {"video_second": 0.1}),
        ({"mode": "ocr", "ocr_cost_per_page": 0.001}, {"page": 0.001}),
        ({"mode": "chat", "file_search_cost_per_1k_calls": 2.5}, {"file_search": 0.0025}),
    ],
)
def test_other_units_have_flat_names_too(entry, prices):
    """Some mean another thing in another mode."""
    assert flat_prices(entry) == (prices, [])


def test_what_has_no_unit_here_is_told_and_not_lost_in_silence():
    """An image that a chat reads is billed by its tokens."""
    done = polyport.register_prices(
        {"openai/x": {"mode": "chat", "input_cost_per_image": 0.1, "code_cost_per_hour": 1}}
    )
    assert done.unread == {"openai/x": ["input_cost_per_image", "code_cost_per_hour"]}


def test_prices_by_size_and_quality_are_of_one_model():
    """In flat files each is a model of its own."""
    polyport.register_prices(
        {
            "1024-x-1024/dall-e-9": {
                "litellm_provider": "openai",
                "mode": "image_generation",
                "output_cost_per_image": 0.02,
            },
            "hd/1024-x-1024/dall-e-9": {
                "litellm_provider": "openai",
                "mode": "image_generation",
                "input_cost_per_pixel": 7.629e-08,
            },
        }
    )
    assert cost("openai", "dall-e-9", units={"image": 1}, kinds=("1024x1024",)) == 20_000_000
    assert cost("openai", "dall-e-9", units={"image": 1}, kinds=("hd/1024x1024", "1024x1024")) == 79_995_863


@pytest.mark.parametrize(
    ("name", "provider", "expected"),
    [
        ("gpt-4o", None, ("openai", "gpt-4o")),
        ("openai/gpt-4o", None, ("openai", "gpt-4o")),
        ("openai/gpt-4o", "openai", ("openai", "gpt-4o")),
        ("gemini-x", "vertex_ai-language-models", ("vertex_ai", "gemini-x")),
        ("vertex_ai/gemini-x", "vertex_ai-language-models", ("vertex_ai", "gemini-x")),
        ("davinci", "text-completion-openai", ("openai", "davinci")),
        ("openrouter/openai/gpt-4o", "openrouter", ("openrouter", "openai/gpt-4o")),
        ("x", "nobody", ("nobody", "x")),
    ],
)
def test_a_name_in_a_file_is_of_the_provider_that_is_meant(name, provider, expected):
    """Also where files have endings of their own for it."""
    assert place(name, provider) == expected


@pytest.mark.parametrize(
    ("prices", "why"),
    [
        ({"models": {"openai/x": {"prices": {"inputs": 1}}}}, "inputs"),
        ({"models": {"openai/x": {"context_window": "big"}}}, "context_window"),
        ({"nobodys-model": {"input_cost_per_token": 1e-6}}, "Whose is 'nobodys-model'"),
        ({"openai/x": 5}, "is no object"),
        ({"openai/x": {"input_cost_per_token": "dear"}}, "is no price"),
    ],
)
def test_what_cannot_be_read_is_named_and_nothing_is_registered(prices, why):
    """All or nothing."""
    with pytest.raises(BadRequestError, match=why):
        polyport.register_prices({**FLAT, **prices} if "models" not in prices else prices)
    assert polyport.model_info("gpt-4o").source != "given"


def test_a_file_that_is_not_there_or_not_json_is_an_error(tmp_path):
    """That names it."""
    with pytest.raises(BadRequestError, match="Cannot read prices from"):
        polyport.register_prices(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(BadRequestError, match="is not JSON"):
        polyport.register_prices(tmp_path / "bad.json")


def test_parameters_that_are_prices_are_told_from_others():
    """So that they never reach a provider."""
    given = {"temperature": 1, "input_cost_per_token": 1e-6, "output_cost_per_token_flex": 1e-6}
    assert of_params(given) == {"input": 1.0, "flex": {"output": 1.0}}
    assert of_params({"temperature": 1}) is None
    assert {"input_cost_per_token", "input_cost_per_token_above_200k_tokens", "input_cost_per_second"} <= PARAMETERS
