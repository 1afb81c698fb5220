"""A clock that jumps back, between commits and inside one: order is the log's own, no time is mended.

An entry says what the clock said. Nothing sorts by it: numbers, seals, key validity and what counts
as a forecast go by leaf index, and stated times can only exclude. A witness is the one exception, as
C2SP demands: its times never go back (`tests/ledger/test_witness.py`).
"""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from houses import DESK, credit_rows, make_house, reporter
from ledger.fsck import fsck
from ledger.keys import Role
from ledger.note import open_checkpoint
from ledger.record import Draft, parse_entry
from logs import only_sqlite
from service.assembly import assemble
from service.cli.audit import audit_directory
from service.clock import utc_ms
from service.correctness import correctness_report, issue_correctness
from service.errors import FieldRefused
from service.exporting import export_house
from service.honesty import issue_honesty
from service.jobs import daily_seal
from service.outcomes import Observed, record_outcomes
from service.predict import Ask, predict
from service.sealing import seal

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
# Hours from noon, as the clock shows them one after another: a leap back at every turn.
JUMPS = (0, -1, 24, -30 * 24, 1, -365 * 24, 2)


class Clock:
    """Shows what it is told, in turn, then stays at the last."""

    def __init__(self, *hours):
        self.shown = [NOON + timedelta(hours=h) for h in hours]

    def __call__(self):
        return self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]


@pytest.fixture
def house(tmp_path, database):
    made = make_house(tmp_path / "house", ("credit-default",), database_url=database or "")
    yield made
    made.engine.dispose()


def at(house, *hours):
    """The same house under another clock."""
    return assemble(house.settings, Clock(*hours))


def bodies(house, kind):
    return [parse_entry(stored.entry).body for stored in house.ledger.entries(type=kind)]


def whole(house, tmp_path):
    """Nothing is found in the stored log, nor in its export with every model run again."""
    assert fsck(house.ledger, house.engine, vault=house.vault) == []
    report = audit_directory(export_house(house, tmp_path / "export"), house.ledger.vkey)
    return report.failed == 0 and report.tree_size == house.ledger.size


def decide(house, row, **more):
    return predict(house, Ask(model="credit-default", rows=[row], caller=DESK, **more))


def test_a_clock_that_jumps_back_between_commits_changes_no_order(house, tmp_path):
    first = house.ledger.size
    for hours, row in zip(JUMPS, credit_rows(len(JUMPS)), strict=True):
        jumped = at(house, hours)
        assert decide(jumped, row).index == jumped.ledger.size - 1
        jumped.engine.dispose()
    told = bodies(house, "prediction")
    assert [body["event_time"] for body in told] == [
        utc_ms(NOON + timedelta(hours=h)) for h in JUMPS
    ], "as the clock said, neither sorted nor mended"
    assert [body["seq"] for body in told] == sorted(body["seq"] for body in told)
    sizes = [
        open_checkpoint(note, house.ledger.vkey).size for _, note in house.ledger.checkpoints()
    ]
    assert sizes[-len(JUMPS) :] == [first + 1 + n for n in range(len(JUMPS))]
    assert whole(house, tmp_path)


def test_a_clock_that_jumps_back_inside_a_commit_changes_no_order(house, tmp_path):
    jumped, before = at(house, *JUMPS), house.ledger.checkpoint()
    data = {"cause": "Test", "model_digest": None, "detail": "x"}
    drafts = [
        Draft(type="refusal", actor_id="t", data=data, event_time=jumped.now()) for _ in JUMPS
    ]
    key = house.signers[Role.PRODUCER]
    done = jumped.ledger.append_many([(draft, key) for draft in drafts])
    assert [a.index for a in done] == list(range(done[0].index, done[0].index + len(JUMPS)))
    assert len({a.receipt.checkpoint for a in done}) == 1, "one commit"
    assert [body["event_time"] for body in bodies(house, "refusal")] == [
        utc_ms(NOON + timedelta(hours=h)) for h in JUMPS
    ]
    assert before in dict(house.ledger.checkpoints()).values()
    jumped.engine.dispose()
    assert whole(house, tmp_path)


@only_sqlite
def test_retries_find_the_first_answer_whatever_the_clock_says(house):
    row, digest = credit_rows(1)[0], "0" * 64
    now, back = at(house, 0), at(house, -48)
    first = decide(now, row, idempotency_key="k", request_digest=digest)
    again = decide(back, row, idempotency_key="k", request_digest=digest)
    assert again.index == first.index
    assert again.receipt.entry == first.receipt.entry
    for opened in (now, back):
        opened.engine.dispose()


@only_sqlite
def test_seals_adjoin_though_a_later_one_is_of_an_earlier_day(house, tmp_path):
    for hours in (24, -48, 0):
        jumped = at(house, hours)
        decide(jumped, credit_rows(1)[0])
        assert "sealed" in daily_seal(jumped)
        jumped.engine.dispose()
    data = [body["data"] for body in bodies(house, "seal")]
    assert [d["period"] for d in data] == ["2026-11-25", "2026-11-22", "2026-11-24"]
    for one, following in itertools.pairwise(data):
        assert one["first_index"] + one["count"] == following["first_index"]
    assert whole(house, tmp_path)


@only_sqlite
def test_an_outcome_before_its_predictions_stated_time_is_no_hit_and_no_crash(house, tmp_path):
    """The prediction was recorded first, under a clock that was a day ahead."""
    ahead, now = at(house, 24), at(house, 0)
    leaf = decide(ahead, credit_rows(1)[0]).index
    item = Observed(str(leaf), "1", utc_ms(NOON), None, None)
    record_outcomes(now, [item], caller=reporter(), idempotency_key=None, request_digest=None)
    told = correctness_report(now, as_of_leaf=now.ledger.size - 1).to_json()
    (model,) = told["evaluated_models"]
    assert model["label_maturity"]["labelled"] == 0, (
        "observed before it was foretold, by the stated times"
    )
    assert "the outcome was known before the forecast" in str(model)
    for opened in (ahead, now):
        opened.engine.dispose()
    assert whole(house, tmp_path)


@only_sqlite
def test_what_lies_ahead_of_a_clock_that_jumped_back_is_refused_with_the_reason(house):
    """A wrong clock refuses; it never makes a record say what it does not know."""
    now, back = at(house, 0), at(house, -72)
    leaf = decide(now, credit_rows(1)[0]).index
    item = Observed(str(leaf), "1", utc_ms(NOON), None, None)
    size = house.ledger.size
    with pytest.raises(FieldRefused, match="lies in the future"):
        record_outcomes(back, [item], caller=reporter(), idempotency_key=None, request_digest=None)
    assert house.ledger.size == size
    for opened in (now, back):
        opened.engine.dispose()


@only_sqlite
def test_reports_are_issued_over_times_that_run_backwards(house, tmp_path):
    for hours, row in zip(JUMPS, credit_rows(len(JUMPS)), strict=True):
        jumped = at(house, hours)
        decide(jumped, row)
        jumped.engine.dispose()
    back = at(house, -24)
    size = back.ledger.size
    assert issue_correctness(back, actor_id="t").index >= size
    assert issue_honesty(back, actor_id="t").index > size
    seal(back, period="2026-11-24", actor_id="t")
    back.engine.dispose()
    assert whole(house, tmp_path)
