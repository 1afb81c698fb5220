"""value-at-risk: tomorrow's loss of the S&P 500 that is exceeded one day in a hundred, or in forty.

Two models with the same outputs. `value-at-risk` is trained trees, frozen on the data up to a day:
it cannot forecast a loss deeper than its leaves, which is the point of replaying 2008 on it.
`value-at-risk-baseline` is historical simulation: it passes on the empirical quantiles of the last
250 losses, which the caller computes, and learns nothing. Losses are positive, in percent.

The two quantiles are separate models and may cross; the manifest says how often they did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.hub.canonical import digest_of
from models.hub.manifest import Manifest, OutputSpec, Training
from models.hub.publish import Package
from models.reference import drafting, market
from models.reference.data import load_sp500
from models.reference.quantise import fit
from models.runtime.linear import Linear, encode_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.reference.market import Day

NAME: Final = "value-at-risk"
BASELINE_NAME: Final = "value-at-risk-baseline"
SEED: Final = 19990104
UNTIL: Final = "2006-12-31"  # before the crisis that the demonstration replays
ROUNDS: Final = 120
LEVELS: Final = {"var_990_pct_q16": 0.99, "var_975_pct_q16": 0.975}
FEATURES: Final = market.names_of(market.VAR_FEATURES)
BASELINE_FEATURES: Final = market.names_of(market.BASELINE_FEATURES)
_INTENDED_USE: Final = (
    "Demonstration of audited risk forecasts on one index. Not for capital, limits or trading."
)


def train(*, environment_digest: str, until: str = UNTIL) -> Package:
    """Train on days up to `until`, that day included, and freeze."""
    data = load_sp500()
    known = list(market.days(data, "", until))
    inputs, losses = market.matrix(known, FEATURES), _losses(known)
    params: dict[str, Any] = {
        "objective": "reg:quantileerror",
        "max_depth": 2,
        "eta": 0.05,
        "subsample": 0.8,
        "min_child_weight": 20,
        "seed": SEED,
    }
    models = {
        name: fit(
            inputs,
            losses,
            names=FEATURES,
            params={**params, "quantile_alpha": level},
            rounds=ROUNDS,
        )
        for name, level in LEVELS.items()
    }
    outputs = {name: model.margins(inputs)[1] for name, model in models.items()}
    rounding = {name: model.facts(inputs) for name, model in models.items()}
    recipe = {name: str(value) for name, value in params.items()} | {"rounds": str(ROUNDS)}
    return _package(
        NAME,
        known,
        artifacts={name: model.artifact for name, model in models.items()},
        outputs=outputs,
        rounding=rounding,
        recipe=recipe,
        environment_digest=environment_digest,
    )


def train_baseline(*, environment_digest: str, until: str = UNTIL) -> Package:
    """Historical simulation: nothing is fitted; the days up to `until` only give figures."""
    known = list(market.days(load_sp500(), "", until))
    inputs = market.matrix(known, BASELINE_FEATURES)
    weights = np.eye(len(LEVELS)).tolist()
    artifacts = {name: encode_onnx(row, 0.0) for name, row in zip(LEVELS, weights, strict=True)}
    outputs = {
        name: drafting.exact(Linear(weights=tuple(row), intercept=0.0), inputs)
        for name, row in zip(LEVELS, weights, strict=True)
    }
    rounding = {
        name: {
            "grid_bits": "16",
            "library": "none: the weight is 1",
            "rows_compared": str(len(inputs)),
            "largest_change": f"{np.abs(values / 65536 - inputs[:, at]).max():.9f}",
        }
        for at, (name, values) in enumerate(outputs.items())
    }
    return _package(
        BASELINE_NAME,
        known,
        artifacts=artifacts,
        outputs=outputs,
        rounding=rounding,
        recipe={"method": "historical simulation, 250 days, weight 1"},
        environment_digest=environment_digest,
    )


def _package(
    name: str,
    known: list[Day],
    *,
    artifacts: dict[str, bytes],
    outputs: dict[str, NDArray[np.int64]],
    rounding: dict[str, dict[str, str]],
    recipe: dict[str, str],
    environment_digest: str,
) -> Package:
    trained = name == NAME
    table = market.VAR_FEATURES if trained else market.BASELINE_FEATURES
    features = market.names_of(table)
    inputs = market.matrix(known, features)
    reference = drafting.sample(inputs, features)
    manifest = Manifest(
        name=name,
        version="1.0.0",
        kind="value_at_risk",
        task="Forecast the loss of the S&P 500 on the next trading day at 99% and 97.5%.",
        intended_use=_INTENDED_USE,
        licence=drafting.LICENCE,
        owner=drafting.OWNER,
        format="tree-ensemble-q16/v1" if trained else "linear-q16/v1",
        features=market.schema_of(table),
        preprocessing="none: the caller computes the features, rounded to 6 decimals",
        outputs=tuple(
            OutputSpec(
                name=output,
                artifact=digest_of(artifacts[output]),
                unit="percent",
                description=f"loss exceeded with probability {1 - level:.3f}, units of 2^-16 of 1%",
            )
            for output, level in LEVELS.items()
        ),
        decision=None,
        reason_codes=None,
        training=Training(
            data="S&P 500 daily prices of the arch package",
            data_digest=load_sp500().digest,
            data_licence="terms not established; read at training time, not redistributed",
            rows=len(known),
            first=known[0].outcome_date,
            last=known[-1].outcome_date,
            seed=SEED,
            recipe=recipe,
            held_out=_in_sample(known, outputs),
            reference_digest=digest_of(reference),
        ),
        environment_digest=environment_digest,
        rounding=rounding,
        vectors=drafting.vectors(inputs, outputs),
    )
    blobs = {digest_of(blob): blob for blob in (*artifacts.values(), reference)}
    return Package(manifest=manifest, blobs=blobs)


def _in_sample(known: list[Day], outputs: dict[str, NDArray[np.int64]]) -> dict[str, str]:
    """Nothing was held out: the figures are of the training days, and say so."""
    losses = _losses(known)
    figures = {"rows": "0", "in_sample_days": str(len(known))}
    for name, values in outputs.items():
        exceeded = int((losses > values / 65536).sum())
        figures[f"in_sample_exceedances_{name.removesuffix('_q16')}"] = str(exceeded)
    crossed = outputs["var_990_pct_q16"] < outputs["var_975_pct_q16"]
    figures["in_sample_days_where_99_is_below_97_5"] = str(int(crossed.sum()))
    return figures


def _losses(known: list[Day]) -> NDArray[np.float64]:
    return np.asarray([-day.return_pct for day in known])
