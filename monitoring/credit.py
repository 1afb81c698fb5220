"""Metrics of a credit model: `margin_q16` against default (1) or repayment (0)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from monitoring import calibration, performance, watches
from monitoring.metrics import Kind, Metric, Table, decimal_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitoring.calibration import Band
    from monitoring.outcomes import Joined, Labelled
    from monitoring.performance import Measured

MINIMUM = 30  # labels below which a mean has no usable normal interval
MINIMUM_OF_EACH = 5  # defaults, and repayments: fewer leave a ranking to single persons


@dataclass(frozen=True, slots=True)
class CreditRow:
    """One applicant: promised probability, and whether the default came."""

    source: Labelled
    pd: float
    default: int


def read(pair: Labelled) -> CreditRow | None:
    """None when the margin is missing or the outcome is not 0 or 1."""
    margin = pair.prediction.outputs.get("margin_q16")
    if margin is None or pair.value not in (Fraction(0), Fraction(1)):
        return None
    return CreditRow(pair, calibration.probability(margin), int(pair.value))


def _pd(row: CreditRow) -> float:
    return row.pd


def _default(row: CreditRow) -> int:
    return row.default


def _over(
    compute: Callable[[Sequence[float], Sequence[int]], Measured], *, both: bool
) -> Callable[[Sequence[CreditRow]], Measured | str]:
    def measure(rows: Sequence[CreditRow]) -> Measured | str:
        if len(rows) < MINIMUM:
            return f"{len(rows)} matured labels; needs {MINIMUM}"
        bad = sum(row.default for row in rows)
        if both and min(bad, len(rows) - bad) < MINIMUM_OF_EACH:
            return (
                f"{bad} defaults among {len(rows)} labels; needs {MINIMUM_OF_EACH} of each outcome"
            )
        return compute([row.pd for row in rows], [row.default for row in rows])

    return measure


METRICS = (
    Metric(
        name="auc",
        title="Ranking (AUC)",
        meaning="The chance that a customer who defaulted had been given a higher score than one "
        "who repaid: 0.5 is a coin toss, 1 is perfect ranking.",
        unit="share",
        interval="95%, DeLong",
        measure=_over(performance.auc, both=True),
    ),
    Metric(
        name="brier",
        title="Brier score",
        meaning="The mean squared gap between the promised probability and what happened; lower is "
        "better. It rises with a riskier mix of customers even when the model has not changed.",
        unit="squared probability",
        interval="95%, normal",
        measure=_over(performance.brier, both=False),
    ),
    Metric(
        name="excess_brier",
        title="Excess Brier score",
        meaning="The Brier score beyond what the model's own probabilities lead one to expect: "
        "near 0 when they mean what they say, whatever the mix of customers.",
        unit="squared probability",
        interval="95%, normal",
        measure=_over(performance.excess_brier, both=False),
        watch=watches.excess_brier(_pd, _default),
    ),
    Metric(
        name="calibration_ratio",
        title="Defaults seen over expected",
        meaning="Observed defaults divided by the sum of promised probabilities: 1 is as promised, "
        "1.2 is a fifth more defaults than promised.",
        unit="ratio",
        interval="95%, Wilson",
        measure=_over(calibration.ratio, both=True),
        watch=watches.calibration(_pd, _default),
    ),
)


def tables(rows: Sequence[CreditRow], joined: Joined) -> list[Table]:
    """PD by band, reliability in ten groups, and what unlabelled rows could hide."""
    if not rows:
        return []
    pds, defaults = [row.pd for row in rows], [row.default for row in rows]
    groups = calibration.reliability(pds, defaults)
    error = decimal_text(calibration.calibration_error(groups))
    return [
        _band_table("PD by band", "Predicted PD", calibration.bands(pds, defaults)),
        _band_table(f"Reliability, calibration error {error}", "Tenth, lowest PD first", groups),
        _bounds(sum(defaults), len(rows), len(joined.unlabelled_ids)),
    ]


def _band_table(title: str, first: str, bands: Sequence[Band]) -> Table:
    columns = (first, "Labelled", "Mean PD", "Default rate", "Low 95%", "High 95%", "Defaults")
    return Table(title, columns, tuple(_band_row(band) for band in bands))


def _band_row(band: Band) -> tuple[str, ...]:
    if not band.n:
        return (band.name, "0", "", "", "", "", "0")
    shares = (band.expected / band.n, band.defaults / band.n, band.low, band.high)
    return (band.name, str(band.n), *(decimal_text(s, 4) for s in shares), str(band.defaults))


def _bounds(bad: int, labelled: int, missing: int) -> Table:
    total = labelled + missing
    return Table(
        "Default rate, whatever the unlabelled did",
        ("If every unlabelled customer", "Default rate"),
        (
            ("repaid", decimal_text(bad / total, 4)),
            ("is left out", decimal_text(bad / labelled, 4)),
            ("defaulted", decimal_text((bad + missing) / total, 4)),
        ),
    )


CREDIT = Kind(
    name="credit",
    series=False,
    read=read,
    metrics=METRICS,
    tables=tables,
    caveats=(
        (
            "Outcomes exist only for customers who were given credit; nothing here is known of the "
            "others."
        ),
        "The PD is the logistic function of the recorded margin.",
    ),
)
