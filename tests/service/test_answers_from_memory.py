"""What is answered out of memory is what the log says when it is read again."""

import pytest

from houses import Api, credit_rows, make_house, signal_days
from models.reference import trade_signal


@pytest.fixture
def api(tmp_path):
    return Api(make_house(tmp_path / "house"))


ROWS = credit_rows(3)
BODIES = {
    "one": {"features": ROWS[0]},
    "with a reference": {
        "features": ROWS[1],
        "caller_reference": "order 7",
        "as_of": "2008-09-15",
    },
    "three": {"rows": ROWS, "subject": "sub_one", "caller_reference": "order 8"},
}


@pytest.mark.parametrize("name", BODIES)
def test_the_answer_is_the_record(api, name):
    body = BODIES[name]
    given = api.trader.post("/v1/predictions", {"model": "credit-default", **body}, "key-1")
    assert given.status_code == 200, given.json
    again = api.trader.get(f"/v1/predictions/{given.json['prediction_id']}").json
    assert given.json == again
    repeated = api.trader.post("/v1/predictions", {"model": "credit-default", **body}, "key-1")
    assert repeated.json == given.json


def test_a_model_without_reasons_too(api):
    features = signal_days(1)[0].of(trade_signal.FEATURES)
    given = api.trader.post("/v1/predictions", {"model": "trade-signal", "features": features})
    assert given.json == api.trader.get(f"/v1/predictions/{given.json['prediction_id']}").json
