"""The two reports as their cards read them."""

import pytest

from dashboards import correctness, honesty


@pytest.fixture
def honest(sample):
    def make(*verdicts, executions=()):
        answer = sample.honesty()
        answer["report"]["checks"] = [
            {"check": f"c{i}", "verdict": v, "counts": {"examined": 0 if v == "IDLE" else 5}}
            | ({"verdict": "NOT_CHECKED"} if v == "IDLE" else {})
            for i, v in enumerate(verdicts)
        ]
        answer["report"]["executions"] = [
            {"model_digest": f"m{i}", "verdict": v, "counts": {}} for i, v in enumerate(executions)
        ]
        return honesty.read_report(answer)

    return make


@pytest.mark.parametrize(
    ("verdicts", "executions", "expected"),
    [
        (["VERIFIED", "VERIFIED"], ["VERIFIED"], "VERIFIED"),
        (["VERIFIED", "FAILED", "NOT_CHECKED"], [], "FAILED"),
        (["VERIFIED"], ["FAILED"], "FAILED"),
        (["VERIFIED", "NOT_CHECKED"], [], "NOT_CHECKED"),
        (["VERIFIED"], ["NOT_CHECKED"], "NOT_CHECKED"),
        (["VERIFIED", "IDLE"], [], "VERIFIED"),
        (["IDLE"], [], "NOT_CHECKED"),
        ([], [], "NOT_CHECKED"),
        (["VERIFIED", "SOMETHING_NEW"], [], "NOT_CHECKED"),
    ],
)
def test_card_shows_the_worst_verdict(honest, verdicts, executions, expected):
    assert honest(*verdicts, executions=executions).verdict == expected


def test_check_that_was_switched_off_is_not_idle(sample):
    answer = sample.honesty()
    answer["report"]["checks"][-1] = {
        "check": "execution",
        "verdict": "NOT_CHECKED",
        "counts": {"examined": 0, "failed": 0, "unchecked": 0},
        "detail": "replay was switched off",
    }
    assert honesty.read_report(answer).verdict == "NOT_CHECKED"


def test_first_finding_is_of_a_failed_check(sample):
    answer = sample.honesty(failing="execution")
    left = {"check": "provenance", "leaf": 7, "expected": "a", "got": "b", "subject": "m"}
    answer["report"]["findings"].insert(0, left)
    assert honesty.read_report(answer).first["check"] == "execution"


def test_executions_always_name_what_was_run_again(sample):
    lines = honesty.read_report(sample.honesty(failing="execution")).executions[-1].lines
    assert lines == [
        ("Run again, bit-exact", 24),
        ("Run again, within declared tolerance", 0),
        ("Run again, different", 3),
    ]


def report(sample, *standings):
    answer = sample.stored("correctness")
    first = answer["report"]["evaluated_models"][0]
    answer["report"]["evaluated_models"] = [first | {"standing": s} for s in standings]
    return correctness.read_report(answer)


@pytest.mark.parametrize(
    ("standings", "state", "word"),
    [
        (["no_alarm", "alarm"], "cancelled", "Alarm for 1 of 2"),
        (["no_alarm", "no_alarm"], "struck", "No alarm"),
        (["no_alarm", "not_yet_judgeable"], "unstruck", "Not yet judgeable"),
        (["exploratory"], "unstruck", "Not yet judgeable"),
        ([], "unstruck", "Not yet judgeable"),
    ],
)
def test_card_never_reads_silence_as_good(sample, standings, state, word):
    found = report(sample, *standings)
    assert (found.state, found.word) == (state, word)


def test_overview_shows_the_crossed_limit_first(sample):
    answer = sample.stored("correctness")
    model = answer["report"]["evaluated_models"][1]
    model["estimates"].reverse()
    view = correctness.read_report(answer).models[1]
    assert view.headline.metric == "exceedances_990_250d"


def test_reason_names_the_metric_by_its_title(sample):
    view = correctness.read_report(sample.stored("correctness")).models[1]
    assert view.reason.startswith("Exceedances of the 99% VaR in 250 days above the limit 9")
