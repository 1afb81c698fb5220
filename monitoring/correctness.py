"""The report that answers "computed correctly?": forecasts compared with what happened.

`evaluate` is a pure function of a source and a leaf: no clock, no chance, no float in the result,
so the same range of a log gives the same bytes anywhere. It reads predictions, outcomes and limits
and nothing about how a prediction was proved; corrupted evidence leaves these bytes alone.

It combines nothing into one score: a model's `standing` only repeats the worst thing said about its
limits, with the reason. Absence of an alarm is not evidence of accuracy.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from monitoring.columns import Outcomes, Predictions
from monitoring.credit import CREDIT
from monitoring.errors import SourceOrderError
from monitoring.judging import Standing, estimate, in_force, unknown_metric
from monitoring.metrics import Table, decimal_text
from monitoring.outcomes import join, label_delay_days
from monitoring.sequential import Log, gather_closings, watch
from monitoring.terms import follower, read_terms
from monitoring.trade_signal import SIGNAL, signal_kind
from monitoring.value_at_risk import VALUE_AT_RISK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from monitoring.columns import Ints
    from monitoring.judging import InForce
    from monitoring.metrics import Kind, Metric, R
    from monitoring.outcomes import Joined, LabelledRows
    from monitoring.sequential import Watched
    from monitoring.source import ModelFacts, PredictionSource

SCHEMA = "assay/correctness-report/v1"
VERSION = "2"  # of the figures; changes when any of them would come out differently
DOES_NOT_SAY = (
    "Nothing on who computed a prediction, or whether a record is what it claims to be. "
    "No alarm means that no signed limit was crossed, not that the model is right."
)
AT_ONCE = 10_000  # rows made into text at a time for the digest
COVERAGE_FLOOR = Fraction(1, 2)  # below half labelled, the missing half decides


@dataclass(frozen=True, slots=True)
class CorrectnessReport:
    """Estimates per model, ready as plain JSON values."""

    models: tuple[dict[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """Strings, integers, lists and null only."""
        return {
            "correctness_schema": SCHEMA,
            "does_not_say": DOES_NOT_SAY,
            "evaluated_models": list(self.models),
            "libraries": {"monitoring": VERSION},
        }

    def to_bytes(self) -> bytes:
        """Canonical JSON (RFC 8785): the keys are ASCII and no number is a float."""
        return _canonical(self.to_json())


def evaluate(
    source: PredictionSource, models: Iterable[ModelFacts], *, as_of_leaf: int
) -> CorrectnessReport:
    """Evaluate each model on what is recorded up to and including `as_of_leaf`."""
    ordered = sorted(models, key=lambda facts: (facts.model_name, facts.model_digest))
    return CorrectnessReport(tuple(_evaluate_one(source, facts, as_of_leaf) for facts in ordered))


@dataclass(frozen=True, slots=True)
class _Read:
    """What the source gave for one model."""

    facts: ModelFacts
    predictions: Predictions
    outcomes: Outcomes
    limits: Sequence[InForce]
    as_of_leaf: int
    readings: Sequence[int]
    closings: Mapping[int, Sequence[int]]
    progress: Mapping[int, Mapping[str, Any]]


def _evaluate_one(source: PredictionSource, facts: ModelFacts, as_of_leaf: int) -> dict[str, Any]:
    digest = facts.model_digest
    closings = gather_closings((c.leaf_index, c.limit_leaf) for c in source.closings(digest))
    read = _Read(
        facts,
        _predictions(source, digest),
        _outcomes(source, digest),
        in_force(source.limits(digest), closings),
        as_of_leaf,
        [*(leaf for leaf in source.readings() if leaf < as_of_leaf), as_of_leaf],
        closings,
        source.progress(digest),
    )
    _check_order("prediction", read.predictions.leaf, as_of_leaf)
    _check_order("outcome", read.outcomes.leaf, as_of_leaf)
    _check_order("limit", np.asarray([held.limit.leaf_index for held in read.limits]), as_of_leaf)
    if facts.kind == CREDIT.name:
        return _evaluate_kind(CREDIT, read)
    if facts.kind == VALUE_AT_RISK.name:
        return _evaluate_kind(VALUE_AT_RISK, read)
    if facts.kind == SIGNAL.name:
        return _evaluate_kind(signal_kind(facts.trials), read)
    return _unknown_kind(read)


def _evaluate_kind(kind: Kind[R], read: _Read) -> dict[str, Any]:
    facts, limits = read.facts, read.limits
    joined = join(
        read.predictions, read.outcomes, series=kind.series, horizon_days=facts.horizon_days
    )
    rows = kind.rows(joined.labelled)
    odd = len(joined.labelled) - len(rows)
    coverage = _coverage_problem(joined)
    estimates: list[dict[str, Any]] = []
    log = _log(read, joined)
    for metric in kind.metrics:
        mine = [held for held in limits if held.limit.metric == metric.name]
        if not mine:
            estimates.append(estimate(metric, rows, None, coverage=coverage))
        for held in mine:
            watched = _watch(kind, metric, held, facts, log)
            estimates.append(estimate(metric, rows, held, coverage=coverage, watched=watched))
    known = {metric.name for metric in kind.metrics}
    estimates += [unknown_metric(h, kind.name) for h in limits if h.limit.metric not in known]
    standing, reason = _headline(estimates)
    return {
        **_identity(facts),
        "standing": standing,
        "standing_reason": reason,
        "label_maturity": _maturity(joined),
        "estimates": estimates,
        "tables": [
            *(table.to_json() for table in kind.tables(rows, joined)),
            _labels(joined, odd).to_json(),
            *_caveats([*kind.caveats, *_replay_caveat(joined)]),
        ],
        "window": _window(read, joined),
    }


def _log(read: _Read, joined: Joined) -> Log:
    rows = joined.labelled.rows
    return Log(rows, read.outcomes, read.readings, read.closings, read.progress)


def _watch(
    kind: Kind[R], metric: Metric[R], held: InForce, facts: ModelFacts, log: Log
) -> Watched | str | None:
    """Follow a limit outcome by outcome; None when its detector does not."""
    terms = read_terms(held.limit)
    if isinstance(terms, str) or not terms.sequential:
        return None
    found = follower(
        kind, metric, held.limit, horizon_days=facts.horizon_days, replaced_at=held.replaced_at
    )
    return found if isinstance(found, str) else watch(found, held.limit.leaf_index, log)


def _unknown_kind(read: _Read) -> dict[str, Any]:
    facts = read.facts
    joined = join(read.predictions, read.outcomes, series=False, horizon_days=facts.horizon_days)
    return {
        **_identity(facts),
        "standing": Standing.NOT_YET_JUDGEABLE.value,
        "standing_reason": f"no metrics are written for a model of kind {facts.kind}",
        "label_maturity": _maturity(joined),
        "estimates": [unknown_metric(held, facts.kind) for held in read.limits],
        "tables": [_labels(joined, 0).to_json(), *_caveats(_replay_caveat(joined))],
        "window": _window(read, joined),
    }


def _identity(facts: ModelFacts) -> dict[str, str]:
    return {
        "model_digest": facts.model_digest,
        "model_name": facts.model_name,
        "kind": facts.kind,
    }


def _headline(estimates: Sequence[dict[str, Any]]) -> tuple[str, str]:
    limited = [e for e in estimates if e["limit"] is not None]
    alarms = [e for e in limited if e["standing"] == Standing.ALARM]
    if alarms:
        return Standing.ALARM.value, "; ".join(f"{e['metric']} {e['reason']}" for e in alarms)
    waiting = [e for e in limited if e["standing"] != Standing.NO_ALARM]
    later = "; ".join(f"{e['metric']}: {e['reason']}" for e in waiting)
    if len(waiting) < len(limited):
        judged = ", ".join(e["metric"] for e in limited if e["standing"] == Standing.NO_ALARM)
        reason = f"no signed limit crossed ({judged})"
        return Standing.NO_ALARM.value, f"{reason}; not judged: {later}" if later else reason
    return Standing.NOT_YET_JUDGEABLE.value, later or "no limit was signed for this model"


def _coverage_problem(joined: Joined) -> str | None:
    share = joined.unlabelled_share
    if share is None or share <= 1 - COVERAGE_FLOOR:
        return None
    return f"{len(joined.labelled)} of {joined.matured} matured forecasts are labelled"


def _maturity(joined: Joined) -> dict[str, Any]:
    share = joined.unlabelled_share
    return {
        "predictions": joined.predictions,
        "matured": joined.matured,
        "labelled": len(joined.labelled),
        "unlabelled_share": None if share is None else decimal_text(float(share)),
    }


def _labels(joined: Joined, odd: int) -> Table:
    delay = label_delay_days(joined.labelled)
    counts = {
        "Rows predicted": joined.predictions,
        "Matured": joined.matured,
        "Matured and labelled": len(joined.labelled),
        "Matured, no label": len(joined.unlabelled),
        "Outcomes revised by a newer one": joined.revised,
        "Left out: the outcome was known before the forecast": joined.not_forecasts,
        "Left out: a later forecast of a day already forecast": joined.repeats,
        "Left out: outcome or time not readable": joined.unreadable,
        "Left out: output or outcome not of this kind": odd,
        "Outcomes of no readable row": joined.orphans,
        "Recorded after the outcome was observed": joined.recorded_after,
    }
    rows = [(name, str(count)) for name, count in counts.items()]
    rows.append(("Days from forecast to outcome, median", "" if delay is None else str(delay)))
    return Table("Labels", ("What", "Count"), tuple(rows))


def _replay_caveat(joined: Joined) -> list[str]:
    late = joined.recorded_after
    if not late:
        return []
    told = (
        f"{late} of {len(joined.labelled)} labelled forecasts were recorded after their outcome "
        "had been observed, as in a replay of history: that they used only earlier data is the "
        "caller's statement, not shown by the log."
    )
    return [told]


def _caveats(told: Sequence[str]) -> list[dict[str, Any]]:
    if not told:
        return []
    return [Table("To keep in mind", ("Caveat",), tuple((text,) for text in told)).to_json()]


def _window(read: _Read, joined: Joined) -> dict[str, Any]:
    rows = read.predictions
    return {
        "first_prediction": rows.name(0) if len(rows) else None,
        "last_prediction": rows.name(-1) if len(rows) else None,
        "as_of_leaf": read.as_of_leaf,
        "rows_digest": f"sha256:{_rows_digest(joined)}",
    }


def _rows_digest(joined: Joined) -> str:
    """SHA-256 of canonical JSON: each labelled row as used, then the ids of the unlabelled."""
    digest = hashlib.sha256(b"[[")
    labelled = joined.labelled
    for start in range(0, len(labelled), AT_ONCE):
        part = labelled[start : start + AT_ONCE]
        digest.update((b"," if start else b"") + _canonical(_used(part))[1:-1])
    digest.update(b"]," + _canonical(list(joined.unlabelled_ids)) + b"]")
    return digest.hexdigest()


def _used(part: LabelledRows) -> list[list[object]]:
    rows, places = part.rows, part.at_row
    outputs = {
        name: zip(values[places].tolist(), rows.outputs_given[name][places].tolist(), strict=True)
        for name, values in rows.outputs.items()
    }
    decisions, values = rows.decision.take(places), part.values
    leaves = part.outcome_leaf.tolist()
    return [
        [
            name,
            {n: value for n, held in outputs.items() for value, has in [next(held)] if has},
            decisions[at],
            leaves[at],
            values[at],
        ]
        for at, name in enumerate(rows.names(places.tolist()))
    ]


def _check_order(what: str, leaves: Ints, last: int) -> None:
    if not len(leaves):
        return
    before = np.r_[-1, leaves[:-1]]
    wrong = np.flatnonzero((leaves < before) | (leaves > last))
    if len(wrong):
        at = wrong[0]
        raise SourceOrderError(what, previous=int(before[at]), found=int(leaves[at]), last=last)


def _predictions(source: PredictionSource, digest: str) -> Predictions:
    found = source.predictions(digest)
    return found if isinstance(found, Predictions) else Predictions.of(found, digest)


def _outcomes(source: PredictionSource, digest: str) -> Outcomes:
    found = source.outcomes(digest)
    return found if isinstance(found, Outcomes) else Outcomes.of(found)


def _canonical(value: object) -> bytes:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()
