"""The cost of calls: every operation, streams, prices given with a call, and what is said by hand."""

from __future__ import annotations

import json
import pickle

import pytest
from core.tests.conftest import ASK, DONE, KEY, ROLE, Fake, completion, event

import polyport
from polyport import catalog, metering
from polyport.catalog import ModelInfo
from polyport.drivers.simulation import Answer, Simulation
from polyport.errors import BadRequestError, InternalServerError, NotFoundError
from polyport.flow import HttpReply
from polyport.metering import METERS, READERS
from polyport.operations import BY_FUNCTION, BY_HOOK
from polyport.testing import Wire
from polyport.testing.wire import Reply
from polyport.types.responses import Item

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
PRICES = {"input": 2.0, "output": 8.0}
SPENT = 1000 * 2000 + 100 * 8000


@pytest.fixture(autouse=True)
def known():
    """A model whose prices are known; nothing stays registered."""
    catalog.register({("fake", "m"): ModelInfo(prices=PRICES, source="https://prices.example", read="2026-11-22")})
    yield
    catalog.unregister()


def costed(*replies, **settings):
    """A client that says what calls cost, and its wire."""
    wire = Wire(list(replies) or completion(usage=USAGE))
    return polyport.Client(providers={"fake": Fake}, api_key=KEY, http=wire, **settings), wire


def sse(*events):
    """Events as they stand on the wire."""
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events)


def last(usage):
    """The closing chunk of a stream that tells its usage."""
    return sse({"id": "c1", "model": "m", "choices": [], "usage": usage})


# --- the layer ---


def test_a_call_says_what_it_cost(mode):
    """In USD, with its bill."""
    client, _ = costed()
    with client:
        meta = mode.chat(client).meta
    assert meta.cost == SPENT / 1e9
    assert meta.bill.nano == SPENT
    assert (meta.bill.source, meta.bill.read) == ("https://prices.example", "2026-11-22")
    assert meta.provider_cost is None


def test_a_stream_says_at_its_end_what_it_cost():
    """By the usage that closes it; before that, nothing is known."""
    text = ROLE + event("hi")
    client, _ = costed(Reply.of(text + last(USAGE) + b"data: [DONE]\n\n", cuts=[len(text)]))
    with client:
        stream = client.completion("fake/m", ASK, stream=True)
        next(iter(stream))
        assert stream.meta.cost is None
        list(stream)
        assert stream.meta.cost == SPENT / 1e9
        assert not stream.meta.bill.estimated


def test_a_stream_that_tells_no_usage_is_estimated_by_its_letters():
    """And its bill says so."""
    text = "a" * 400
    client, _ = costed(ROLE + event(text) + DONE)
    with client:
        stream = client.completion("fake/m", [{"role": "user", "content": "b" * 40}], stream=True)
        list(stream)
    assert stream.meta.bill.estimated
    made = next(line.quantity for line in stream.meta.bill.lines if line.unit == "output")
    assert made == 100


def test_a_stream_that_its_reader_leaves_is_accounted_for(mode):
    """Its meta holds an estimate of what was read."""
    seen = []

    def watch(call, proceed):
        seen.append(call.meta)
        return (yield from proceed(call))

    wire = Wire(ROLE + event("hello") * 50 + DONE)
    with polyport.Client(providers={"fake": Fake}, api_key=KEY, http=wire, middleware=[watch]) as client:
        mode.stream(client, take=3)
    assert seen[0].cost > 0
    assert seen[0].bill.estimated


def test_the_simulation_says_the_same():
    """One flow under every driver."""
    client = polyport.Client(providers={"fake": Fake}, api_key=KEY)
    body = json.dumps(completion(usage=USAGE)).encode()
    simulation = Simulation(lambda request, now: Answer(0.1, HttpReply(status=200, content=body)))
    assert simulation.run_flow(client.flow("completion", model="fake/m", messages=ASK)).meta.cost == SPENT / 1e9


def test_a_model_of_which_no_price_is_known_costs_none():
    """Not 0."""
    client, _ = costed()
    with client:
        meta = client.completion("fake/other", ASK).meta
    assert meta.cost == SPENT / 1e9, "the model that answered is known"
    client, _ = costed(completion(usage=USAGE, model="unheard-of"))
    with client:
        meta = client.completion("fake/other", ASK).meta
    assert (meta.cost, meta.bill) == (None, None)


def test_a_reply_without_usage_costs_none():
    """Nobody knows."""
    client, _ = costed(completion())
    with client:
        assert client.completion("fake/m", ASK).meta.cost is None


def test_what_the_provider_says_it_charged_is_kept_beside_it():
    """And stands for the cost where no price is known."""
    client, _ = costed(completion(usage={**USAGE, "cost": 0.5}), completion(usage={**USAGE, "cost": 0.5}, model="x"))
    with client:
        meta = client.completion("fake/m", ASK).meta
        assert (meta.cost, meta.provider_cost) == (SPENT / 1e9, 0.5)
        meta = client.completion("fake/other", ASK).meta
        assert (meta.cost, meta.provider_cost, meta.bill) == (0.5, 0.5, None)


@pytest.mark.parametrize(
    "given",
    [
        {"prices": {"input": 1.0, "output": 2.0}},
        {"prices": {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}},
        {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_prices_given_with_a_call_hold_and_are_not_sent(given, stream):
    """By our names, or those that deployments use; other unknown arguments are sent as ever."""
    client, wire = costed(ROLE + event("hi") + last(USAGE) + b"data: [DONE]\n\n" if stream else completion(usage=USAGE))
    with client:
        result = client.completion("fake/m", ASK, stream=stream or None, top_secret=1, **given)
        if stream:
            list(result)
    assert result.meta.cost == (1000 * 1000 + 100 * 2000) / 1e9
    sent = {"model": "m", "messages": ASK, "top_secret": 1, **({"stream": True} if stream else {})}
    assert wire.requests[0].json == sent


def test_a_price_that_is_none_is_an_error_that_names_it():
    """Not a cost of nothing."""
    client, _ = costed()
    with client:
        with pytest.raises(BadRequestError, match=r"prices\.inputs"):
            client.completion("fake/m", ASK, prices={"inputs": 1.0})
        with pytest.raises(BadRequestError, match="input_cost_per_token"):
            client.completion("fake/m", ASK, input_cost_per_token="dear")


def test_a_call_that_failed_costs_none():
    """What it used, nobody told."""
    metas = []

    def watch(call, proceed):
        metas.append(call.meta)
        return (yield from proceed(call))

    wire = Wire(lambda request: Reply.of({"error": {"message": "no"}}, status=500))
    with (
        polyport.Client(providers={"fake": Fake}, api_key=KEY, http=wire, middleware=[watch], num_retries=0) as client,
        pytest.raises(InternalServerError),
    ):
        client.completion("fake/m", ASK)
    assert metas[0].cost is None


def test_an_attempt_that_was_charged_and_discarded_is_in_the_cost():
    """A layer further out asked twice: both are paid for."""

    def twice(call, proceed):
        yield from proceed(call)
        return (yield from proceed(call))

    wire = Wire(completion(usage=USAGE))
    with polyport.Client(providers={"fake": Fake}, api_key=KEY, http=wire, middleware=[twice]) as client:
        meta = client.completion("fake/m", ASK).meta
    assert meta.cost == pytest.approx(2 * SPENT / 1e9)
    assert meta.bill.nano == SPENT


def test_a_service_tier_that_the_reply_tells_decides_its_price():
    """Asking for one is not getting it."""
    catalog.register({("fake", "m"): ModelInfo(prices={**PRICES, "flex": {"input": 1.0, "output": 4.0}})})
    client, _ = costed(completion(usage=USAGE, service_tier="flex"), completion(usage=USAGE, service_tier="default"))
    with client:
        assert client.completion("fake/m", ASK, service_tier="flex").meta.cost == SPENT / 2e9
        assert client.completion("fake/m", ASK, service_tier="flex").meta.cost == SPENT / 1e9


# --- every operation ---

FILE = ("a.wav", b"RIFF\0\0\0\0WAVE")
PNG = ("a.png", b"\x89PNG\r\n\x1a\n")
TOKENS = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
VIDEO = {"id": "v1", "object": "video", "status": "queued", "seconds": "4", "size": "720x1280", "model": "m"}
OPERATIONS = [
    (
        "text_completion",
        {"prompt": "hi"},
        {"id": "t", "object": "text_completion", "choices": [], "usage": USAGE},
        PRICES,
        SPENT,
    ),
    (
        "responses",
        {"input": "hi"},
        {"id": "r", "object": "response", "model": "m", "output": [], "usage": TOKENS},
        PRICES,
        SPENT,
    ),
    (
        "responses",
        {"input": "hi"},
        {
            "id": "r",
            "object": "response",
            "model": "m",
            "usage": TOKENS,
            "output": [
                {"type": "web_search_call", "action": {"type": "search"}},
                {"type": "file_search_call"},
                {"type": "web_search_call", "action": {"type": "open_page"}},
            ],
        },
        {**PRICES, "web_search": 0.01, "file_search": 0.0025},
        SPENT + 12_500_000,
    ),
    (
        "embedding",
        {"input": "hi"},
        {"object": "list", "data": [], "usage": {"prompt_tokens": 500, "total_tokens": 500}},
        {"input": 0.1},
        50_000,
    ),
    (
        "image_generation",
        {"prompt": "a cat", "size": "1024x1024", "quality": "hd", "n": 2},
        {"data": [{"url": "a"}, {"url": "b"}]},
        {"image": {"1024x1024": 0.04, "hd/1024x1024": 0.08}},
        160_000_000,
    ),
    (
        "image_generation",
        {"prompt": "a cat"},
        {
            "data": [{"url": "a"}],
            "usage": {
                "input_tokens": 100,
                "output_tokens": 1000,
                "total_tokens": 1100,
                "input_tokens_details": {
                    "text_tokens": 20,
                    "image_tokens": 80,
                    "cached_tokens": 60,
                    "cached_tokens_details": {"image_tokens": 60, "text_tokens": 0},
                },
            },
        },
        {"input": 5.0, "image_input": 8.0, "cached_input": 1.25, "cached_image_input": 2.0, "output": 30.0},
        20 * 5000 + 20 * 8000 + 60 * 2000 + 1000 * 30_000,
    ),
    (
        "image_edit",
        {"image": PNG, "prompt": "a dog", "size": "1024x1024"},
        {"data": [{"url": "a"}]},
        {"megapixel": 0.02},
        20_971_520,
    ),
    ("image_variation", {"image": PNG}, {"data": [{"url": "a"}]}, {"image": 0.02}, 20_000_000),
    (
        "transcription",
        {"file": FILE},
        {"text": "hi", "usage": {"type": "duration", "seconds": 90}},
        {"minute": 0.006},
        9_000_000,
    ),
    ("transcription", {"file": FILE}, {"text": "hi", "duration": 2.5}, {"second": 0.0001}, 250_000),
    (
        "transcription",
        {"file": FILE},
        {
            "text": "hi",
            "usage": {
                "type": "tokens",
                "input_tokens": 14,
                "output_tokens": 45,
                "total_tokens": 59,
                "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
            },
        },
        {"input": 2.5, "audio_input": 6.0, "output": 10.0},
        4 * 2500 + 10 * 6000 + 45 * 10_000,
    ),
    ("translation", {"file": FILE}, {"text": "hi", "duration": 60.0}, {"minute": 0.006}, 6_000_000),
    ("speech", {"input": "a" * 1000, "voice": "alloy"}, b"sound", {"character": 1.5e-05}, 15_000_000),
    (
        "video_generation",
        {"prompt": "a cat", "seconds": 4},
        VIDEO,
        {"video_second": {"720x1280": 0.1, "*": 0.3}},
        400_000_000,
    ),
    ("moderation", {"input": "hi"}, {"id": "x", "model": "m", "results": []}, {"input": 0}, None),
]


@pytest.mark.parametrize(
    ("function", "fields", "reply", "prices", "nano"),
    OPERATIONS,
    ids=[f"{n}-{row[0]}" for n, row in enumerate(OPERATIONS)],
)
def test_every_operation_says_what_it_cost(everything, function, fields, reply, prices, nano):
    """By its own unit."""
    client = everything(reply)
    with client:
        meta = getattr(client, function)(model="all/m", prices=prices, **fields).meta
    assert (None if meta.bill is None else meta.bill.nano) == nano


@pytest.fixture
def everything():
    """A client of a provider that has all of OpenAI's wire."""
    from polyport.dialects import openai as dialect

    class All(
        Fake,
        dialect.Responses,
        dialect.Embeddings,
        dialect.Images,
        dialect.Speech,
        dialect.Transcriptions,
        dialect.Videos,
        dialect.Moderations,
    ):
        """Everything."""

    def make(reply):
        return polyport.Client(providers={"all": All}, api_key=KEY, http=Wire(reply))

    return make


def test_every_operation_that_is_billed_has_a_reader_and_its_stream_a_meter():
    """What creates is billed; what looks, lists and deletes is not."""
    free = ("retrieve_", "cancel_", "delete_", "list_", "download_", "create_file", "create_batch", "count_tokens")
    assert set(READERS) == {hook for hook in BY_HOOK if not hook.startswith(free)}
    assert {hook for hook in READERS if BY_HOOK[hook].chunk is not None} == set(METERS)


class Asked:
    """A request of which only a few things are known."""

    input, service_tier, size, quality, stream = "a" * 1000, None, "1024x1024", "low", True


STREAMS = {
    "respond": [
        Item(type="response.created", response={"usage": None}),
        Item(type="response.output_text.delta", delta="hello"),
        Item(type="response.completed", response={"id": "r", "model": "m", "usage": TOKENS, "service_tier": "flex"}),
    ],
    "create_message": [
        Item(
            type="message_start",
            message={"model": "m", "usage": {"input_tokens": 3, "cache_read_input_tokens": 7, "output_tokens": 1}},
        ),
        Item(type="content_block_delta", delta={"type": "text_delta", "text": "hello"}),
        Item(type="message_delta", delta={}, usage={"output_tokens": 40}),
        Item(type="message_stop"),
    ],
    "speak": [b"sound"],
}


@pytest.mark.parametrize(
    ("hook", "tokens", "units"),
    [
        ("respond", {"input": 1000, "output": 100}, {}),
        ("create_message", {"input": 3, "cached_input": 7, "output": 40}, {}),
        ("speak", {}, {"character": 1000}),
    ],
)
def test_a_meter_says_what_a_stream_used(hook, tokens, units):
    """Whatever its events are called."""
    meter = METERS[hook](Asked())
    told = [meter.see(chunk) for chunk in STREAMS[hook]]
    used = meter.used()
    assert (used.tokens, used.units) == (tokens, units)
    assert sum(told) == (0 if hook == "speak" else 1)


def test_what_is_kept_for_an_hour_is_a_bucket_of_its_own():
    """As it has a price of its own."""
    from polyport.types.usage import usage

    used = metering.of_usage(usage(100, 5, cached=10, cache_write=60, cache_write_1h=20))
    assert used.tokens == {"cached_input": 10, "cache_write": 40, "cache_write_1h": 20, "input": 30, "output": 5}


# --- by hand ---


def test_completion_cost_prices_a_response():
    """A result, its plain data, and another SDK's object alike."""
    client, _ = costed()
    with client:
        result = client.completion("fake/m", ASK)

    class Other:
        """Another SDK's response."""

        def model_dump(self):
            return result.to_dict()

    catalog.register({("openai", "some-model"): ModelInfo(prices=PRICES)})
    for response in (result, result.to_dict(), Other()):
        assert polyport.completion_cost(response, model="openai/some-model") == SPENT / 1e9
    assert polyport.completion_cost(completion_response=result, prices={"input": 1.0, "output": 1.0}) == 0.0011
    message = {"type": "message", "model": "m", "usage": {"input_tokens": 10, "output_tokens": 1}}
    assert polyport.completion_cost(message, model="openai/some-model") == pytest.approx(0.000028)
    response = {"object": "response", "model": "m", "usage": TOKENS}
    assert polyport.completion_cost(response, model="openai/some-model") == SPENT / 1e9


def test_completion_cost_counts_texts():
    """Where there is no response yet."""
    catalog.register({("openai", "some-model"): ModelInfo(prices=PRICES)})
    found = polyport.completion_cost(model="openai/some-model", prompt="a" * 40, completion="b" * 80)
    assert found == pytest.approx((10 * 2000 + 20 * 8000) / 1e9)
    with pytest.raises(BadRequestError, match="Pass a response"):
        polyport.completion_cost()


def test_an_unknown_price_by_hand_is_none():
    """And an unknown provider an error."""
    assert polyport.completion_cost({"model": "m", "usage": USAGE}, model="openai/unheard-of") is None
    assert polyport.cost_per_token("openai/unheard-of", 10, 10) == (None, None)
    with pytest.raises(NotFoundError):
        polyport.completion_cost({"model": "m", "usage": USAGE}, model="unheard-of")


def test_cost_per_token_gives_both_sides():
    """Prompt and completion, each part of it at its price."""
    catalog.register({("openai", "some-model"): ModelInfo(prices={**PRICES, "cached_input": 0.5, "cache_write": 3.0})})
    assert polyport.cost_per_token("openai/some-model", 1000, 100) == (0.002, 0.0008)
    assert polyport.cost_per_token(model="openai/some-model", prompt_tokens=1000, cache_read_input_tokens=400) == (
        (600 * 2000 + 400 * 500) / 1e9,
        0.0,
    )
    assert polyport.cost_per_token("openai/some-model", 1000, cache_creation_input_tokens=1000) == (0.003, 0.0)
    assert polyport.cost_per_token("openai/some-model") == (0.0, 0.0)


def test_the_twin_of_a_function_names_its_operation_too():
    """`call_type` as users know it."""
    answer = {"model": "m", "data": [], "usage": {"prompt_tokens": 10, "total_tokens": 10}}
    for name in ("embedding", "aembedding", "embed"):
        assert polyport.completion_cost(answer, call_type=name, prices={"input": 1.0}) == 1e-05
    with pytest.raises(BadRequestError, match="No operation is called 'embeddings'"):
        polyport.completion_cost(answer, call_type="embeddings", prices={"input": 1.0})
    assert "embedding" in BY_FUNCTION


# --- tokens ---


def test_tokens_are_an_int_that_says_how_it_was_counted():
    """An estimate is told from a count; it survives being copied."""
    found = polyport.token_counter("fake/m", text="a" * 400)
    assert (found, found.exact) == (100, False)
    assert "estimate" in found.how
    again = pickle.loads(pickle.dumps(found))
    assert (again, again.how, again.exact) == (found, found.how, False)


def test_other_scripts_take_more_tokens_a_letter():
    """An estimate knows that much."""
    assert polyport.token_counter("fake/m", text="東京都" * 100) == 200


def test_openai_models_are_counted_by_their_own_tokenizer():
    """As OpenAI's cookbook counts: 3 around each message, 1 for a name, 3 before the answer."""
    pytest.importorskip("bpe_openai", reason="polyport[tokens] is not installed")
    assert polyport.token_counter("gpt-4o", text="hello world") == 2
    messages = [{"role": "system", "name": "teacher", "content": "hello world"}]
    found = polyport.token_counter("openai/gpt-4o", messages=messages)
    assert (found, found.exact, found.how) == (3 + 3 + 1 + 1 + 1 + 2, True, "tokenizer o200k_base")
    tool = {
        "type": "function",
        "function": {"name": "weather", "parameters": {"properties": {"city": {"type": "string"}}}},
    }
    with_tool = polyport.token_counter("gpt-4o", messages=messages, tools=[tool])
    assert with_tool > found
    assert not with_tool.exact


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o-2024-08-06", "o200k_base"),
        ("gpt-4.1-mini", "o200k_base"),
        ("gpt-5-nano", "o200k_base"),
        ("o3", "o200k_base"),
        ("groq/openai/gpt-oss-120b", "o200k_base"),
        ("gpt-4-0613", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("ft:gpt-4o-mini:acme::1", "o200k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("claude-sonnet-4-5", None),
        ("m", None),
    ],
)
def test_a_model_has_the_encoding_of_its_family(model, encoding):
    """Others have tokenizers of their own."""
    from polyport.tokens import encoding_of

    assert encoding_of(model) == encoding


def test_pictures_make_a_count_an_estimate():
    """Their size is not known."""
    part = {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}}
    found = polyport.token_counter("gpt-4o", messages=[{"role": "user", "content": [part]}])
    assert not found.exact
    assert found > 85


def test_a_counter_needs_one_thing_to_count():
    """Text or messages; options of a call only where one is made."""
    for wrong in ({}, {"text": "a", "messages": ASK}, {"text": "a", "api_key": "k"}):
        with pytest.raises(BadRequestError):
            polyport.token_counter("gpt-4o", **wrong)


def test_a_chat_is_counted_by_the_provider_in_its_own_shape():
    """System text apart, calls and results of tools as blocks."""
    from polyport.bridges.counting import to_count

    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    messages = [
        {"role": "system", "content": "Be kind."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "1+1?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "2"},
    ]
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}, "description": "Adds."}}
    assert to_count(messages, [tool]) == {
        "system": [{"type": "text", "text": "Be kind."}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "1+1?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                ],
            },
            {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "add", "input": {"a": 1}}]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "2"}]}],
            },
        ],
        "tools": [{"name": "add", "input_schema": {"type": "object"}, "description": "Adds."}],
    }
    with pytest.raises(BadRequestError, match="input_audio cannot be counted"):
        to_count([{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}])


def test_an_exact_count_asks_the_provider(serve):
    """Over the module's own client."""
    server = serve(lambda exchange: exchange.reply({"input_tokens": 12}))
    found = polyport.token_counter(
        "anthropic/claude-sonnet-4-5", messages=ASK, exact=True, api_key=KEY, api_base=server.origin
    )
    assert (found, found.exact, found.how) == (12, True, "counted by the provider")
    assert server.seen[0].path.endswith("/count_tokens")
