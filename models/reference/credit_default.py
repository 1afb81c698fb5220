"""credit-default: will a card account default next month? Trees on real accounts of 2005.

Inputs are the account's own conduct. Sex, marital status, age and education are in the file and not
in the model; they stay available for looking at groups. The score can only rise with months late,
and only fall with the limit and with payments (monotone constraints), so that a stated reason never
says the opposite of what the model does. The cut-off is a house policy: refuse from 35% upwards.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.hub.canonical import digest_of
from models.hub.manifest import (
    Decision,
    Feature,
    Manifest,
    OutputSpec,
    ReasonCodes,
    ReasonGroup,
    Training,
)
from models.hub.publish import Package
from models.reference import drafting
from models.reference.data import CREDIT_SPLIT, load_credit
from models.reference.quantise import fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.reference.data import CreditData
    from models.reference.quantise import Quantised

NAME: Final = "credit-default"
SEED: Final = 20051001
CUT_OFF: Final = 0.35  # probability from which the house refuses
ROUNDS: Final = 150
AMOUNT_MAX: Final = 1 << 24  # float32 holds every whole number up to here; the data reach 1,684,259

_STATUS: Final = tuple(f"pay_{month}" for month in (0, 2, 3, 4, 5, 6))
_BILLS: Final = tuple(f"bill_amt{month}" for month in range(1, 7))
_PAID: Final = tuple(f"pay_amt{month}" for month in range(1, 7))
FEATURES: Final = ("limit_bal", *_STATUS, *_BILLS, *_PAID)
_DIRECTION: Final = {"limit_bal": -1, **dict.fromkeys(_STATUS, 1), **dict.fromkeys(_PAID, -1)}

GROUPS: Final = (
    ReasonGroup(
        "DELINQUENT_RECENT",
        "Delinquent on credit obligations in the last two months",
        _STATUS[:2],
    ),
    ReasonGroup(
        "DELINQUENT_EARLIER",
        "Delinquent on credit obligations three to six months ago",
        _STATUS[2:],
    ),
    ReasonGroup("LIMIT_LOW", "Amount of credit previously granted is low", ("limit_bal",)),
    ReasonGroup("BALANCES", "Level of balances owed over the last six months", _BILLS),
    ReasonGroup(
        "PAYMENTS_RECENT", "Amounts paid in the last two months are insufficient", _PAID[:2]
    ),
    ReasonGroup(
        "PAYMENTS_EARLIER", "Amounts paid three to six months ago are insufficient", _PAID[2:]
    ),
)


def matrix(data: CreditData, part: str) -> NDArray[np.float32]:
    """The model's inputs for a part of the data."""
    rows = data.parts[part]
    return np.stack([data.columns[name][rows] for name in FEATURES], axis=1).astype(np.float32)


def train(*, environment_digest: str) -> Package:
    """Train, round and describe. About a second."""
    data = load_credit()
    inputs, defaulted = matrix(data, "train"), data.defaulted[data.parts["train"]]
    params: dict[str, Any] = {
        "objective": "binary:logistic",
        "max_depth": 4,
        "eta": 0.06,
        "subsample": 0.8,
        "seed": SEED,
        "monotone_constraints": tuple(_DIRECTION.get(name, 0) for name in FEATURES),
    }
    model = fit(inputs, defaulted, names=FEATURES, params=params, rounds=ROUNDS)
    reference = drafting.sample(matrix(data, "reference"), FEATURES)
    held_out = matrix(data, "replay")
    _, margins = model.margins(held_out)
    manifest = Manifest(
        name=NAME,
        version="1.0.0",
        kind="credit",
        task="Score the default of a credit-card account in the following month.",
        intended_use=(
            "Demonstration of audited credit decisions. Not for decisions about real people: it "
            "learnt from one bank in Taiwan in 2005, and from granted accounts only."
        ),
        licence=drafting.LICENCE,
        owner=drafting.OWNER,
        format="tree-ensemble-q16/v1",
        features=tuple(_feature(name) for name in FEATURES),
        preprocessing="none: the inputs are the account's figures as they are",
        outputs=(
            OutputSpec(
                name="margin_q16",
                artifact=digest_of(model.artifact),
                unit="log-odds",
                description="log-odds of default, in units of 2^-16",
            ),
        ),
        decision=Decision(
            output="margin_q16",
            threshold_q16=round(math.log(CUT_OFF / (1 - CUT_OFF)) * 65536),
            at_or_above="decline",
            below="approve",
        ),
        reason_codes=_reason_codes(inputs, defaulted),
        training=_training(data, params, margins, digest_of(reference)),
        environment_digest=environment_digest,
        rounding={"margin_q16": _rounding(model, data, held_out)},
        vectors=drafting.vectors(held_out, {"margin_q16": margins}),
    )
    blobs = {digest_of(blob): blob for blob in (model.artifact, reference)}
    return Package(manifest=manifest, blobs=blobs)


def _feature(name: str) -> Feature:
    if name in _STATUS:
        months = 1 if name == "pay_0" else int(name[-1])
        text = f"repayment status {months} months back: months late; 0, -1, -2 are not late"
        return Feature(name, "integer", -2, 12, missing=False, description=text)
    if name == "limit_bal":
        return Feature(name, "integer", 0, AMOUNT_MAX, False, "credit limit, TWD")
    what = "statement balance" if name in _BILLS else "amount paid"
    low = -AMOUNT_MAX if name in _BILLS else 0
    text = f"{what} {name[-1]} months back, TWD"
    return Feature(name, "integer", low, AMOUNT_MAX, missing=False, description=text)


def _reason_codes(inputs: NDArray[np.float32], defaulted: NDArray[np.int64]) -> ReasonCodes:
    """Replace a group by the lower median of the accounts that were repaid."""
    repaid = np.sort(inputs[defaulted == 0], axis=0)
    return ReasonCodes(
        method="reference-replacement/v1",
        output="margin_q16",
        most=4,
        reference=drafting.patterns(repaid[(len(repaid) - 1) // 2]),
        groups=GROUPS,
    )


def _training(
    data: CreditData, params: dict[str, Any], margins: NDArray[np.int64], reference_digest: str
) -> Training:
    defaulted = data.defaulted[data.parts["replay"]]
    recipe = {name: str(value) for name, value in params.items()}
    return Training(
        data="UCI Default of Credit Card Clients (I-Cheng Yeh), DOI 10.24432/C55S3H",
        data_digest=data.digest,
        data_licence="CC BY 4.0",
        rows=len(data.parts["train"]),
        first=None,
        last=None,
        seed=SEED,
        recipe={**recipe, "rounds": str(ROUNDS), "split": f"by hash of the row, {CREDIT_SPLIT}"},
        held_out={
            "rows": str(len(margins)),
            "default_rate": f"{defaulted.mean():.4f}",
            "auc": f"{drafting.auc(margins, defaulted):.4f}",
        },
        reference_digest=reference_digest,
    )


def _rounding(model: Quantised, data: CreditData, held_out: NDArray[np.float32]) -> dict[str, str]:
    before, after = model.margins(held_out)
    defaulted = data.defaulted[data.parts["replay"]]
    threshold = math.log(CUT_OFF / (1 - CUT_OFF))
    flips = (before >= threshold) != (after >= round(threshold * 65536))
    return {
        **model.facts(held_out),
        "auc_before": f"{drafting.auc(before, defaulted):.8f}",
        "auc_after": f"{drafting.auc(after, defaulted):.8f}",
        "decisions_changed": str(int(flips.sum())),
    }
