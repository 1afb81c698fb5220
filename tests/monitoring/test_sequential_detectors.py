"""e-detectors: the promised run length by simulation, exact state, refusals."""

from __future__ import annotations

import json
import random
import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring import detectors
from monitoring.detectors import EXCEEDANCES_990, EXCESS_BRIER, PD_CALIBRATION, Seen, advance, start
from monitoring.errors import DetectorError


def alarm_after(detector, draw, longest):
    """Observations to the alarm; None when there is none within `longest`."""
    state = start(detector)
    for leaf in range(longest):
        state = advance(detector, state, draw(), Seen(leaf))
        if state.alarm_leaf is not None:
            return leaf + 1
    return None


def test_a_false_alarm_takes_at_least_the_run_length_on_average():
    """Capping long runs only lowers the average, so the check errs against the detector."""
    quick = replace(EXCEEDANCES_990, run_length=100)
    rng, cap = random.Random(20261125), 3_000
    runs = [alarm_after(quick, lambda: float(rng.random() < 0.01), cap) or cap for _ in range(150)]
    error = statistics.stdev(runs) / len(runs) ** 0.5
    assert statistics.mean(runs) - 2 * error >= 100


def test_the_promise_holds_at_the_edge_of_what_is_tolerated_for_calibration():
    """A tenth more defaults than promised is tolerated exactly; small bets leave no slack there."""
    quick = replace(PD_CALIBRATION, run_length=50)
    rng, cap = random.Random(4), 1_500

    def draw():
        p = rng.uniform(0.05, 0.4)
        return detectors.observe_pd(p, int(rng.random() < 1.1 * p))

    runs = [alarm_after(quick, draw, cap) or cap for _ in range(100)]
    error = statistics.stdev(runs) / len(runs) ** 0.5
    assert statistics.mean(runs) + 2 * error >= 50


def test_three_years_without_change_alarm_about_as_rarely_as_published():
    """Design note: 10.4% of runs of 756 days at run length 2,750 (20,000 runs)."""
    rng, runs = random.Random(1), 150
    fired = [
        alarm_after(EXCEEDANCES_990, lambda: float(rng.random() < 0.01), 756) for _ in range(runs)
    ]
    share = sum(found is not None for found in fired) / runs
    assert share <= 0.104 + 4 * (0.104 * 0.896 / runs) ** 0.5


def test_six_percent_exceedances_are_found_about_as_fast_as_published():
    """Design note: median 59 trading days."""
    rng = random.Random(2)
    delays = [
        alarm_after(EXCEEDANCES_990, lambda: float(rng.random() < 0.06), 2_000) for _ in range(150)
    ]
    assert None not in delays
    assert 45 <= statistics.median(delays) <= 75


def test_one_step_by_hand():
    one = replace(EXCEEDANCES_990, bets=(10,))
    state = advance(one, start(one), 1.0, Seen(0))
    assert state.evidence == pytest.approx(10.9)  # (0 + 1)(1 + 10 x 0.99)
    state = advance(one, state, 0.0, Seen(1))
    assert state.evidence == pytest.approx(10.71)  # (10.9 + 1)(1 - 10 x 0.01)


@given(st.lists(st.booleans(), max_size=60), st.sets(st.integers(0, 60)))
def test_a_stream_cut_anywhere_gives_the_same_bits(flags, cuts):
    whole = cut = start(EXCEEDANCES_990)
    for leaf, flag in enumerate(flags):
        whole = advance(EXCEEDANCES_990, whole, float(flag), Seen(leaf))
        if leaf in cuts:
            cut = detectors.read_state(EXCEEDANCES_990, json.loads(json.dumps(cut.to_json())))
        cut = advance(EXCEEDANCES_990, cut, float(flag), Seen(leaf))
    assert whole.to_json() == cut.to_json()


@given(st.floats(0, 1), st.integers(0, 1))
def test_observations_stay_in_their_bounds(probability, default):
    pd = detectors.observe_pd(probability, default)
    assert PD_CALIBRATION.lowest <= pd <= PD_CALIBRATION.highest
    brier = detectors.observe_excess_brier(probability, default)
    assert EXCESS_BRIER.lowest <= brier <= EXCESS_BRIER.highest


def test_calibration_tolerates_a_tenth_more_and_caps_it():
    assert detectors.observe_pd(0.5, 1) == pytest.approx(0.45)
    assert detectors.observe_pd(1.0, 0) == -0.95


@given(st.floats(0, 1))
def test_a_calibrated_model_has_no_excess_on_average(p):
    both = [detectors.observe_excess_brier(p, y) for y in (0, 1)]
    assert (1 - p) * both[0] + p * both[1] == pytest.approx(0, abs=1e-12)


def test_evidence_never_overflows():
    state = start(EXCEEDANCES_990)
    for leaf in range(1_000):
        state = advance(EXCEEDANCES_990, state, 1.0, Seen(leaf))
    assert state.evidence <= detectors.CEILING


def test_an_alarm_stays_until_closed():
    state = start(EXCEEDANCES_990)
    for leaf in range(20):
        state = advance(EXCEEDANCES_990, state, 1.0, Seen(leaf))
    first = state.alarm_leaf
    assert first is not None
    for leaf in range(20, 2_000):
        state = advance(EXCEEDANCES_990, state, 0.0, Seen(leaf))
    assert (state.alarm_leaf, state.evidence < 100) == (first, True)
    closed = detectors.close(state)
    assert (closed.alarm_leaf, closed.evidence, closed.last_leaf) == (None, 0.0, 1_999)


def test_detectors_that_share_a_budget_each_wait_longer():
    assert detectors.sharing(EXCEEDANCES_990, 3).run_length == 3 * 2_750


def test_no_observation_is_read_twice():
    state = advance(EXCEEDANCES_990, start(EXCEEDANCES_990), 0.0, Seen(5, 2))
    for leaf, row in ((5, 2), (5, 1), (4, 9)):
        with pytest.raises(DetectorError, match=r"does not come after 5\.2"):
            advance(EXCEEDANCES_990, state, 0.0, Seen(leaf, row))
    assert advance(EXCEEDANCES_990, state, 0.0, Seen(5, 3)).count == 2


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_an_observation_out_of_bounds_is_refused(value):
    with pytest.raises(DetectorError, match="is not in"):
        advance(EXCEEDANCES_990, start(EXCEEDANCES_990), value, Seen(0))


def test_a_state_of_other_parameters_is_refused():
    other = replace(EXCEEDANCES_990, run_length=10_000)
    with pytest.raises(DetectorError, match="belongs to parameters"):
        advance(other, start(EXCEEDANCES_990), 0.0, Seen(0))
    with pytest.raises(DetectorError, match="belongs to parameters"):
        detectors.read_state(other, start(EXCEEDANCES_990).to_json())


@pytest.mark.parametrize(
    "harm",
    [
        {"sums": ["nan"] * 5},
        {"sums": ["inf"] * 5},
        {"sums": ["-0x1p+0"] * 5},
        {"sums": ["0x0.0p+0"] * 4},
        {"sums": ["0x1p+99999"] * 5},
        {"sums": [0.0] * 5},
        {"sums": None},
        {"count": "3"},
        {"count": True},
        {"last_leaf": 1.5},
        {"state_schema": "assay/detector-state/v2"},
    ],
)
def test_a_harmed_state_is_refused(harm):
    with pytest.raises(DetectorError):
        detectors.read_state(EXCEEDANCES_990, {**start(EXCEEDANCES_990).to_json(), **harm})


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ({"bets": ()}, "at least one"),
        ({"bets": (-1.0,)}, "positive"),
        ({"bets": (100.0,)}, "can lose everything"),
        ({"run_length": 0.5}, "promises nothing"),
        ({"run_length": float("nan")}, "promises nothing"),
    ],
)
def test_parameters_that_break_the_promise_are_refused(terms, why):
    with pytest.raises(DetectorError, match=why):
        replace(EXCEEDANCES_990, **terms)
