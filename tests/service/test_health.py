"""Alive, ready, measured: what machines ask, and what they are told when something is broken."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from houses import Api, break_storage, make_house, mend_storage, problem_of
from logs import only_sqlite


def metrics(api):
    answer = api.nobody.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.get_data(as_text=True))
        for sample in family.samples
    }


def requests(api, route, status, method="GET"):
    labels = (("method", method), ("route", route), ("status", str(status)))
    return metrics(api).get(("assay_http_requests_total", *labels), 0)


def test_all_three_are_open_and_name_nobody(api):
    api.predict(caller_reference="Ms Example")
    for path in ("/livez", "/readyz", "/metrics"):
        answer = api.nobody.get(path)
        assert answer.status_code == 200
        for word in ("credit-default", "trader-person", api.trader.key_id, "Example"):
            assert word not in answer.get_data(as_text=True)


def test_ready_says_how_many_entries_there_are(api):
    assert api.nobody.get("/readyz").get_json()["tree_size"] == api.house.ledger.size


def test_a_log_that_cannot_be_read_is_not_ready_and_still_alive_and_measured(api):
    size = api.house.ledger.size
    assert metrics(api)["assay_ledger_tree_size",] == size
    break_storage(api.house)
    answer = api.nobody.get("/readyz")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    problem_of(answer)
    assert api.nobody.get("/livez").status_code == 200
    assert metrics(api)["assay_ledger_tree_size",] == size, "it stands where it was last read"
    assert requests(api, "/readyz", 503) == 1
    mend_storage(api.house)
    assert api.nobody.get("/readyz").status_code == 200


@only_sqlite
@pytest.mark.parametrize("fault", ["moved away", "emptied", "another file"])
def test_readiness_ends_when_the_database_is_not_there(house, fault):
    api = Api(house)
    assert api.nobody.get("/readyz").status_code == 200
    house.engine.dispose()
    for path in house.settings.data_dir.glob("assay.db*"):
        if fault == "moved away":
            path.rename(path.with_suffix(".gone"))
        else:
            path.write_bytes(b"" if fault == "emptied" else b"not a database" * 1000)
    answer = api.nobody.get("/readyz")
    assert answer.status_code == 503
    assert str(house.settings.data_dir) not in answer.get_data(as_text=True)
    assert api.nobody.get("/livez").status_code == 200


def test_requests_are_counted_by_route_and_not_by_what_callers_make_up(api):
    for leaf in range(5):
        api.risk.get(f"/v1/ledger/entries/{leaf}")
    for n in range(5):
        api.nobody.get(f"/made-up-{n}")
        api.nobody.open("/v1/models", method=f"MADE{n}")
    assert requests(api, "/v1/ledger/entries/<int:leaf_index>", 200) == 5
    assert requests(api, "unknown", 404) == 5
    told = api.nobody.get("/metrics").get_data(as_text=True)
    assert "made-up" not in told
    assert "MADE" not in told
    assert 'method="other"' in told


def test_a_page_is_one_request_and_not_the_five_it_reads(api):
    browser = api.browser(api.risk)
    browser.get("/")
    assert requests(api, "/", 200) == 1
    assert not re.search(r'route="/v1/', api.nobody.get("/metrics").get_data(as_text=True))


def test_time_is_measured_for_each_request(api):
    api.predict()
    told = metrics(api)
    assert told["assay_http_request_seconds_count", ("route", "/v1/predictions")] == 1
    assert 0 < told["assay_http_request_seconds_sum", ("route", "/v1/predictions")] < 10


def test_two_applications_count_apart(tmp_path):
    first, second = (Api(make_house(tmp_path / name, models=())) for name in ("a", "b"))
    first.nobody.get("/livez")
    assert requests(first, "/livez", 200) == 1
    assert requests(second, "/livez", 200) == 0
