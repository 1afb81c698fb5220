"""What the house's risk committee signs before the first decision: limits, and nothing clever.

They judge only what is recorded after them; see docs/correctness.md for each metric.
"""

from __future__ import annotations

from typing import Final

from models.reference import credit_default, trade_signal, value_at_risk
from service.lifecycle import LimitTerms

# Basel: ten exceedances of a 99% VaR in 250 days put a bank in the red zone.
_RED_ZONE: Final = LimitTerms(
    metric="exceedances_990_250d",
    limit="9",
    side="max",
    tolerance="0",
    window="250",
    minimum_labels=250,
    detector="threshold",
)

LIMITS: Final = {
    credit_default.NAME: (
        LimitTerms("auc", "0.70", "min", "0", "all", 500, "interval"),
        LimitTerms("brier", "0.20", "max", "0", "all", 500, "interval"),
    ),
    value_at_risk.NAME: (_RED_ZONE,),
    value_at_risk.BASELINE_NAME: (_RED_ZONE,),
    trade_signal.NAME: (LimitTerms("hit_rate", "0.45", "min", "0", "all", 250, "interval"),),
}
