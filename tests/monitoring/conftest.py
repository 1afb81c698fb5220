"""A log made of plain lists: what a source would read, without any ledger."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import pytest
from hypothesis import settings

from monitoring.source import Closing, Limit, ModelFacts, Outcome, Prediction

settings.register_profile("steady", deadline=None)  # a busy machine is no failure
settings.load_profile("steady")

DIGEST = "sha256:" + "ab" * 32
RECORDED = "2026-11-25T03:20:00.123Z"


@dataclass
class Log:
    """Gives leaves in order to whatever is added; a source of one model."""

    kind: str = "value_at_risk"
    size: int = 0
    held_predictions: list[Prediction] = field(default_factory=list)
    held_outcomes: list[Outcome] = field(default_factory=list)
    held_limits: list[Limit] = field(default_factory=list)
    held_readings: list[int] = field(default_factory=list)
    held_closings: list[Closing] = field(default_factory=list)
    held_progress: dict[int, dict] = field(default_factory=dict)
    horizon_days: int | None = None

    def predict(self, outputs, *, decision="forecast", as_of=None, predicted_at=RECORDED):
        row = Prediction(
            f"{self.size}.0", self.size, 0, DIGEST, as_of, predicted_at, outputs, decision, {}
        )
        self.size += 1
        self.held_predictions.append(row)
        return row

    def happen(self, row, value, *, observed_at="2026-12-25", revises=None):
        outcome = Outcome(row.prediction_id, self.size, value, observed_at, RECORDED, revises)
        self.size += 1
        self.held_outcomes.append(outcome)
        return outcome

    def sign(self, metric, limit, side, **more):
        terms = {"tolerance": "0", "window": "all", "minimum_labels": 0, "detector": "threshold"}
        signed = Limit(self.size, metric, limit, side, **{**terms, **more})
        self.size += 1
        self.held_limits.append(signed)
        return signed

    def predictions(self, model_digest):
        return iter(p for p in self.held_predictions if p.model_digest == model_digest)

    def outcomes(self, model_digest):
        return iter(self.held_outcomes)

    def limits(self, model_digest):
        return iter(self.held_limits)

    def readings(self):
        return iter(self.held_readings)

    def closings(self, model_digest):
        return iter(self.held_closings)

    def progress(self, model_digest):
        return self.held_progress

    def report_here(self):
        """What an issued report leaves behind: the leaf it read up to, and an entry."""
        self.held_readings.append(self.size - 1)
        self.size += 1

    def close_alarm(self, limit):
        self.held_closings.append(Closing(self.size, limit.leaf_index))
        self.size += 1

    def facts(self, **more):
        given = {"kind": self.kind, "threshold_q16": None, "horizon_days": self.horizon_days}
        return ModelFacts(DIGEST, "a-model", **{**given, **more})

    def up_to(self, leaf):
        """Cut the log at an earlier leaf."""

        def keep(rows):
            return [row for row in rows if row.leaf_index <= leaf]

        return replace(
            self,
            size=leaf + 1,
            held_predictions=keep(self.held_predictions),
            held_outcomes=keep(self.held_outcomes),
            held_limits=keep(self.held_limits),
            held_closings=keep(self.held_closings),
            held_readings=[reading for reading in self.held_readings if reading < leaf],
        )

    # --- stories ------------------------------------------------------------------------------

    def trade_days(self, returns, *, var_990=2.0, var_975=1.5, start=date(2007, 1, 1)):
        """One forecast and one outcome a day, returns in percent as text."""
        for place, value in enumerate(returns):
            day = start + timedelta(days=place)
            outputs = {
                "var_990_pct_q16": int(var_990 * 65536),
                "var_975_pct_q16": int(var_975 * 65536),
            }
            row = self.predict(outputs, as_of=day.isoformat())
            self.happen(row, value, observed_at=(day + timedelta(days=1)).isoformat())

    def lend(self, people):
        """(margin_q16, default) pairs; a default of None is never reported."""
        rows = [self.predict({"margin_q16": margin}, decision="approve") for margin, _ in people]
        for row, (_, default) in zip(rows, people, strict=True):
            if default is not None:
                self.happen(row, str(default))


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def credit_log():
    return Log(kind="credit")


@pytest.fixture
def signal_log():
    return Log(kind="signal")


@pytest.fixture(scope="session")
def new_log():
    """Make logs where one fixture is not enough."""
    return Log
