"""Metrics of a credit model: `margin_q16` against default (1) or repayment (0)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from monitoring import calibration, label_free, performance, slices, watches
from monitoring.columns import given, is_decimal
from monitoring.metrics import Kind, Metric, Table, decimal_text
from monitoring.outcomes import fraction
from monitoring.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from monitoring.calibration import Band
    from monitoring.outcomes import Joined, Labelled, LabelledRows
    from monitoring.performance import Measured

MINIMUM = 30  # labels below which a mean has no usable normal interval
MINIMUM_OF_GROUPS = 100  # ten groups of ten
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


def _rows(labelled: LabelledRows) -> Rows[CreditRow]:
    """`read` for all at once."""
    rows = labelled.rows
    margins = rows.outputs.get("margin_q16", np.zeros(len(rows), np.int64))
    has = given(rows.outputs_given, "margin_q16", len(rows))[labelled.at_row]
    default = labelled.outcomes.value.each(_flag, np.int64, -1)[labelled.at_outcome]
    kept = np.flatnonzero(has & (default >= 0))
    found = labelled.take(kept)
    columns = {
        "pd": calibration.probabilities(margins[found.at_row]),
        "default": default[kept],
    }
    return Rows(found, columns, read)


def _flag(text: str) -> int:
    value = fraction(text) if is_decimal(text) else Fraction(2)
    return int(value) if value in (Fraction(0), Fraction(1)) else -1


def _over(
    compute: Callable[[ArrayLike, ArrayLike], Measured | str],
    *,
    both: bool,
    fewest: int = MINIMUM,
) -> Callable[[Rows[CreditRow]], Measured | str]:
    def measure(rows: Rows[CreditRow]) -> Measured | str:
        if len(rows) < fewest:
            return f"{len(rows)} matured labels; needs {fewest}"
        bad = int(rows.columns["default"].sum())
        if both and min(bad, len(rows) - bad) < MINIMUM_OF_EACH:
            return (
                f"{bad} defaults among {len(rows)} labels; needs {MINIMUM_OF_EACH} of each outcome"
            )
        return compute(rows.columns["pd"], rows.columns["default"])

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
        watch=watches.excess_brier(),
    ),
    Metric(
        name="calibration_ratio",
        title="Defaults seen over expected",
        meaning="Observed defaults divided by the sum of promised probabilities: 1 is as promised, "
        "1.2 is a fifth more defaults than promised.",
        unit="ratio",
        interval="95%, Wilson",
        measure=_over(calibration.ratio, both=True),
        watch=watches.calibration(),
    ),
    Metric(
        name="gini",
        title="Gini coefficient",
        meaning="Twice the AUC less one: 0 is a coin toss, 1 is perfect ranking.",
        unit="share",
        interval="95%, DeLong",
        measure=_over(performance.gini, both=True),
    ),
    Metric(
        name="ks",
        title="Kolmogorov-Smirnov distance",
        meaning="The largest gap between the shares of defaulters and of repayers up to a score.",
        unit="share",
        interval="95%, Dvoretzky-Kiefer-Wolfowitz on both sides; errs on the wide side",
        measure=_over(performance.ks, both=True),
    ),
    Metric(
        name="calibration_error",
        title="Expected calibration error",
        meaning="The mean gap between promised and seen default rate over ten groups of equal "
        "size. A model whose probabilities are right has one above 0 too.",
        unit="share",
        interval="95%, normal bounds of ten groups at once; errs on the wide side",
        measure=_over(calibration.expected_calibration_error, both=False, fewest=MINIMUM_OF_GROUPS),
    ),
    Metric(
        name="hosmer_lemeshow_p",
        title="Hosmer-Lemeshow test",
        meaning="How often probabilities that are right would miss the defaults of ten groups by "
        "at least this much. Looked at every month it crosses 5% by chance in most years.",
        unit="p-value",
        interval="none: a p-value has no interval",
        measure=_over(calibration.hosmer_lemeshow, both=True, fewest=MINIMUM_OF_GROUPS),
    ),
)


def tables(rows: Rows[CreditRow], joined: Joined) -> list[Table]:
    """PD by band, reliability, bounds for the unlabelled, slices, groups, label-free estimate."""
    if not len(rows):
        return label_free.tables(rows, joined)
    pds, defaults = rows.columns["pd"], rows.columns["default"]
    groups = calibration.reliability(pds, defaults)
    error = decimal_text(calibration.calibration_error(groups))
    return [
        _band_table("PD by band", "Predicted PD", calibration.bands(pds, defaults)),
        _band_table(f"Reliability, calibration error {error}", "Tenth, lowest PD first", groups),
        _bounds(int(defaults.sum()), len(rows), len(joined.unlabelled)),
        *slices.worst_table(rows),
        *slices.group_tables(rows),
        *label_free.tables(rows, joined),
    ]


def _band_table(title: str, first: str, bands: Sequence[Band]) -> Table:
    columns = (first, "Labelled", "Mean PD", "Default rate", "Low 95%", "High 95%", "Defaults")
    return Table(title, columns, tuple(_band_row(band) for band in bands))


def _band_row(band: Band) -> tuple[str, ...]:
    if not band.n:
        return (band.name, "0", "", "", "", "", "0")
    shares = (band.expected / band.n, band.defaults / band.n, *band.interval)
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
    rows=_rows,
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
