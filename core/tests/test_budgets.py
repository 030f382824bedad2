"""Budgets: what is set aside and settled, whatever calls do in between; and the manager of users' budgets."""

from __future__ import annotations

import json
import threading

import pytest
from core.tests.conftest import ASK, KEY, Fake, completion, event
from hypothesis import given, settings, strategies as st

import polyport
from polyport import catalog
from polyport.budgets import Budget, BudgetManager, nano, seconds
from polyport.catalog import ModelInfo
from polyport.drivers.simulation import Answer, Simulation
from polyport.errors import APIConnectionError, BadRequestError, BudgetExceededError
from polyport.flow import HttpReply
from polyport.middleware.budget import max_budget
from polyport.testing import Wire

#: A dollar per million tokens: a thousand nano-dollars each.
PRICES = {"input": 1.0, "output": 1.0}


def usage(prompt, made):
    """Usage as it stands on the wire."""
    return {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}


def stream_of(prompt, made):
    """A short stream, with its usage at the end."""
    last = {"id": "c1", "model": "m", "choices": [], "usage": usage(prompt, made)}
    return [event("a"), event("b", finish_reason="stop"), f"data: {json.dumps(last)}\n\n".encode(), b"data: [DONE]\n\n"]


# --- interleavings ---

CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "at": st.integers(0, 50),
            "takes": st.integers(0, 30),
            "prompt": st.integers(0, 3000),
            "made": st.integers(0, 3000),
            "stream": st.booleans(),
            "ends": st.sampled_from(["well", "well", "well", "500", "broken", "untold"]),
            "limit": st.sampled_from([None, 10, 1000]),
        }
    ),
    min_size=1,
    max_size=25,
)


class World:
    """Calls that arrive, take their time and end as they are told to, and what is seen of them on the way."""

    def __init__(self, calls, limit):
        self.calls = sorted(calls, key=lambda call: call["at"])
        self.budget = Budget(limit)
        self.flying: set[str] = set()
        self.admitted: list[tuple[int, int, set[str]]] = []
        self.client = polyport.Client(
            providers={"fake": Fake},
            api_key=KEY,
            num_retries=0,
            middleware=[max_budget(self.budget), self.arriving],
        )

    def arriving(self, call, proceed):
        """Inside the budget: the call was let in, and what it set aside is counted."""
        self.flying.add(call.request.user)
        self.admitted.append((self.budget.spent, self.budget.reserved, set(self.flying)))
        try:
            result = yield from proceed(call)
        except BaseException:
            self.flying.discard(call.request.user)
            raise
        if not isinstance(result, polyport.Streaming):
            self.flying.discard(call.request.user)
            return result

        def over(_):
            self.flying.discard(call.request.user)
            yield from ()

        return result.epilogue(over)

    def answer(self, request, now):
        """What the wire does with a call."""
        call = self.calls[int(json.loads(request.content)["user"])]
        takes = float(call["takes"])
        if call["ends"] == "500":
            return Answer(takes, HttpReply(status=500, content=b"{}"))
        if call["stream"]:
            pieces = stream_of(call["prompt"], call["made"])
            if call["ends"] == "untold":
                del pieces[2]
            broken = [APIConnectionError("cut")] if call["ends"] == "broken" else []
            return Answer(0.0, pieces=[(takes / 4, piece) for piece in [*pieces[:2], *(broken or pieces[2:])]])
        if call["ends"] == "broken":
            return Answer(takes, error=APIConnectionError("cut"))
        told = {} if call["ends"] == "untold" else {"usage": usage(call["prompt"], call["made"])}
        return Answer(takes, HttpReply(status=200, content=json.dumps(completion(**told)).encode()))

    def flow(self, number, call):
        """The flow of a call."""
        fields = {"max_tokens": call["limit"]} if call["limit"] else {}
        return self.client.flow(
            "completion", model="fake/m", messages=ASK, user=str(number), stream=call["stream"], prices=PRICES, **fields
        )

    def run(self):
        """Let them all happen, and return how they ended."""
        simulation = Simulation(self.answer)
        tasks = []
        simulation.arrive(
            ((float(call["at"]), self.flow(number, call)) for number, call in enumerate(self.calls)), tasks.append
        )
        simulation.run()
        return tasks


@settings(max_examples=150, deadline=None)
@given(calls=CALLS, limit=st.sampled_from([0.0, 0.0005, 0.002, 0.01, 1.0]))
def test_a_budget_is_overspent_by_no_more_than_what_was_in_flight(calls, limit):
    """However calls interleave, succeed, fail, break or tell nothing; and nothing stays set aside."""
    world = World(calls, limit)
    tasks = world.run()
    assert len(tasks) == len(calls)
    assert world.budget.reserved == 0
    assert not world.flying
    for spent, reserved, _ in world.admitted:
        assert spent + reserved <= world.budget.limit
    refused = [task for task in tasks if isinstance(task.error, BudgetExceededError)]
    assert len(refused) == len(calls) - len(world.admitted)
    if world.admitted:
        before, _, flying = world.admitted[-1]
        most = sum((world.calls[int(name)]["prompt"] + world.calls[int(name)]["made"]) * 1000 for name in flying)
        estimates = len(flying) * 1_100_000  # what told nothing counts with its estimate, or with its letters
        assert world.budget.spent <= before + most + estimates
        assert world.budget.spent <= world.budget.limit + most + estimates


@settings(max_examples=80, deadline=None)
@given(calls=CALLS, limit=st.sampled_from([0.002, 0.004, 0.01]))
def test_a_budget_is_never_overspent_by_calls_that_keep_to_their_estimate(calls, limit):
    """An upper bound set aside is a bound that holds."""
    for call in calls:
        call |= {"prompt": 1, "made": min(call["made"], call["limit"] or 1000)}
    world = World(calls, limit)
    world.run()
    assert world.budget.spent <= world.budget.limit
    assert world.budget.reserved == 0


def test_what_is_spent_is_what_calls_cost():
    """To the nano-dollar, when all told it."""
    calls = [
        {"at": n, "takes": 3, "prompt": 10 * n, "made": n, "stream": bool(n % 2), "ends": "well", "limit": None}
        for n in range(1, 21)
    ]
    world = World(calls, 1.0)
    world.run()
    assert world.budget.spent == sum((call["prompt"] + call["made"]) * 1000 for call in calls)


# --- the layer ---


def budgeted(budget, *replies, **more):
    """A client within a budget, and its wire."""
    wire = Wire(list(replies) or completion(usage=usage(100, 50)))
    layers = [max_budget(budget, **more)]
    return polyport.Client(providers={"fake": Fake}, api_key=KEY, http=wire, middleware=layers), wire


def test_a_call_over_the_budget_is_refused_before_anything_is_sent():
    """The error says how much there is and what to do."""
    client, wire = budgeted(0.0001)
    with client, pytest.raises(BudgetExceededError, match=r"\$0\.0001 does not hold .* Raise max_budget"):
        client.completion("fake/m", ASK, prices=PRICES)
    assert not wire.requests


def test_a_limit_of_the_answer_is_what_is_set_aside(mode):
    """So that a short answer fits where a long one may not."""
    client, wire = budgeted(0.0004)
    with client, pytest.raises(BudgetExceededError):
        mode.chat(client, prices=PRICES)
    client, wire = budgeted(0.0004)
    with client:
        assert mode.chat(client, prices=PRICES, max_tokens=50).meta.cost == 0.00015
        assert len(wire.requests) == 1


def test_a_reader_who_leaves_gives_back_what_was_set_aside(mode):
    """And pays for what was said, by its letters where nothing was told."""
    budget = Budget(1.0)
    client, _ = budgeted(budget, b"".join(stream_of(100, 50)))
    with client:
        mode.stream(client, take=1, prices=PRICES)
        assert budget.reserved == 0
        assert budget.spent > 0


def test_a_call_of_which_no_price_is_known_is_refused_unless_it_may_pass():
    """A budget that counts nothing would be no budget."""
    client, _ = budgeted(1.0)
    with client, pytest.raises(BadRequestError, match="No price is known for fake/m"):
        client.completion("fake/m", ASK)
    client, _ = budgeted(1.0, unpriced="allow")
    with client:
        assert client.completion("fake/m", ASK).meta.cost is None


def test_users_have_budgets_of_their_own():
    """By `user=`; who has none is not limited."""
    client, _ = budgeted({"ada": Budget(0), "bob": Budget(1)})
    with client:
        with pytest.raises(BudgetExceededError):
            client.completion("fake/m", ASK, prices=PRICES, user="ada")
        for user in ("bob", "eve"):
            client.completion("fake/m", ASK, prices=PRICES, user=user)


def test_what_is_not_billed_needs_no_budget():
    """Listing models costs nothing."""
    client, _ = budgeted(0.0, {"object": "list", "data": []})
    with client:
        assert client.list_models(provider="fake").data == []


def test_a_budget_is_renewed_after_its_time():
    """On the driver's clock; the periods follow each other without a gap."""
    budget = Budget(1.0, "1h")
    budget.reserve(10, now=100.0)
    budget.settle(10, nano(1.0))
    with pytest.raises(BudgetExceededError):
        budget.reserve(1, now=3699.0)
    budget.reserve(1, now=3700.0)
    assert budget.spent == 0
    budget.settle(1, nano(1.0))
    with pytest.raises(BudgetExceededError):
        budget.reserve(1, now=7299.0)
    budget.reserve(1, now=7300.0)


def test_threads_share_a_budget_exactly():
    """A thousand reservations of a thousandth fit, and not one more."""
    budget, refused = Budget(1.0), []

    def spend():
        for _ in range(300):
            try:
                budget.reserve(1_000_000, 0.0)
            except BudgetExceededError:
                refused.append(1)
            else:
                budget.settle(1_000_000, 1_000_000)

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (budget.spent, budget.reserved, len(refused)) == (nano(1.0), 0, 200)


@pytest.mark.parametrize(
    ("text", "expected"), [("30s", 30), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000), ("daily", 86_400), (5, 5)]
)
def test_durations_are_read_as_they_are_written(text, expected):
    """In the words that users know."""
    assert seconds(text) == expected


@pytest.mark.parametrize("wrong", ["soon", "5 parsecs", "-1d"])
def test_a_duration_that_is_none_is_named(wrong):
    """With the forms there are."""
    with pytest.raises(BadRequestError, match="is no duration"):
        seconds(wrong)


# --- the manager ---


class Clock:
    """A clock that is moved by hand."""

    now = 1_000.0

    def __call__(self):
        return self.now


def test_a_user_spends_from_a_budget():
    """By responses, whose own cost is taken, and by texts."""
    manager = BudgetManager("test")
    assert not manager.is_valid_user("ada")
    manager.create_budget(total_budget=10, user="ada", duration="daily")
    client, _ = budgeted(1.0)
    with client:
        manager.update_cost("ada", completion_obj=client.completion("fake/m", ASK, prices=PRICES))
    assert manager.is_valid_user("ada")
    assert manager.get_users() == ["ada"]
    assert manager.get_total_budget("ada") == 10
    assert manager.get_current_cost("ada") == 0.00015
    assert manager.get_model_cost("ada") == {"m": 0.00015}
    manager.reset_cost("ada")
    assert manager.get_current_cost("ada") == 0


def test_a_projected_cost_is_what_was_spent_and_the_prompt():
    """The answer is not known yet; a model without a price cannot be projected."""
    manager = BudgetManager()
    manager.create_budget(1.0, "ada")
    manager.add("ada", 5, "m")
    catalog.register({("openai", "some-model"): ModelInfo(prices=PRICES)})
    try:
        tokens = polyport.token_counter("openai/some-model", messages=ASK)
        assert manager.projected_cost("openai/some-model", ASK, "ada") == pytest.approx(5e-9 + tokens * 1e-6)
    finally:
        catalog.unregister()
    with pytest.raises(BadRequestError, match="No price is known for 'openai/some-model'"):
        manager.projected_cost("openai/some-model", ASK, "ada")


def test_a_budget_begins_anew_when_its_time_is_up():
    """For the user, or for all."""
    clock = Clock()
    manager = BudgetManager(clock=clock)
    manager.create_budget(1.0, "ada", "hourly")
    manager.create_budget(1.0, "bob")
    manager.add("ada", 5, "m")
    manager.add("bob", 5, "m")
    clock.now += 3599
    assert not manager.reset_on_duration("ada")
    clock.now += 1
    manager.update_budget_all_users()
    assert (manager.get_current_cost("ada"), manager.get_current_cost("bob")) == (0, 5e-9)


def test_budgets_are_kept_in_a_file(tmp_path):
    """Another process finds what this one left."""
    path = tmp_path / "budgets.json"
    BudgetManager(path=path).create_budget(2.5, "ada")
    BudgetManager(path=path).add("ada", nano(0.5), "m")
    manager = BudgetManager(path=path)
    assert (manager.get_total_budget("ada"), manager.get_current_cost("ada")) == (2.5, 0.5)
    path.write_text("[]")
    with pytest.raises(BadRequestError, match="holds no budgets"):
        BudgetManager(path=path)


def test_a_user_without_a_budget_is_named():
    """With what to do."""
    with pytest.raises(BadRequestError, match="'eve' has no budget: create_budget"):
        BudgetManager().get_current_cost("eve")
