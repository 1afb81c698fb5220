"""Champion against challenger: the same requests, the same outcomes, the difference pair by pair.

Two answers to one request share the customer or the day, so their losses are subtracted before
anything is averaged: what made the day hard cancels. The difference is challenger less champion;
below 0 the challenger lost less. Losses, each with its source:

- credit: the Brier score, (p - y)^2 (Brier, Monthly Weather Review 78, 1950);
- value at risk: the quantile loss at 1% and 2.5%, (a - 1{r < q})(r - q) in percent (Koenker and
  Bassett, Econometrica 46, 1978; Gneiting, JASA 106, 2011: what a quantile forecast should be
  judged by), the return beyond 10% counted as 10%;
- signal: the share of wrong days.

**Interval.** 95%, normal over pairs; for series the variance is Newey and West's. It is for one
look. **Evidence.** For looking often: an e-process for each direction, the average over bets b of
the product of (1 + b x), x the difference scaled into [-1, 1] (Waudby-Smith and Ramdas, JRSS B 86,
2024). While the mean difference, given the past, favours nobody in that direction, it reaches
`NEEDED` = 20 in one series out of twenty at most, whenever one looks. Pairs are read in the order
of their newest outcomes; a revision moves its pair, and then the promise is only as good as the
revision was honest.

A pair counts when the challenger's answer was recorded before the outcome was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from monitoring import calibration, performance
from monitoring.metrics import decimal_text, optional_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from monitoring.performance import Measured

SCHEMA: Final = "assay/comparison/v1"
DOES_NOT_SAY: Final = (
    "Nothing on who computed an answer. A difference on these requests is no promise for others, "
    "and which model goes into use is a person's decision."
)
NEEDED: Final = 20.0  # one false finding in twenty, for each direction
BETS: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
CEILING: Final = 1e300  # evidence is kept below, so that it never overflows to infinity
MINIMUM: Final = 30  # pairs, below which a mean has no usable interval
MOST_PCT: Final = 10.0  # a return beyond it counts as it: the loss must be bounded
Q16: Final = 65_536


@dataclass(frozen=True, slots=True)
class Pair:
    """One row answered by both, and what happened."""

    champion: Mapping[str, int]
    challenger: Mapping[str, int]
    champion_decision: str
    challenger_decision: str
    value: float


@dataclass(frozen=True, slots=True)
class Loss:
    """How wrong one answer was; `scale` bounds the difference of two."""

    name: str
    title: str
    meaning: str
    unit: str
    scale: float
    related: bool
    of: Callable[[Mapping[str, int], str, float], float | None]


def _brier(outputs: Mapping[str, int], _: str, value: float) -> float | None:
    if "margin_q16" not in outputs or value not in (0.0, 1.0):
        return None
    return float((calibration.probability(outputs["margin_q16"]) - value) ** 2)


def _quantile(name: str, share: float) -> Callable[[Mapping[str, int], str, float], float | None]:
    def of(outputs: Mapping[str, int], _: str, value: float) -> float | None:
        if name not in outputs:
            return None
        quantile = max(-MOST_PCT, min(MOST_PCT, -outputs[name] / Q16))
        seen = max(-MOST_PCT, min(MOST_PCT, value))
        return (share - (seen < quantile)) * (seen - quantile)

    return of


def _wrong_day(_: Mapping[str, int], decision: str, value: float) -> float | None:
    if decision not in {"long", "flat"}:
        return None
    return float((decision == "long") != (value > 0))


LOSSES: Final[Mapping[str, tuple[Loss, ...]]] = {
    "credit": (
        Loss(
            "brier",
            "Brier score",
            "The mean squared gap between the promised probability and what happened.",
            "squared probability",
            scale=1.0,
            related=False,
            of=_brier,
        ),
    ),
    "value_at_risk": tuple(
        Loss(
            f"quantile_loss_{name}",
            f"Quantile loss at {level}",
            "What a forecast of a quantile is judged by: it punishes being passed too often, and "
            "being too cautious.",
            "percent",
            scale=2 * MOST_PCT,
            related=True,
            of=_quantile(f"var_{name}_pct_q16", share),
        )
        for name, level, share in (("990", "99%", 0.01), ("975", "97.5%", 0.025))
    ),
    "signal": (
        Loss(
            "wrong_days",
            "Days wrong",
            "The share of days on which the position was wrong: long and the market did not rise, "
            "or flat and it did.",
            "share",
            scale=1.0,
            related=True,
            of=_wrong_day,
        ),
    ),
}


def compare(kind: str, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Every difference of a kind of model, and how often the two decided alike; decimal text."""
    return {
        "differences": [_difference(loss, pairs) for loss in LOSSES.get(kind, ())],
        "tables": [_decisions(pairs)],
        "does_not_say": DOES_NOT_SAY,
    }


def evidence(differences: Sequence[float]) -> float:
    """The e-process of "the mean is above 0" against numbers in [-1, 1], at its end."""
    products = [1.0] * len(BETS)
    for x in differences:
        products = [
            min(CEILING, held * (1 + bet * x)) for held, bet in zip(products, BETS, strict=True)
        ]
    return sum(products) / len(products)


def _difference(loss: Loss, pairs: Sequence[Pair]) -> dict[str, Any]:
    rows = []
    for pair in pairs:
        mine = loss.of(pair.champion, pair.champion_decision, pair.value)
        other = loss.of(pair.challenger, pair.challenger_decision, pair.value)
        if mine is not None and other is not None:
            rows.append((mine, other))
    gaps = [other - mine for mine, other in rows]
    measured = _measured(loss, gaps)
    better = evidence([-gap / loss.scale for gap in gaps])
    worse = evidence([gap / loss.scale for gap in gaps])
    return {
        "metric": loss.name,
        "title": loss.title,
        "meaning": loss.meaning,
        "unit": loss.unit,
        "interval": "95%, Newey-West" if loss.related else "95%, normal",
        "n": len(gaps),
        "value": optional_text(measured.value) if measured else None,
        "low": optional_text(measured.low) if measured else None,
        "high": optional_text(measured.high) if measured else None,
        "champion": _mean([mine for mine, _ in rows]),
        "challenger": _mean([other for _, other in rows]),
        "evidence": {
            "challenger_better": _amount(better),
            "champion_better": _amount(worse),
            "needed": decimal_text(NEEDED, 0),
            "finding": _finding(better, worse),
        },
    }


def _measured(loss: Loss, gaps: Sequence[float]) -> Measured | None:
    if len(gaps) < MINIMUM:
        return None
    return performance.related_mean(gaps) if loss.related else performance.mean(gaps)


def _finding(better: float, worse: float) -> str | None:
    if better >= NEEDED and better >= worse:
        return "challenger"
    return "champion" if worse >= NEEDED else None


def _mean(values: Sequence[float]) -> str | None:
    if not values:
        return None
    return decimal_text(performance.mean(values).value)


def _amount(found: float) -> str:
    return decimal_text(found, 2) if found < 1e9 else "over 1000000000"  # noqa: PLR2004 - printed


def _decisions(pairs: Sequence[Pair]) -> dict[str, Any]:
    counts: dict[tuple[str, str], int] = {}
    for pair in pairs:
        key = (pair.champion_decision, pair.challenger_decision)
        counts[key] = counts.get(key, 0) + 1
    return {
        "title": "Decisions, pair by pair",
        "columns": ["Champion", "Challenger", "Pairs"],
        "rows": [[*key, str(count)] for key, count in sorted(counts.items())],
    }
