"""trade-signal: does the S&P 500 rise tomorrow? A scikit-learn pipeline, folded into six numbers.

Standardising and logistic regression are both linear, so they fold into one weight per feature and
an intercept, rounded to float32 and published as ONNX. Long at log-odds of 0 or more, else flat.

Expect little: on daily data this is close to a coin, and the correctness report is there to say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from models.hub.canonical import digest_of
from models.hub.manifest import Decision, Manifest, OutputSpec, Training
from models.hub.publish import Package
from models.reference import drafting, market
from models.reference.data import load_sp500
from models.runtime.linear import Linear, encode_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME: Final = "trade-signal"
SEED: Final = 19990104
UNTIL: Final = "2006-12-31"
FEATURES: Final = market.names_of(market.SIGNAL_FEATURES)


def train(*, environment_digest: str, until: str = UNTIL) -> Package:
    """Train on days up to `until`, that day included, and fold."""
    data = load_sp500()
    known = list(market.days(data, "", until))
    inputs = market.matrix(known, FEATURES)
    rose = np.asarray([day.return_pct > 0 for day in known])
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, random_state=SEED))
    with threadpool_limits(1):  # one thread adds in one order
        pipeline.fit(inputs.astype(np.float64), rose)
        before = pipeline.decision_function(inputs.astype(np.float64))
    model = _fold(pipeline)
    artifact = encode_onnx(model.weights, model.intercept)
    outputs = {"margin_q16": drafting.exact(model, inputs)}
    reference = drafting.sample(inputs, FEATURES)
    manifest = Manifest(
        name=NAME,
        version="1.0.0",
        kind="signal",
        task="Tell whether to hold the S&P 500 over the next trading day.",
        intended_use="Demonstration of audited trading signals on one index. Not for trading.",
        licence=drafting.LICENCE,
        owner=drafting.OWNER,
        format="linear-q16/v1",
        features=market.schema_of(market.SIGNAL_FEATURES),
        preprocessing="standardising is folded into the weights; the caller computes the features",
        outputs=(
            OutputSpec(
                name="margin_q16",
                artifact=digest_of(artifact),
                unit="log-odds",
                description="log-odds of a rise, in units of 2^-16",
            ),
        ),
        decision=Decision(output="margin_q16", threshold_q16=0, at_or_above="long", below="flat"),
        reason_codes=None,
        training=Training(
            data="S&P 500 daily prices of the arch package",
            data_digest=data.digest,
            data_licence="terms not established; read at training time, not redistributed",
            rows=len(known),
            first=known[0].outcome_date,
            last=known[-1].outcome_date,
            seed=SEED,
            recipe={"pipeline": "StandardScaler, LogisticRegression(C=0.1)"},
            held_out={
                "rows": "0",
                "in_sample_hit_rate": f"{((before >= 0) == rose).mean():.4f}",
                "in_sample_share_of_days_long": f"{(before >= 0).mean():.4f}",
            },
            reference_digest=digest_of(reference),
        ),
        environment_digest=environment_digest,
        rounding={"margin_q16": _rounding(before, outputs["margin_q16"], rose)},
        vectors=drafting.vectors(inputs, outputs),
    )
    blobs = {digest_of(blob): blob for blob in (artifact, reference)}
    return Package(manifest=manifest, blobs=blobs)


def _fold(pipeline: Any) -> Linear:  # noqa: ANN401 - scikit-learn ships no types
    """w·(x - mean)/scale + b as one weight per feature, in float32."""
    scaler, logistic = pipeline[0], pipeline[1]
    weights = logistic.coef_[0] / scaler.scale_
    intercept = logistic.intercept_[0] - float(np.sum(weights * scaler.mean_))
    return Linear(
        weights=tuple(np.asarray(weights, np.float32).tolist()),
        intercept=float(np.float32(intercept)),
    )


def _rounding(
    before: NDArray[np.float64], after: NDArray[np.int64], rose: NDArray[np.bool_]
) -> dict[str, str]:
    return {
        "grid_bits": "16",
        "library": f"scikit-learn {sklearn.__version__}",
        "rows_compared": str(len(before)),
        "largest_change": f"{np.abs(after / 65536 - before).max():.9f}",
        "auc_before": f"{drafting.auc(before, rose):.8f}",
        "auc_after": f"{drafting.auc(after, rose):.8f}",
        "decisions_changed": str(int(((before >= 0) != (after >= 0)).sum())),
    }
