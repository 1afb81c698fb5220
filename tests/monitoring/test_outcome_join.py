"""Which forecasts count, which outcome counts, what is missing."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.outcomes import join, label_delay_days
from monitoring.source import Outcome, Prediction

AT = "2026-11-25T03:20:00.123Z"


def row(leaf, *, as_of=None, at=AT):
    return Prediction(f"{leaf}.0", leaf, 0, "sha256:m", as_of, at, {"margin_q16": 0}, "approve", {})


def outcome(of, leaf, value="1", *, observed="2026-12-25", revises=None):
    return Outcome(f"{of}.0", leaf, value, observed, AT, revises)


def told_of(found):
    counts = [getattr(found, name) for name in ("predictions", "matured", "revised", "orphans")]
    return list(found.labelled), counts, found.unlabelled_ids


def joined(rows, outcomes, *, series=False, horizon_days=None):
    return join(rows, outcomes, series=series, horizon_days=horizon_days)


def test_outcomes_join_by_prediction_id_alone():
    found = joined([row(1), row(2)], [outcome(2, 3, "0"), outcome(1, 4, "1")])
    assert [(p.prediction.leaf_index, p.value) for p in found.labelled] == [(1, 1), (2, 0)]


def test_the_newest_revision_counts():
    found = joined([row(1)], [outcome(1, 2, "0"), outcome(1, 9, "1", revises=2)])
    assert found.labelled[0].value == 1
    assert found.revised == 1


def test_a_revision_beyond_the_leaf_asked_for_is_unknown_to_it():
    first, second = outcome(1, 2, "0"), outcome(1, 9, "1", revises=2)
    as_of_leaf = [o for o in (first, second) if o.leaf_index <= 5]
    assert joined([row(1)], as_of_leaf).labelled[0].value == 0


def test_an_outcome_recorded_before_its_forecast_makes_it_no_forecast():
    found = joined([row(5)], [outcome(5, 4)])
    assert list(found.labelled) == []
    assert found.not_forecasts == 1
    assert found.matured == 0


def test_an_outcome_observed_before_the_forecast_speaks_makes_it_no_forecast():
    found = joined([row(5, as_of="2008-09-16")], [outcome(5, 6, observed="2008-09-15")])
    assert (list(found.labelled), found.not_forecasts) == ([], 1)


def test_without_as_of_the_time_of_the_record_decides():
    early = [outcome(5, 6, observed="2026-11-25T03:20:00.122Z")]
    late = [outcome(5, 6, observed="2026-11-25T03:20:00.123Z")]
    assert joined([row(5)], early).not_forecasts == 1
    assert len(joined([row(5)], late).labelled) == 1


def test_a_forecast_and_an_outcome_of_the_same_plain_date_count():
    found = joined(
        [row(5, as_of="2008-09-15T14:00:00.000Z")], [outcome(5, 6, observed="2008-09-15")]
    )
    assert len(found.labelled) == 1


def test_times_with_different_zones_compare_as_instants():
    early = outcome(5, 6, observed="2008-09-15T15:59:59+02:00")
    found = joined([row(5, as_of="2008-09-15T14:00:00Z")], [early])
    assert found.not_forecasts == 1


def test_a_replay_of_history_is_counted_as_one():
    found = joined([row(5, as_of="2008-09-15")], [outcome(5, 6, observed="2008-09-16")])
    assert found.recorded_after == 1


def test_live_use_is_no_replay():
    assert joined([row(5)], [outcome(5, 6)]).recorded_after == 0


def test_the_first_forecast_of_a_day_counts_even_if_only_a_later_one_has_a_label():
    rows = [row(1, as_of="2008-09-15"), row(2, as_of="2008-09-15"), row(3, as_of="2008-09-16")]
    found = joined(rows, [outcome(2, 4), outcome(3, 5)], series=True)
    assert [p.prediction.leaf_index for p in found.labelled] == [3]
    assert found.repeats == 1
    assert found.unlabelled_ids == ("1.0",)


def test_many_customers_may_share_an_as_of():
    rows = [row(1, as_of="2008-09-15"), row(2, as_of="2008-09-15")]
    assert len(joined(rows, [outcome(1, 3), outcome(2, 4)]).labelled) == 2


def test_a_gap_in_the_labels_is_matured_and_unlabelled():
    found = joined([row(1), row(2), row(3), row(4)], [outcome(1, 5), outcome(3, 6)])
    assert found.matured == 3
    assert found.unlabelled_ids == ("2.0",)
    assert found.unlabelled_share == Fraction(1, 3)


def test_nothing_matured_has_no_unlabelled_share():
    assert joined([row(1)], []).unlabelled_share is None


def test_with_a_horizon_an_early_label_waits():
    rows = [row(1, as_of="2008-01-01"), row(2, as_of="2008-02-15")]
    told = [outcome(1, 3, observed="2008-03-01"), outcome(2, 4, "1", observed="2008-03-02")]
    found = joined(rows, told, horizon_days=30)
    assert [p.prediction.leaf_index for p in found.labelled] == [1]
    assert found.matured == 1


def test_a_label_is_mature_on_the_day_the_horizon_ends():
    rows = [row(1, as_of="2008-01-01")]
    told = [outcome(1, 3, observed="2008-01-31")]
    assert joined(rows, told, horizon_days=30).matured == 1
    assert joined(rows, told, horizon_days=31).matured == 0


def test_with_a_horizon_silence_past_it_is_unlabelled():
    rows = [row(1, as_of="2008-01-01"), row(2, as_of="2008-01-02")]
    found = joined(rows, [outcome(1, 3, observed="2008-06-01")], horizon_days=30)
    assert found.unlabelled_ids == ("2.0",)


@pytest.mark.parametrize(
    "value", ["", "NaN", "inf", "1e3", "+1", "1,5", " 1", "1\n", "٣", "1/2", "0x1", "1" * 13, "."]
)
def test_a_value_that_is_no_decimal_number_is_no_label(value):
    found = joined([row(1), row(2)], [outcome(1, 3, value), outcome(2, 4, "1")])
    assert found.unreadable == 1
    assert found.unlabelled_ids == ("1.0",)


@pytest.mark.parametrize("observed", ["", "yesterday", "2008-13-01", "2008-1-1"])
def test_a_time_that_is_no_time_is_no_label(observed):
    assert joined([row(1)], [outcome(1, 2, observed=observed)]).unreadable == 1


def test_a_forecast_with_an_unreadable_time_never_stops_the_report():
    rows = [row(1, as_of="soon"), row(2, as_of="2008-01-02")]
    found = joined(rows, [outcome(2, 3, observed="2008-06-01")], horizon_days=1)
    assert len(found.labelled) == 1


def test_an_outcome_of_a_row_not_read_is_counted():
    assert joined([row(1)], [outcome(7, 9)]).orphans == 1


def test_label_delay_is_the_lower_median_in_days():
    rows = [row(leaf, as_of="2008-01-01") for leaf in (1, 2, 3, 4)]
    told = [outcome(n, n + 4, observed=f"2008-01-{1 + n:02d}") for n in (1, 2, 3, 4)]
    assert label_delay_days(joined(rows, told).labelled) == 2
    assert label_delay_days(()) is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1)), max_size=60), st.randoms())
def test_order_of_arrival_of_outcomes_never_matters(told, random):
    rows = [row(leaf) for leaf in range(10)]
    outcomes = [outcome(of, 100 + n, str(value)) for n, (of, value) in enumerate(told)]
    straight = joined(rows, outcomes)
    shuffled = list(outcomes)
    random.shuffle(shuffled)
    assert told_of(joined(rows, shuffled)) == told_of(straight)
    assert len(straight.labelled) + len(straight.unlabelled_ids) == straight.matured
    assert straight.revised == len(outcomes) - len({o.prediction_id for o in outcomes})


@given(st.sets(st.integers(0, 30)), st.integers(0, 30))
def test_taking_a_label_away_never_improves_coverage(labelled, gone):
    rows = [row(leaf) for leaf in range(31)]
    every = [outcome(of, 100 + of) for of in sorted(labelled | {30})]
    fewer = [o for o in every if o.prediction_id != f"{gone}.0" or gone == 30]
    assert joined(rows, fewer).unlabelled_share >= joined(rows, every).unlabelled_share
