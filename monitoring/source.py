"""What monitoring reads, not from whom: predictions, outcomes and limits of one model.

Whoever adapts a store to `PredictionSource` hands over every readable row in ledger order, and
never leaves one out because of what evidence says about it: correct never reads honest.

Units: `_q16` outputs are integers in units of 2^-16. A value at risk is a loss, so positive in bad
times, in percent; an outcome `return_pct` is a signed return in percent. Times are text as
recorded, UTC with milliseconds or a plain date. A leaf index says what was recorded before what;
no clock is read here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitoring.columns import Outcomes, Predictions


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row of one recorded prediction."""

    prediction_id: str  # "17.3": leaf and row
    leaf_index: int
    row_index: int
    model_digest: str
    as_of: str | None  # the instant the features describe, as the caller stated it
    predicted_at: str  # when the record was made
    outputs: Mapping[str, int]
    decision: str
    features: Mapping[str, float | None]
    groups: Mapping[str, str] = field(default_factory=dict)  # for slices; never a model's input


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was reported to have happened after one row."""

    prediction_id: str
    leaf_index: int
    value: str  # decimal text
    observed_at: str
    arrived_at: str
    revises: int | None  # leaf of the outcome it corrects


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit signed for one metric. It judges only predictions recorded after `leaf_index`."""

    leaf_index: int
    metric: str
    limit: str  # decimal text
    side: str  # "min": alarm below; "max": alarm above
    tolerance: str  # how far past the limit before it counts as crossed
    window: str  # "all", or "250" / "250d": closed blocks of that many labelled forecasts
    minimum_labels: int
    detector: str  # threshold, interval, or e-sr and its parameters (`detectors.parse_detector`)


@dataclass(frozen=True, slots=True)
class Closing:
    """A person closed the alarm of the limit at `limit_leaf`."""

    leaf_index: int
    limit_leaf: int


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What evaluation must know of a model beside its rows."""

    model_digest: str
    model_name: str
    kind: str  # credit, value_at_risk or signal
    threshold_q16: int | None
    horizon_days: int | None = None  # a label counts from forecast + horizon; None: by sequence
    trials: int | None = None  # how many signals were tried before this one; None: not recorded


class PredictionSource(Protocol):
    """Rows of one model up to some leaf, each iterable in ledger order."""

    def predictions(self, model_digest: str) -> Iterable[Prediction] | Predictions:
        """Every readable row the model predicted, one by one or as columns."""

    def outcomes(self, model_digest: str) -> Iterable[Outcome] | Outcomes:
        """Every outcome of those rows, revisions included."""

    def limits(self, model_digest: str) -> Iterable[Limit]:
        """Every limit signed for the model."""

    def readings(self) -> Iterable[int]:
        """Leaves up to which the correctness reports of the range evaluated."""

    def closings(self, model_digest: str) -> Iterable[Closing]:
        """Every closing of an alarm of the model."""

    def progress(self, model_digest: str) -> Mapping[int, Mapping[str, Any]]:
        """Detectors' progress by leaf of their limit, as an earlier report holds it.

        May be empty: everything is then read again from the first leaf, to the same bits.
        """
