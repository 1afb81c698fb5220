"""Paired losses, their interval, and evidence that may be looked at whenever one likes."""

import math
import random

import pytest

from monitoring import champion
from monitoring.champion import Pair, compare, evidence

Q16 = 65_536


def credit(p_champion, p_challenger, value):
    def margin(p):
        return {"margin_q16": round(math.log(p / (1 - p)) * Q16)}

    return Pair(margin(p_champion), margin(p_challenger), "approve", "approve", value)


def var(champion_pct, challenger_pct, value):
    def outputs(pct):
        return {"var_990_pct_q16": round(pct * Q16), "var_975_pct_q16": round(pct * 0.8 * Q16)}

    return Pair(outputs(champion_pct), outputs(challenger_pct), "forecast", "forecast", value)


def defaults(rng, n, p, champion_p, challenger_p):
    return [credit(champion_p, challenger_p, float(rng.random() < p)) for _ in range(n)]


def only(kind, pairs):
    return compare(kind, pairs)["differences"][0]


def test_the_better_challenger_is_found_and_the_sign_says_which():
    found = only("credit", defaults(random.Random(1), 3_000, 0.2, 0.4, 0.2))
    assert float(found["high"]) < 0
    assert float(found["value"]) == pytest.approx(-0.04, abs=0.01)
    assert found["evidence"]["finding"] == "challenger"
    swapped = only("credit", defaults(random.Random(1), 3_000, 0.2, 0.2, 0.4))
    assert swapped["evidence"]["finding"] == "champion"
    assert swapped["value"] == found["value"].removeprefix("-")


def test_two_equal_models_are_told_apart_by_nothing():
    found = only("credit", defaults(random.Random(2), 500, 0.2, 0.2, 0.2))
    assert (found["value"], found["low"], found["high"]) == ("0.000000",) * 3
    assert found["evidence"]["finding"] is None


def test_a_pair_cancels_what_made_the_day_hard():
    """The interval of the difference is far narrower than what two apart would give."""
    rng = random.Random(3)
    pairs = defaults(rng, 2_000, 0.3, 0.30, 0.31)
    found = only("credit", pairs)
    width = float(found["high"]) - float(found["low"])
    assert width < 0.001


def test_the_difference_is_that_of_the_means_by_hand():
    pairs = [credit(0.2, 0.4, 1.0)] * 20 + [credit(0.2, 0.4, 0.0)] * 20
    found = only("credit", pairs)
    assert float(found["champion"]) == pytest.approx((0.64 + 0.04) / 2, abs=1e-4)
    assert float(found["challenger"]) == pytest.approx((0.36 + 0.16) / 2, abs=1e-4)
    assert float(found["value"]) == pytest.approx(0.26 - 0.34, abs=1e-4)


def test_the_quantile_loss_prefers_the_true_quantile():
    rng = random.Random(4)
    true = 2.326
    for wrong in (1.5, 4.0):
        pairs = [var(wrong, true, rng.gauss(0, 1)) for _ in range(6_000)]
        first, second = compare("value_at_risk", pairs)["differences"]
        assert float(first["value"]) < 0, wrong
        assert second["metric"] == "quantile_loss_975"


def test_a_quantile_loss_by_hand():
    loss = champion.LOSSES["value_at_risk"][0].of
    outputs = {"var_990_pct_q16": 2 * Q16}
    assert loss(outputs, "", -3.0) == pytest.approx(0.99)  # 1% passed by: (0.01 - 1)(-3 + 2)
    assert loss(outputs, "", 1.0) == pytest.approx(0.03)  # 0.01 (1 + 2)
    assert loss(outputs, "", -50.0) == pytest.approx(0.99 * 8)  # counted as -10


def test_a_wrong_day_is_one_and_a_right_one_none():
    loss = champion.LOSSES["signal"][0].of
    assert [loss({}, d, v) for d, v in (("long", 1), ("long", 0), ("flat", 1), ("flat", -1))] == [
        0.0,
        1.0,
        1.0,
        0.0,
    ]
    assert loss({}, "decline", 1.0) is None


@pytest.mark.parametrize("kind", ["credit", "value_at_risk", "signal", "unheard-of"])
def test_no_pairs_and_too_few_give_no_interval(kind):
    told = compare(kind, [])
    assert all(d["low"] is None and d["n"] == 0 for d in told["differences"])
    few = compare("credit", [credit(0.2, 0.3, 1.0)] * (champion.MINIMUM - 1))
    assert few["differences"][0]["value"] is None


def test_answers_of_another_kind_are_left_out():
    odd = Pair({}, {"margin_q16": 0}, "approve", "approve", 1.0)
    assert only("credit", [odd, credit(0.2, 0.3, 0.5)])["n"] == 0


# --- evidence ----------------------------------------------------------------------------------


def test_evidence_by_hand():
    one = sum(1 + bet for bet in champion.BETS) / len(champion.BETS)
    assert evidence([1.0]) == pytest.approx(one)
    assert evidence([]) == 1.0
    assert evidence([-1.0] * 100) < 1e-2
    assert evidence([1.0] * 5_000) <= champion.CEILING


def test_it_is_reached_by_chance_in_one_series_of_twenty_at_most_however_often_one_looks():
    """Ville: with mean 0, the running evidence reaches 20 with probability 1/20 at most."""
    rng, reached = random.Random(5), 0
    for _ in range(400):
        products = [1.0] * len(champion.BETS)
        for _ in range(300):
            x = rng.choice((-1.0, 1.0))
            products = [p * (1 + b * x) for p, b in zip(products, champion.BETS, strict=True)]
            if sum(products) / len(products) >= champion.NEEDED:
                reached += 1
                break
    assert reached / 400 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_differences_stay_within_the_scale_that_bounds_them():
    rng = random.Random(6)
    for _ in range(2_000):
        pair = var(rng.uniform(0, 30), rng.uniform(0, 30), rng.uniform(-40, 40))
        for loss in champion.LOSSES["value_at_risk"]:
            gap = loss.of(pair.challenger, "", pair.value) - loss.of(pair.champion, "", pair.value)
            assert abs(gap) <= loss.scale


def test_decisions_are_counted_pair_by_pair():
    pairs = [
        Pair({}, {}, "approve", "decline", 0.0),
        Pair({}, {}, "approve", "approve", 0.0),
        Pair({}, {}, "approve", "decline", 1.0),
    ]
    (table,) = compare("credit", pairs)["tables"]
    assert table["rows"] == [["approve", "approve", "1"], ["approve", "decline", "2"]]


def test_the_words_promise_nothing_that_is_banned():
    text = champion.DOES_NOT_SAY.lower()
    assert not any(word in text for word in ("valid", "accurate", "safe", "proven"))
