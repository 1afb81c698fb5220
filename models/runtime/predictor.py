"""A loaded model: values in, integers out. `load` refuses bytes that are not the approved ones.

Loading checks each artifact's digest, parses it as data, and repeats the manifest's test vectors
on both engines (`engines.py`); the outputs expected were computed by other code at publishing. A
predictor is immutable and may be shared by threads. Load it after a fork.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Final

import numpy as np

from models.errors import DigestMismatch, InputRefused, ManifestRefused, SelfTestFailed
from models.hub.canonical import digest_of
from models.runtime.encoding import Encoder
from models.runtime.engines import engines_of
from models.runtime.linear import Linear
from models.runtime.reasons import Reason, Reasons
from models.runtime.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from models.hub.manifest import Manifest
    from models.runtime.encoding import Column
    from models.runtime.engines import Engines, Run

__all__ = ["Executed", "Output", "Predictor", "Reason", "ReasonText", "load"]

NO_DECISION: Final = "forecast"  # what a model without a threshold decides
TREES: Final = "tree-ensemble-q16/v1"
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

    def __init__(self, manifest: Manifest, engines: Mapping[str, Engines]) -> None:
        self.manifest = manifest
        self.feature_names = manifest.feature_names
        self._encoder = Encoder(manifest.features)
        self._engines = dict(engines)
        self._reasons = self._explainer()
        self._serving: dict[str, Run] = {name: both.run for name, both in engines.items()}

    def encode(self, row: Mapping[str, object]) -> list[float]:
        """A request's row as float32 values in order. Raises InputRefused, naming the feature."""
        return self._encoder.encode(row)

    def run(self, matrix: NDArray[np.float32]) -> list[Output]:
        """Outputs and decision of each encoded row."""
        self._check_shape(matrix)
        return self._outputs({name: run(matrix) for name, run in self._serving.items()})

    def reasons(self, matrix: NDArray[np.float32]) -> list[tuple[Reason, ...]]:
        """Stated reasons of each encoded row; empty for models that state none."""
        return [why for _, why in self.answer(matrix)]

    def answer(self, matrix: NDArray[np.float32]) -> list[tuple[Output, tuple[Reason, ...]]]:
        """`run` and `reasons` in one pass of the engine."""
        self._check_shape(matrix)
        return self._answer(matrix, self._serving)

    def encode_columns(self, given: Mapping[str, Column]) -> NDArray[np.float32]:
        """Rows given by columns, as `encode` gives each. Raises InputRefused with row and name."""
        return self._encoder.encode_columns(given)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The outputs, in the order of `run_columns`."""
        return tuple(self._engines)

    @property
    def decisions(self) -> tuple[str, ...]:
        """Every decision there is; `run_columns` gives their numbers."""
        rule = self.manifest.decision
        return (NO_DECISION,) if rule is None else (rule.below, rule.at_or_above)

    def run_columns(
        self, matrix: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Outputs [rows, outputs] and the number of each row's decision. States no reasons."""
        self._check_shape(matrix)
        return self._run_columns(matrix, self._serving)

    def rerun_columns(
        self, matrix: NDArray[np.float32], *, served: int
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8], dict[int, str]]:
        """`run_columns` of recorded rows, and which of them are refused, why.

        On the engine that did not serve a request of `served` rows.
        """
        self._check_shape(matrix)
        other: dict[str, Run] = {
            name: partial(engines.other, served=served) for name, engines in self._engines.items()
        }
        return *self._run_columns(matrix, other), self._encoder.refusals(matrix)

    def _run_columns(
        self, matrix: NDArray[np.float32], runs: Mapping[str, Run]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        columns = {name: run(matrix) for name, run in runs.items()}
        rule = self.manifest.decision
        if rule is None:
            numbers = np.zeros(len(matrix), np.uint8)
        else:
            numbers = (columns[rule.output] >= rule.threshold_q16).astype(np.uint8)
        return np.stack(list(columns.values()), axis=1), numbers

    def _answer(
        self, matrix: NDArray[np.float32], runs: Mapping[str, Run]
    ) -> list[tuple[Output, tuple[Reason, ...]]]:
        spec = self.manifest.reason_codes
        why: list[tuple[Reason, ...]] = [()] * len(matrix)
        columns: dict[str, NDArray[np.int64]] = {}
        for name, run in runs.items():
            if self._reasons is not None and spec is not None and name == spec.output:
                columns[name], why = self._reasons.explain(matrix, run)
            else:
                columns[name] = run(matrix)
        return list(zip(self._outputs(columns), why, strict=True))

    def _outputs(self, columns: Mapping[str, NDArray[np.int64]]) -> list[Output]:
        rule = self.manifest.decision
        found = []
        for values in zip(*(column.tolist() for column in columns.values()), strict=True):
            named = dict(zip(columns, values, strict=True))
            decision = NO_DECISION
            if rule is not None:
                high = named[rule.output] >= rule.threshold_q16
                decision = rule.at_or_above if high else rule.below
            found.append(Output(values=named, decision=decision))
        return found

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

    def rerun(self, rows: Sequence[Mapping[str, str]], *, served: int = 1) -> list[Executed]:
        """Run recorded rows again, on the engine that did not serve requests of `served` rows.

        A row whose inputs this model refuses is said to be refused.
        """
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
            other: dict[str, Run] = {
                name: partial(engines.other, served=served)
                for name, engines in self._engines.items()
            }
            answers = self._answer(matrix, other)
            for place, (output, why) in zip(places, answers, strict=True):
                found[place] = Executed(outputs=recorded(output, why), decision=output.decision)
        return [found[place] for place in range(len(rows))]

    def self_test(self) -> None:
        """Repeat the manifest's vectors on every engine, together and one by one.

        Raises SelfTestFailed at the first difference.
        """
        try:
            vectors = [
                self._encoder.decode(dict(zip(self.feature_names, vector.inputs, strict=True)))
                for vector in self.manifest.vectors
            ]
        except InputRefused as error:
            raise ManifestRefused("vectors", str(error)) from error
        matrix = np.asarray(vectors, np.float32)
        for name, engines in self._engines.items():
            expected = [vector.outputs[name] for vector in self.manifest.vectors]
            together = [run(matrix) for run in (engines.few, engines.many, engines.check)]
            singly = np.concatenate([engines.few(matrix[i : i + 1]) for i in range(len(matrix))])
            for found in (*together, singly):
                for index, (wanted, got) in enumerate(zip(expected, found.tolist(), strict=True)):
                    if got != wanted:
                        raise SelfTestFailed(index, name, expected=wanted, got=got)

    def _check_shape(self, matrix: NDArray[np.float32]) -> None:
        if matrix.ndim != 2 or matrix.shape[1] != len(self.feature_names):  # noqa: PLR2004
            raise InputRefused("features", f"expected rows of {len(self.feature_names)} values")
        if matrix.dtype != np.float32:
            raise InputRefused("features", "expected float32 values")

    def _explainer(self) -> Reasons | None:
        spec = self.manifest.reason_codes
        if spec is None:
            return None
        if self.manifest.format != TREES:
            raise ManifestRefused("reason_codes", f"not available for {self.manifest.format}")
        texts = dict(zip(self.feature_names, spec.reference, strict=True))
        try:
            reference = self._encoder.decode(texts)
        except InputRefused as error:
            raise ManifestRefused("reason_codes.reference", str(error)) from error
        return Reasons(spec, names=self.feature_names, reference=reference)


def load(manifest: Manifest, read_blob: Callable[[str], bytes]) -> Predictor:
    """Load a model whose manifest was read under its approved digest.

    Raises DigestMismatch, ArtifactRefused, ManifestRefused or SelfTestFailed; whatever `read_blob`
    raises passes through.
    """
    largest = Encoder(manifest.features).largest
    engines: dict[str, Engines] = {}
    for output in manifest.outputs:
        data = read_blob(output.artifact)
        got = digest_of(data)
        if got != output.artifact:
            raise DigestMismatch(f"artifact of {output.name}", expected=output.artifact, got=got)
        if manifest.format == TREES:
            engines[output.name] = engines_of(Trees.parse(data, manifest.feature_names))
        else:
            engines[output.name] = engines_of(Linear.parse(data, largest))
    predictor = Predictor(manifest, engines)
    predictor.self_test()
    return predictor


def recorded(output: Output, reasons: Sequence[Reason]) -> dict[str, str]:
    """Outputs as the texts that are recorded: integers, and reasons in canonical JSON."""
    texts = {name: str(value) for name, value in output.values.items()}
    if reasons:
        stated = (
            f'{{"code":{_quoted(reason.code)},"contribution_q16":{reason.contribution_q16}}}'
            for reason in reasons
        )
        texts["reason_codes"] = f"[{','.join(stated)}]"
    return texts


_quoted = cache(json.dumps)  # of the few codes there are


def _sigmoid(value: float) -> float:
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    return math.exp(value) / (1 + math.exp(value))
