"""Train every reference model. A few seconds in all, on one thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from models.reference import credit_default, trade_signal, value_at_risk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from models.hub.publish import Package

RECIPES: Final[dict[str, Callable[..., Package]]] = {
    credit_default.NAME: credit_default.train,
    value_at_risk.NAME: value_at_risk.train,
    value_at_risk.BASELINE_NAME: value_at_risk.train_baseline,
    trade_signal.NAME: trade_signal.train,
}


def train_all(*, environment_digest: str, until: str | None = None) -> Iterator[Package]:
    """Each package as it is trained, in the order of `RECIPES`.

    `until` is the last day the market models may learn from; the credit data has no dates.
    """
    for name, recipe in RECIPES.items():
        if until is None or name == credit_default.NAME:
            yield recipe(environment_digest=environment_digest)
        else:
            yield recipe(environment_digest=environment_digest, until=until)
