"""The history that is replayed: S&P 500 days, and credit accounts in a synthetic order.

Market days come in their own order, with features of the day and the return of the next one.
The credit file has no dates: its accounts are replayed in the order of a hash, all as of the same
month, and the demo says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from models.reference import credit_default, market, trade_signal, value_at_risk
from models.reference.data import load_credit, load_sp500

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FIRST_DAY: Final = "2007-07-01"
LAST_DAY: Final = "2009-06-30"
FROZEN: Final = "2006-12-31"  # the last day the market models may learn from
HINDSIGHT: Final = "2018-12-31"  # what the rogue operator's model has seen
CREDIT_ROWS: Final = 3000
CREDIT_BATCH: Final = 100
CREDIT_AS_OF: Final = "2005-09-30"
CREDIT_OBSERVED: Final = "2005-10-31"

MARKET_MODELS: Final = {
    value_at_risk.NAME: value_at_risk.FEATURES,
    value_at_risk.BASELINE_NAME: value_at_risk.BASELINE_FEATURES,
    trade_signal.NAME: trade_signal.FEATURES,
}


@dataclass(frozen=True, slots=True)
class Account:
    """One credit account and what became of it."""

    features: Mapping[str, int]
    defaulted: int


def market_days(first: str = FIRST_DAY, last: str = LAST_DAY) -> list[market.Day]:
    """The days whose outcome falls into the period."""
    return list(market.days(load_sp500(), first, last))


def credit_batches(rows: int = CREDIT_ROWS) -> Iterator[list[Account]]:
    """Accounts no model learnt from, in batches."""
    data = load_credit()
    found = iter(
        Account(features, outcome)
        for _, features, outcome in islice(data.rows("replay", credit_default.FEATURES), rows)
    )
    while batch := list(islice(found, CREDIT_BATCH)):
        yield batch


def market_outcome(prediction_id: str, day: market.Day) -> dict[str, Any]:
    """What the next day brought, as the API takes it."""
    return {
        "prediction_id": prediction_id,
        "value": f"{day.return_pct:.6f}",
        "observed_at": day.outcome_date,
    }
