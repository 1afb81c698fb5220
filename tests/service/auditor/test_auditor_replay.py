"""Running it again: five outcomes, counted by model and never mixed."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.auditor import replay
from service.auditor.bundle import RecordedRow
from service.auditor.replay import (
    BATCH_ROWS,
    FINDINGS_KEPT,
    Comparison,
    ModelRefused,
    ModelUnavailable,
    replay_bundle,
)
from service.verification.evidence import Verdict
from service.verification.policy import DEFAULT_POLICY, Policy, Rule

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@dataclass
class Said:
    outputs: dict
    decision: str = "flat"
    refused: str | None = None


@dataclass
class Recorded:
    """A bundle of which replay reads the rows only."""

    kept: list = field(default_factory=list)
    erased: frozenset = frozenset()

    def parts(self):
        return [self]

    def rows(self):
        return iter(self.kept)

    def batches(self):
        return iter(())


def row(leaf=0, *, output="7", model=A, inputs=(("x", "1"),), decision="flat", erased=False):
    outputs = {} if output is None else {"margin_q16": output}
    given = None if inputs is None else dict(inputs)
    return RecordedRow(leaf, 0, model, "m", given, outputs, decision, erased)


def always(outputs=(("margin_q16", "7"),), **more):
    return lambda digest: lambda rows: [Said(dict(outputs), **more) for _ in rows]


def run(rows, load=None, policy=DEFAULT_POLICY, **options):
    return replay_bundle(Recorded(rows), load or always(), policy=policy, **options)


def counts(result, model=A):
    return next(e.counts for e in result.executions if e.model_digest == model)


def tolerant(limit):
    return Policy("t", Rule(tolerances={"margin_q16": limit}))


def test_the_same_texts_are_bit_exact():
    result = run([row()])
    assert counts(result) == {Comparison.BIT_EXACT: 1}
    assert result.executions[0].verdict is Verdict.VERIFIED
    assert not result.findings
    assert result.replayed == 1


@given(
    recorded=st.integers(-(2**53), 2**53),
    again=st.integers(-(2**53), 2**53),
    limit=st.integers(0, 100),
)
def test_tolerance_is_the_largest_difference_and_exact_is_told_apart(recorded, again, limit):
    near = recorded + (again % (2 * limit + 3) - limit - 1)
    result = run(
        [row(output=str(recorded))],
        always({"margin_q16": str(near)}.items()),
        tolerant(limit),
    )
    difference = abs(recorded - near)
    expected = (
        Comparison.BIT_EXACT
        if not difference
        else Comparison.WITHIN_TOLERANCE
        if difference <= limit
        else Comparison.DIFFERENT
    )
    assert counts(result) == {expected: 1}


@pytest.mark.parametrize(
    "recorded",
    [
        "7.0",
        "+7",
        "07",
        " 7",
        "7e0",
        "\N{ARABIC-INDIC DIGIT SEVEN}",
        "",
        "NaN",
        "7\n",
        "1" * 17,
        "0x7",
    ],
)
def test_only_plain_integers_are_compared_within_a_tolerance(recorded):
    result = run([row(output=recorded)], policy=tolerant(5))
    assert counts(result) == {Comparison.DIFFERENT: 1}


DIFFERENT = {
    "an output": (row(output="8"), always(), "output margin_q16"),
    "a decision": (row(decision="long"), always(), "decision"),
    "an output not recorded": (row(output=None), always(), "output margin_q16"),
    "an output the model does not make": (row(), always(()), "output margin_q16"),
    "inputs refused": (row(), always(refused="x: is not a number"), "prediction 0.0"),
}


@pytest.mark.parametrize(("recorded", "load", "where"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_a_difference_names_itself(recorded, load, where):
    result = run([recorded], load)
    assert counts(result) == {Comparison.DIFFERENT: 1}
    assert result.executions[0].verdict is Verdict.FAILED
    assert result.failed == 1
    assert result.findings[0].leaf == 0
    assert where in result.findings[0].subject


def test_a_tolerance_never_excuses_a_missing_output_or_another_decision():
    assert run([row(output=None)], policy=tolerant(2**52)).failed == 1
    assert run([row(decision="long")], policy=tolerant(2**52)).failed == 1


def test_rows_that_cannot_be_run_are_told_apart_from_rows_that_differ():
    result = run([row(), row(1, inputs=None), row(2, inputs=None, erased=True)])
    assert counts(result) == {
        Comparison.BIT_EXACT: 1,
        Comparison.NOT_REPLAYABLE: 1,
        Comparison.ERASED: 1,
    }
    assert result.executions[0].verdict is Verdict.NOT_CHECKED
    assert result.failed == 0


def test_erased_rows_leave_the_rest_verified_and_all_erased_is_not_checked():
    erased = row(1, inputs=None, erased=True)
    assert run([row(), erased]).executions[0].verdict is Verdict.VERIFIED
    assert run([erased]).executions[0].verdict is Verdict.NOT_CHECKED


def test_a_model_that_is_not_there_is_no_failure():
    def load(digest):
        raise ModelUnavailable(f"{digest} is not in the export")

    result = run([row(), row(1)], load)
    assert counts(result) == {Comparison.NOT_REPLAYABLE: 2}
    assert result.failed == 0
    assert "not in the export" in result.unavailable[A]


def test_a_model_that_must_not_be_run_fails_once_at_its_first_use():
    asked = []

    def load(digest):
        asked.append(digest)
        raise ModelRefused("test vector 0 differs")

    rows = [row(leaf) for leaf in range(3, 3 + 2 * BATCH_ROWS)]
    result = run(rows, load)
    assert asked == [A]
    assert (result.failed, len(result.findings)) == (1, 1)
    assert result.findings[0].leaf == 3
    assert result.findings[0].got == "test vector 0 differs"


def test_models_are_counted_apart_and_loaded_once_each():
    asked = []

    def load(digest):
        asked.append(digest)
        return always()(digest)

    result = run([row(i, model=(A, B)[i % 2]) for i in range(2 * BATCH_ROWS + 6)], load)
    assert sorted(asked) == [A, B]
    assert [e.model_digest for e in result.executions] == [A, B]
    assert counts(result, B) == {Comparison.BIT_EXACT: BATCH_ROWS + 3}


def test_a_batch_is_bounded_and_keeps_its_order(monkeypatch):
    monkeypatch.setattr(replay, "BATCH_ROWS", 3)
    sizes = []

    def load(digest):
        def rerun(rows):
            sizes.append(len(rows))
            return [Said({"margin_q16": r["x"]}) for r in rows]

        return rerun

    rows = [row(i, output=str(i), inputs=(("x", str(i)),)) for i in range(8)]
    assert counts(run(rows, load)) == {Comparison.BIT_EXACT: 8}
    assert sizes == [3, 3, 2]


def test_a_model_that_answers_too_few_rows_is_our_own_mistake():
    with pytest.raises(ValueError, match="shorter"):
        run([row(), row(1)], lambda digest: lambda rows: [Said({"margin_q16": "7"})])


def test_progress_is_told_of_every_row():
    told = []
    run([row(), row(1, inputs=None), row(2, output="8")], progress=told.append)
    assert sum(told) == 3


def test_findings_are_bounded_in_leaf_order_and_all_are_counted():
    result = run([row(leaf, output="8") for leaf in range(FINDINGS_KEPT + 50)])
    assert result.failed == FINDINGS_KEPT + 50
    assert len(result.findings) == FINDINGS_KEPT
    assert [f.leaf for f in result.findings] == sorted(f.leaf for f in result.findings)


# With the real runtime, out of a real export.


def test_lucky_answers_under_an_approved_digest_are_exposed_by_replay_alone(house, audit, failed):
    """Signed, included, sequenced, approved: and not what the model computes."""
    leaf = house.predict(house.digest, (1.0, 2.0), output=999_999)
    report = audit(house)
    names, first = failed(report)
    assert names == ["execution"]
    assert first["execution"].leaf == leaf
    assert first["execution"].got == "999999"
    assert report.executions[0].counts[Comparison.DIFFERENT] == 1
    assert report.executions[0].counts[Comparison.BIT_EXACT] == 8


def test_another_decision_than_the_outputs_lead_to_is_exposed(house, audit, failed):
    house.predict(house.digest, (-3.0, 0.0), decision="long")
    assert failed(audit(house))[0] == ["execution"]


def test_inputs_outside_the_models_schema_are_exposed(house, audit, failed):
    house.predict(house.digest, (1000.0, 0.0))
    names, first = failed(audit(house))
    assert names == ["execution"]
    assert "x" in first["execution"].got


def test_an_output_that_strays_within_the_policys_tolerance_is_counted_as_that(log, audit, made):
    policy = Policy("near", Rule(tolerances={"margin_q16": 2}))
    digest = log.publish()
    log.approve(digest)
    log.predict(digest, (1.0, 2.0), output=5 * 65536 + 32768 + 2, policy_digest=policy.digest)
    report = audit(log, policy=policy)
    assert report.failed == 0
    assert report.executions[0].counts == {Comparison.WITHIN_TOLERANCE: 1}


def test_a_published_manifest_that_fails_its_own_test_vectors_is_not_run(log, audit, failed, made):
    import dataclasses

    vector = dataclasses.replace(made().vectors[0], outputs={"margin_q16": 1})
    digest = log.publish(dataclasses.replace(made(), vectors=(vector,)))
    log.approve(digest)
    leaf = log.predict(digest)
    report = audit(log)
    names, first = failed(report)
    assert names == ["execution"]
    assert first["execution"].leaf == leaf
    assert report.executions[0].counts == {Comparison.NOT_REPLAYABLE: 1}


def test_openings_withheld_leave_execution_unchecked_and_fail_nothing(house, tmp_path):
    from ledger.layout import WITHHELD
    from service.cli.audit import audit_directory, exit_status

    where = house.write(tmp_path / "withheld", openings=WITHHELD)
    report = audit_directory(where, house.vkey)
    assert report.failed == 0
    assert [c.check for c in report.unchecked] == ["execution"]
    assert "withholds openings" in report.unchecked[0].detail
    assert exit_status(report) == 2


def test_both_bars_reach_their_end(house, audit):
    from service.cli.audit import Progress

    log, rows = [], []
    audit(
        house,
        progress=Progress(
            log=lambda done, total: log.append((done, total)),
            replay=lambda done, total: rows.append((done, total)),
        ),
    )
    assert log[-1] == (len(house.entries), len(house.entries))
    assert rows[-1] == (8, 8)
