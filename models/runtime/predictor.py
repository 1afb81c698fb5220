"""A loaded model: values in, integers out. `load` refuses bytes that are not the approved ones.

Loading checks each artifact's digest, parses it as data, and repeats the manifest's test vectors,
whose outputs were computed by other code at publishing. A predictor is immutable and may be
shared by threads.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from models.errors import DigestMismatch, InputRefused, ManifestRefused, SelfTestFailed
from models.hub.canonical import digest_of
from models.runtime.encoding import Encoder
from models.runtime.linear import Linear
from models.runtime.reasons import Reason, Reasons
from models.runtime.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from models.hub.manifest import Manifest

__all__ = ["Executed", "Output", "Predictor", "Reason", "ReasonText", "load"]

NO_DECISION: Final = "forecast"  # what a model without a threshold decides
PROBABILITIES: Final = {"credit": "probability_of_default", "signal": "probability_of_rise"}


@dataclass(frozen=True, slots=True)
class Output:
    """One row's outputs, integers in units of 2^-16 by name, and the decision they lead to."""

    values: Mapping[str, int]
    decision: str


@dataclass(frozen=True, slots=True)
class ReasonText:
    """A reason code and the sentence that is shown to an applicant."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Executed:
    """One recorded row run again, as recorded texts; or why its inputs are refused."""

    outputs: Mapping[str, str]
    decision: str
    refused: str | None = None


class Predictor:
    """One model, ready to run. Made by `load`."""

    def __init__(self, manifest: Manifest, engines: Mapping[str, Trees | Linear]) -> None:
        self.manifest = manifest
        self.feature_names = manifest.feature_names
        self._encoder = Encoder(manifest.features)
        self._engines = dict(engines)
        self._reasons = self._explainer()

    def encode(self, row: Mapping[str, object]) -> list[float]:
        """A request's row as float32 values in order. Raises InputRefused, naming the feature."""
        return self._encoder.encode(row)

    def run(self, matrix: NDArray[np.float32]) -> list[Output]:
        """Outputs and decision of each encoded row."""
        self._check_shape(matrix)
        columns = {name: engine.run(matrix).tolist() for name, engine in self._engines.items()}
        rule = self.manifest.decision
        if rule is None:
            decisions = [NO_DECISION] * len(matrix)
        else:
            decisions = [
                rule.at_or_above if value >= rule.threshold_q16 else rule.below
                for value in columns[rule.output]
            ]
        rows = zip(*columns.values(), strict=True)
        return [
            Output(values=dict(zip(columns, values, strict=True)), decision=decision)
            for values, decision in zip(rows, decisions, strict=True)
        ]

    def reasons(self, matrix: NDArray[np.float32]) -> list[tuple[Reason, ...]]:
        """Stated reasons of each encoded row; empty for models that state none."""
        self._check_shape(matrix)
        return [()] * len(matrix) if self._reasons is None else self._reasons.explain(matrix)

    def reason_texts(self) -> tuple[ReasonText, ...]:
        """Every code this model can state, with its text."""
        spec = self.manifest.reason_codes
        return tuple(ReasonText(group.code, group.text) for group in (spec.groups if spec else ()))

    def derive(self, outputs: Mapping[str, int]) -> dict[str, str]:
        """Recorded integers as people read them. For display: nothing here is recorded."""
        shown = {}
        for spec in self.manifest.outputs:
            if spec.name not in outputs:
                continue
            value = outputs[spec.name] / 65536
            if spec.unit == "log-odds":
                shown[PROBABILITIES.get(self.manifest.kind, "probability")] = (
                    f"{_sigmoid(value):.4f}"
                )
            else:
                shown[spec.name.removesuffix("_q16")] = f"{value:.4f}"
        return shown

    def rerun(self, rows: Sequence[Mapping[str, str]]) -> list[Executed]:
        """Run recorded rows again. A row whose inputs this model refuses is said to be refused."""
        found: dict[int, Executed] = {}
        places, vectors = [], []
        for place, texts in enumerate(rows):
            try:
                vectors.append(self._encoder.decode(texts))
                places.append(place)
            except InputRefused as error:
                found[place] = Executed(outputs={}, decision="", refused=str(error))
        if vectors:
            matrix = np.asarray(vectors, np.float32)
            answers = zip(self.run(matrix), self.reasons(matrix), strict=True)
            for place, (output, why) in zip(places, answers, strict=True):
                found[place] = Executed(outputs=recorded(output, why), decision=output.decision)
        return [found[place] for place in range(len(rows))]

    def self_test(self) -> None:
        """Repeat the manifest's vectors. Raises SelfTestFailed at the first difference."""
        try:
            vectors = [
                self._encoder.decode(dict(zip(self.feature_names, vector.inputs, strict=True)))
                for vector in self.manifest.vectors
            ]
        except InputRefused as error:
            raise ManifestRefused("vectors", str(error)) from error
        outputs = self.run(np.asarray(vectors, np.float32))
        for index, (vector, got) in enumerate(zip(self.manifest.vectors, outputs, strict=True)):
            for name, expected in vector.outputs.items():
                if got.values[name] != expected:
                    raise SelfTestFailed(index, name, expected=expected, got=got.values[name])

    def _check_shape(self, matrix: NDArray[np.float32]) -> None:
        if matrix.ndim != 2 or matrix.shape[1] != len(self.feature_names):  # noqa: PLR2004
            raise InputRefused("features", f"expected rows of {len(self.feature_names)} values")
        if matrix.dtype != np.float32:
            raise InputRefused("features", "expected float32 values")

    def _explainer(self) -> Reasons | None:
        spec = self.manifest.reason_codes
        if spec is None:
            return None
        engine = self._engines[spec.output]
        if not isinstance(engine, Trees):
            raise ManifestRefused("reason_codes", f"not available for {self.manifest.format}")
        texts = dict(zip(self.feature_names, spec.reference, strict=True))
        try:
            reference = self._encoder.decode(texts)
        except InputRefused as error:
            raise ManifestRefused("reason_codes.reference", str(error)) from error
        return Reasons(spec, engine, names=self.feature_names, reference=reference)


def load(manifest: Manifest, read_blob: Callable[[str], bytes]) -> Predictor:
    """Load a model whose manifest was read under its approved digest.

    Raises DigestMismatch, ArtifactRefused, ManifestRefused or SelfTestFailed; whatever `read_blob`
    raises passes through.
    """
    largest = Encoder(manifest.features).largest
    engines: dict[str, Trees | Linear] = {}
    for output in manifest.outputs:
        data = read_blob(output.artifact)
        got = digest_of(data)
        if got != output.artifact:
            raise DigestMismatch(f"artifact of {output.name}", expected=output.artifact, got=got)
        if manifest.format == "tree-ensemble-q16/v1":
            engines[output.name] = Trees.parse(data, manifest.feature_names)
        else:
            engines[output.name] = Linear.parse(data, largest)
    predictor = Predictor(manifest, engines)
    predictor.self_test()
    return predictor


def recorded(output: Output, reasons: Sequence[Reason]) -> dict[str, str]:
    """Outputs as the texts that are recorded: integers, and reasons in canonical JSON."""
    texts = {name: str(value) for name, value in output.values.items()}
    if reasons:
        stated = [{"code": r.code, "contribution_q16": r.contribution_q16} for r in reasons]
        texts["reason_codes"] = json.dumps(stated, sort_keys=True, separators=(",", ":"))
    return texts


def _sigmoid(value: float) -> float:
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    return math.exp(value) / (1 + math.exp(value))
