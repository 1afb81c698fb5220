"""Charts: what they draw is in the table beside them, and odd histories still draw."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import bars, charts, figures
from dashboards.correctness import read_report

NUMBERS = re.compile(r'(?:[xy][12]?|cx|cy|height|width)="(-?[0-9.e+-]+)%?"')


@pytest.fixture
def estimate(sample):
    def make(values, *, limit=None, side="max", lows=None, highs=None):
        answer = sample.stored("correctness")
        model = answer["report"]["evaluated_models"][1]
        found = model["estimates"][0]
        found.update(limit=limit, limit_side=side)
        found["history"] = [
            {
                "window": f"w{i}",
                "value": v,
                "low": lows[i] if lows else None,
                "high": highs[i] if highs else None,
                "n": 250,
            }
            for i, v in enumerate(values)
        ]
        return next(
            m for m in read_report(answer).models if m.digest == model["model_digest"]
        ).estimates[0]

    return make


@pytest.mark.parametrize(
    "path",
    [
        "/models/value-at-risk",
        "/models/value-at-risk/backtest",
        "/models/credit-default/performance",
    ],
)
def test_every_chart_has_its_table_with_every_point(site, path):
    source = site.page(path).source
    found = re.findall(r'<figure class="figure.*?</figure>', source, re.DOTALL)
    assert len(found) == source.count('class="plot"')
    assert found
    for figure in found:
        assert figure.count("<table>") == 1
        places = set(re.findall(r'data-x="[0-9.]+%" data-i="([0-9]+)"', figure))
        assert places
        assert places == set(re.findall(r'<tr data-i="([0-9]+)"', figure))
        assert re.search(r'<figcaption class="told">[^<]+</figcaption>', figure)
        assert ".csv" in figure
        assert "?report=171" in figure


def test_chart_tells_its_trend_and_limit_in_words(estimate):
    said = charts.told(estimate(["1", "12"], limit="9"))
    assert "12 days of" not in said
    assert said.endswith(
        "12 in the newest window (to w1), up from 1 in the first of 2. "
        "The signed limit is at most 9: crossed in 1 window."
    )


@pytest.mark.parametrize(
    ("values", "limit", "end"),
    [
        (["2", "1"], None, "down from 2 in the first of 2. No limit was signed for it."),
        (
            ["2", "2"],
            "3",
            "as in the first of 2. The signed limit is at most 3: crossed in no window.",
        ),
        (["2"], None, "2 in the newest window (to w0). No limit was signed for it."),
        ([None], None, "no closed window yet."),
    ],
)
def test_caption_says_trend_latest_and_limit(estimate, values, limit, end):
    assert charts.told(estimate(values, limit=limit)).endswith(end)


def test_table_marks_what_lies_beyond_the_limit(estimate):
    figure = figures.of_estimate(estimate(["1", "12"], limit="9"), "c")
    assert [row[-1] for row in figure.rows] == ["", "beyond"]
    assert "mark" not in [c.role for c in figures.of_estimate(estimate(["1"]), "c").columns]


def test_point_beyond_the_limit_has_another_shape(estimate):
    drawn = charts.history(estimate(["1", "12"], limit="9"), ident="c")
    assert drawn.count('class="off"') == 1
    assert drawn.count('class="pt dot"') == 1


@pytest.mark.parametrize(("side", "values"), [("max", ["9"]), ("min", ["9"])])
def test_point_on_the_limit_is_not_beyond_it(estimate, side, values):
    assert 'class="off"' not in charts.history(estimate(values, limit="9", side=side), ident="c")


def test_history_without_a_figure_draws_nothing(estimate):
    assert charts.history(estimate([None, None]), ident="c") == ""
    assert charts.history(estimate([]), ident="c") == ""


def test_missing_window_leaves_a_gap(estimate):
    drawn = charts.history(estimate(["1", "2", None, "3", "4"]), ident="c")
    assert drawn.count("<polyline") == 2


def test_wide_interval_does_not_flatten_the_line(estimate):
    drawn = charts.history(
        estimate(["10", "11"], lows=["0", "0"], highs=["9000", "9000"]), ident="c"
    )
    heights = [float(y) for y in re.findall(r'cy="([0-9.]+)"', drawn)]
    assert abs(heights[0] - heights[1]) > 10


def test_long_history_keeps_shapes_for_points_beyond_the_limit_only(estimate):
    drawn = charts.history(estimate([str(i) for i in range(200)], limit="190"), ident="c")
    assert drawn.count('class="off"') == 9
    assert drawn.count('r="0"') == 191


decimals = st.one_of(
    st.none(),
    st.decimals(-1000000, 1000000, places=6, allow_nan=False).map(str),
    st.sampled_from(["NaN", "Infinity", "x", "", "1e-300", "0.000000", "-0"]),
)


@given(
    st.lists(st.tuples(decimals, decimals, decimals), max_size=40),
    decimals,
    st.sampled_from(["max", "min", "", "odd"]),
)
def test_any_history_draws_inside_its_frame(points, limit, side):
    model = {
        "model_digest": "d",
        "estimates": [
            {
                "metric": "m",
                "limit": limit,
                "limit_side": side,
                "history": [
                    {"window": "w", "value": v, "low": a, "high": b, "n": 3} for v, a, b in points
                ],
            }
        ],
    }
    report = {"leaf_index": 1, "issued_at": "t", "report": {"evaluated_models": [model]}}
    drawn = charts.history(read_report(report).models[0].estimates[0], ident="c", height=190)
    assert "nan" not in drawn.lower().replace("w: nan", "")
    for text in NUMBERS.findall(drawn):
        assert -10 <= float(text) <= 1000
    assert drawn.count("<svg") == drawn.count("</svg>")


def test_maturity_bar_needs_a_prediction():
    assert bars.maturity({"predictions": 0}) == ""
    assert bars.maturity({}) == ""


def test_maturity_bar_shares_out_all_predictions():
    drawn = bars.maturity({"predictions": 200, "matured": 150, "labelled": 100})
    assert 'class="labelled" x="0" y="0" width="50.000%"' in drawn
    assert 'class="owed" x="50.000%" y="0" width="25.000%"' in drawn


@pytest.mark.parametrize(
    ("n", "zone"),
    [(0, "green"), (4, "green"), (5, "amber"), (9, "amber"), (10, "red"), (40, "red")],
)
def test_zone_scale_marks_the_count(n, zone):
    drawn = bars.traffic_light({"columns": ["Exceedances", "Zone"], "rows": [[str(n), zone]]})
    assert drawn.count(f'class="zone {zone} here"') == 1
    assert f"{n} exceedances, {zone} zone" in drawn


def test_zone_scale_of_no_number_draws_nothing():
    assert bars.traffic_light({"columns": ["Exceedances"], "rows": [["many"]]}) == ""


def test_contribution_bars_start_left_unless_the_column_has_both_signs():
    assert 'x="0.00%" y="1" width="100.00%"' in bars.bar(5, [5, 3])
    assert 'x="50.00%" y="1" width="50.00%"' in bars.bar(5, [5, -3])
    assert 'class="down" x="20.00%" y="1" width="30.00%"' in bars.bar(-3, [5, -3])


@given(st.integers(-(2**53), 2**53), st.lists(st.integers(-(2**53), 2**53)))
def test_contribution_bar_stays_in_its_cell(value, column):
    drawn = bars.bar(value, [value, *column])
    x, width = (
        float(v) for v in re.search(r'x="([0-9.-]+)%" y="1" width="([0-9.-]+)%"', drawn).groups()
    )
    assert x >= 0
    assert x + width <= 100.01


@pytest.mark.parametrize(
    "values",
    [
        ["40", "30", "20", "10"],
        ["10", "20", "30", "40"],
        ["11", "29", "30", "12"],
        ["8", "9", "7", "9"],
    ],
)
def test_limit_is_named_where_no_point_lies(estimate, values):
    drawn = charts.history(estimate(values, limit="9"), ident="c")
    label = re.search(r'class="limit-label" x="(1|99)%" y="([0-9.]+)"', drawn)
    near = 0 if label[1] == "1" else -1
    heights = re.findall(r'class="(?:off" x="-4" y|pt dot" cx="[0-9.]+%" cy)="([0-9.]+)"', drawn)
    assert abs(float(heights[near]) - (float(label[2]) - 4)) > 7


def test_window_beyond_a_limit_without_alarm_is_explained(site):
    model = site.house.answers["/v1/reports/correctness"]["report"]["evaluated_models"][0]
    told = "beyond the limit without an alarm"
    assert told not in site.page("/models/credit-default/performance").words
    model["estimates"][0]["history"][0]["value"] = "0.6986"
    assert told in site.page("/models/credit-default/performance").words
