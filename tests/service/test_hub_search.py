"""Search over a house: facets of two reports kept apart, sorting by proved use, who may see what."""

import pytest
from click.testing import CliRunner

from houses import credit_rows, problem_of
from service import lifecycle
from service.cli import main
from service.hub_search_use import Metric, Use


def find(caller, **asked):
    answer = caller.get("/v1/hub/search", query_string=asked)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()


def names(found):
    return [hit["name"] for hit in found["hits"]]


def test_models_are_found_by_what_they_are_for_in_any_language(api):
    for words in ("credit card default", "Ausfallrisiko", "impago", "credit defualt"):
        assert names(find(api.trader, q=words))[0] == "credit-default", words
    assert names(find(api.trader, q="trading signal"))[0] == "trade-signal"


def test_an_empty_question_lists_every_model(api):
    found = find(api.trader, sort="name")
    assert names(found) == ["credit-default", "trade-signal"]
    assert found["total"] == 2


def test_each_hit_says_why_it_is_there(api):
    found = find(api.trader, q="credit default, not neural")
    assert found["query"]["excluded"][0]["means"] == ["neural network"]
    first = found["hits"][0]
    assert first["rank"] == 1
    assert any(reason["kind"] == "met" for reason in first["reasons"])
    assert found["does_not_say"].startswith("A place in this list does not say")


def test_a_slip_is_told(api):
    assert find(api.trader, q="credit defualt")["query"]["corrected"] == {"defualt": "default"}


def test_the_two_reports_are_two_facets_and_only_for_those_who_may_read_them(api):
    api.predict(credit_rows(1)[0])
    api.admin.post("/v1/reports/honesty", {})
    api.admin.post("/v1/reports/correctness", {})
    seen = find(api.risk, q="credit default")
    assert {"honesty", "correctness"} <= set(seen["facets"])
    first = seen["hits"][0]
    assert first["facets"]["honesty"] == ["run again, same answers"]
    assert first["facets"]["correctness"] != first["facets"]["honesty"]
    assert first["use"]["predictions"] == 1
    unseen = find(api.trader, q="credit default")
    assert not {"honesty", "correctness"} & set(unseen["facets"])
    assert unseen["hits"][0]["use"] is None
    filtered = find(api.trader, q="credit default", honesty="run again, same answers")
    assert filtered["total"] == 0, "what may not be seen cannot be asked for either"


def test_filters_narrow_the_list(api):
    everything = find(api.risk)
    assert {row["value"] for row in everything["facets"]["status"]} == {"approved"}
    task = find(api.risk, q="credit")["hits"][0]["facets"]["task"][0]
    narrowed = find(api.risk, task=task)
    assert names(narrowed) == ["credit-default"]
    assert find(api.risk, status="withdrawn")["total"] == 0


def test_models_are_sorted_by_proved_use(api):
    for row in credit_rows(3):
        api.predict(row)
    api.admin.post("/v1/reports/correctness", {})
    assert names(find(api.risk, sort="inferences"))[0] == "credit-default"
    for sort in ("labels", "metric", "validated"):
        assert sorted(names(find(api.risk, sort=sort))) == ["credit-default", "trade-signal"]


def test_figures_of_different_metrics_are_never_compared():
    def use(metric, value, low, better):
        told = Metric(metric, metric, value, low, value, "95%", 10, better)
        return Use(1, "no_alarm", 1, 1, 1, told)

    from service.hub_search import _by_metric

    key = _by_metric(
        {
            "wide": use("auc", "0.80", "0.60", "higher"),
            "narrow": use("auc", "0.78", "0.75", "higher"),
            "other": use("brier", "0.01", "0.001", "lower"),
        }
    )
    order = sorted(["wide", "narrow", "other", "none"], key=key, reverse=True)
    assert order == ["narrow", "wide", "other", "none"]


def test_a_withdrawn_model_stays_in_the_list_and_says_so(api):
    digest = find(api.risk, q="trading signal")["hits"][0]["model_digest"]
    lifecycle.withdraw(api.house, digest=digest, reason="a test", actor_id="chief")
    found = find(api.risk, q="trading signal")
    assert found["hits"][0]["status"] == "withdrawn"
    assert find(api.risk, status="withdrawn")["total"] == 1


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"sort": "truth"}, "sort"),
        ({"q": "x" * 401}, "q"),
        ({"limit": "0"}, "limit"),
        ({"offset": "-1"}, "offset"),
        ({"colour": "green"}, "colour"),
    ],
)
def test_bad_questions_name_the_field(api, asked, field):
    answer = api.trader.get("/v1/hub/search", query_string=asked)
    assert answer.status_code == 422
    assert [error["field"] for error in problem_of(answer)["errors"]] == [field]


def test_strangers_may_not_search(api):
    assert api.nobody.get("/v1/hub/search").status_code == 401


def test_the_index_may_be_deleted_while_the_house_runs(api):
    assert find(api.trader, q="credit default")["total"] >= 1
    for path in api.house.settings.data_dir.glob("search.db*"):
        path.unlink()
    assert names(find(api.trader, q="credit default"))[0] == "credit-default"


def test_the_command_finds_and_explains(house):
    house.engine.dispose()
    data_dir = str(house.settings.data_dir)
    env = {"ASSAY_DATABASE_URL": house.settings.database_url}
    run = CliRunner().invoke(
        main, ["models", "search", "credit defualt tabular", "--data-dir", data_dir], env=env
    )
    assert run.exit_code == 0, run.output
    assert "credit-default" in run.output
    assert "defualt read as default" in run.output
    none = CliRunner().invoke(
        main,
        ["models", "search", "credit", "--where", "status=withdrawn", "--data-dir", data_dir],
        env=env,
    )
    assert "no model" in none.output
    bad = CliRunner().invoke(
        main,
        ["models", "search", "credit", "--where", "colour=green", "--data-dir", data_dir],
        env=env,
    )
    assert bad.exit_code != 0
    assert "task" in bad.output
