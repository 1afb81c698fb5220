"""A model file, a training table and a card become a package: manifest, artifact, sample, source.

Before anything is described, the exact form is compared with the file itself, run by its own
library, on rows of the training table; one that answers otherwise is refused. The manifest's test
vectors come from `exact`, which is not the code that serves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from models.errors import ArtifactRefused, ManifestRefused, TableRefused, UnlikeItsSource
from models.hub.canonical import digest_of
from models.hub.intake import forms
from models.hub.intake.exact import SCALE, exact
from models.hub.intake.shapes import LOG_ODDS, LinearModel
from models.hub.manifest import (
    SCHEMA_2,
    Decision,
    Manifest,
    OutputSpec,
    Source,
    Training,
    Vector,
)
from models.hub.publish import Package
from models.hub.sample import sample_bytes
from models.runtime import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.hub.card import Card
    from models.hub.intake.exact import Exact
    from models.hub.intake.shapes import Given
    from models.hub.intake.table import Table

COMPARED_ROWS: Final = 5000  # rows on which file and exact form are compared, spread over all
SAMPLE_ROWS: Final = 1000
VECTOR_ROWS: Final = 8
TOLERANCE: Final = 0.001  # of a probability
TEXT_MAX: Final = 3000  # characters of the card that a manifest repeats
DECISIONS: Final = {"credit": ("decline", "approve"), "signal": ("long", "flat")}
USES: Final = ("intended use", "intended uses", "uses", "use", "direct use", "what it does")


@dataclass(frozen=True, slots=True)
class Terms:
    """What the publisher decides beside the file: the card says the rest."""

    name: str
    version: str
    kind: str
    owner: str
    threshold: float  # a probability, from which the decision is the first of `DECISIONS`
    licence: str | None = None
    vendor: str | None = None


def read_file(data: bytes, name: str) -> Given:
    """Recognise and read a model file. Raises ArtifactRefused; nothing of it is executed."""
    form = forms.recognise(data, name)
    if form == forms.SKOPS:
        from models.hub.intake import sklearn_form  # noqa: PLC0415 - its libraries are slow

        return sklearn_form.read(data)
    if form == forms.ONNX:
        from models.hub.intake import onnx_form  # noqa: PLC0415

        return onnx_form.read(data)
    from models.hub.intake import xgb  # noqa: PLC0415

    return xgb.read(data, form)


def draft(
    data: bytes, name: str, *, table: Table, card: Card, terms: Terms, environment_digest: str
) -> Package:
    """The package of a model file. Raises ModelError with the reason; stores nothing."""
    _check_terms(terms)
    given = read_file(data, name)
    _check_schema(given, table)
    made = exact(given.shape, table.names)
    rows = _spread(len(table.matrix), COMPARED_ROWS)
    facts, answers = _compare(given, made, table.matrix[rows], terms.threshold)
    reference = sample_bytes(
        {
            column: table.matrix[_spread(len(table.matrix), SAMPLE_ROWS), at].tolist()
            for at, column in enumerate(table.names)
        }
    )
    output = "margin_q16" if given.shape.unit == LOG_ODDS else "probability_q16"
    manifest = Manifest(
        schema=SCHEMA_2,
        name=terms.name,
        version=terms.version,
        kind=terms.kind,
        task=_short(card.task or card.title or terms.name),
        intended_use=_short(_use(card)),
        licence=_short(terms.licence or card.licence or "not stated"),
        owner=terms.owner,
        format=made.format,
        features=table.features(),
        preprocessing=", then ".join(given.steps) + ": moved into the model"
        if given.steps
        else "none",
        outputs=(
            OutputSpec(
                name=output,
                artifact=digest_of(made.artifact),
                unit=given.shape.unit,
                description=f"{given.shape.unit} of label 1, in units of 2^-16",
            ),
        ),
        decision=_decision(terms, output),
        reason_codes=None,
        training=_training(given, table, card, digest_of(reference)),
        environment_digest=environment_digest,
        rounding={output: facts},
        vectors=_vectors(table.matrix[rows], answers, output),
        card_digest=card.digest,
        source=Source(given.form, digest_of(data), given.library, given.kind),
        vendor=terms.vendor,
    )
    blobs = {digest_of(b): b for b in (made.artifact, reference, card.text.encode(), data)}
    package = Package(Manifest.parse(manifest.to_bytes()), blobs)
    load(package.manifest, lambda digest: blobs[digest])  # what does not load is not published
    return package


def _check_terms(terms: Terms) -> None:
    if terms.kind not in DECISIONS:
        raise ManifestRefused(
            "kind",
            f"{terms.kind}: outcomes of a classifier are judged as {' or '.join(DECISIONS)}",
        )
    if not math.isfinite(terms.threshold) or not 0 < terms.threshold < 1:
        raise ManifestRefused(
            "decision.threshold", f"{terms.threshold}: expected a probability between 0 and 1"
        )


def _check_schema(given: Given, table: Table) -> None:
    """The table's columns must be the model's inputs, in order."""
    if given.shape.width != len(table.names):
        raise TableRefused(
            "header",
            f"{len(table.names)} feature columns, and the model takes {given.shape.width}; name "
            "the label with --target and pick columns with --features",
        )
    if given.names is not None and given.names != table.names:
        pairs = zip(given.names, table.names, strict=True)
        at, (wanted, got) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
        raise TableRefused("header", f"feature {at} is {got!r}; the model was fitted on {wanted!r}")
    if isinstance(given.shape, LinearModel) and bool(np.isnan(table.matrix).any()):
        gaps = np.isnan(table.matrix).any(axis=0)
        column = table.names[int(np.argmax(gaps))]
        raise TableRefused(
            column,
            "has missing values, and a weighted sum has no exact answer to those: fill them in "
            "before training, or train trees",
        )


def _compare(
    given: Given, made: Exact, matrix: NDArray[np.float32], threshold: float
) -> tuple[dict[str, str], list[int]]:
    """What rounding did on these rows, and the exact answers. Raises UnlikeItsSource."""
    answers = [made.answer(row) for row in matrix.tolist()]
    values = np.asarray(answers, np.float64) / SCALE
    ours = 1 / (1 + np.exp(-values)) if given.shape.unit == LOG_ODDS else values
    try:
        theirs = given.probability(matrix)
    except Exception as error:
        raise ArtifactRefused(
            given.form, f"{given.library} does not run it on the table: {type(error).__name__}"
        ) from error
    gap = np.abs(ours - theirs)
    worst = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))
    if not gap[worst] <= TOLERANCE:
        raise UnlikeItsSource(
            row=worst,
            given=float(theirs[worst]),
            exact=float(ours[worst]),
            tolerance=TOLERANCE,
        )
    flips = (ours >= threshold) != (theirs >= threshold)
    return {
        "grid_bits": "16",
        "library": given.library,
        "rows_compared": str(len(matrix)),
        "largest_change_of_probability": f"{gap.max():.9f}",
        "decisions_changed": str(int(flips.sum())),
    }, answers


def _decision(terms: Terms, output: str) -> Decision:
    at_or_above, below = DECISIONS[terms.kind]
    share = terms.threshold
    value = math.log(share / (1 - share)) if output == "margin_q16" else share
    return Decision(output, round(value * SCALE), at_or_above, below)


def _training(given: Given, table: Table, card: Card, reference_digest: str) -> Training:
    reported = {
        f"{result.metric}, {result.dataset or 'as reported'}"[:200]: (result.value or "")[:200]
        for result in card.results[:20]
        if result.value and result.metric.isascii() and (result.dataset or "").isascii()
    }
    return Training(
        data=_short(", ".join(card.datasets) or "not stated"),
        data_digest=table.digest,
        data_licence="not stated",
        rows=len(table.matrix),
        first=None,
        last=None,
        seed=0,
        recipe={"class": given.kind, **{k: v for k, v in given.hyper.items() if v}},
        held_out=reported,
        reference_digest=reference_digest,
    )


def _vectors(
    matrix: NDArray[np.float32], answers: Sequence[int], output: str
) -> tuple[Vector, ...]:
    """Rows from the lowest to the highest answer."""
    order = np.argsort(np.asarray(answers), kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(VECTOR_ROWS, len(order))).astype(int)]
    return tuple(
        Vector(inputs=_patterns(matrix[row]), outputs={output: int(answers[row])}) for row in chosen
    )


def _patterns(row: NDArray[np.float32]) -> tuple[str, ...]:
    """Bit patterns of 8 hex digits; whatever is missing has one of its own."""
    one_nan = np.where(np.isnan(row), np.float32(np.nan), row)
    text = one_nan.astype(">f4").tobytes().hex()
    return tuple(text[at : at + 8] for at in range(0, len(text), 8))


def _spread(count: int, most: int) -> NDArray[np.intp]:
    """At most so many row numbers, from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.intp))


def _use(card: Card) -> str:
    for title in USES:
        found = card.section(title)
        if found:
            return found
    return next((s.text for s in card.sections if s.text), None) or "not stated"


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= TEXT_MAX else plain[:TEXT_MAX] + " …"
