"""A request's values as float32, and recorded bit patterns back: one meaning for one input.

Values are recorded as the 8 hex digits of their float32 pattern, big-endian. There is one pattern
for "missing", 7fc00000, and zero has no sign. Infinities, fractions where whole numbers belong,
values outside the manifest's bounds and unknown names are refused, never repaired.
"""

from __future__ import annotations

import math
import struct
from array import array
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.errors import InputRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from models.hub.manifest import Feature

    # Values as float64, and which of them are missing; None when none is.
    Column = tuple[NDArray[np.float64], NDArray[np.bool_] | None]

MISSING: Final = "7fc00000"
_MISSING_BITS: Final = 0x7FC00000
_MINUS_ZERO: Final = 0x80000000
NAME_SHOWN: Final = 80  # characters of an unknown name that an error repeats
_ABSENT: Final = object()


class Encoder:
    """The features of one model, in order."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self.names = tuple(feature.name for feature in features)
        self.largest = tuple(
            float(max(abs(feature.minimum), abs(feature.maximum))) for feature in features
        )
        self.may_miss = any(feature.missing for feature in features)
        self._features = tuple(features)
        self._known = frozenset(self.names)
        self._bounds = tuple(
            (feature.minimum, feature.maximum, feature.type == "integer") for feature in features
        )

    def encode(self, row: Mapping[str, object]) -> list[float]:
        """A request's row as float32 values, NaN where a value is missing.

        Raises InputRefused with the name of the feature.
        """
        values = self._plain(row)
        if values is None:  # a value is missing or refused: one at a time, to say which
            self._refuse_unknown(row)
            values = [
                self._value(feature, row.get(feature.name, _ABSENT)) for feature in self._features
            ]
        # array("f") rounds to the nearest float32; adding zero turns -0.0 into 0.0.
        return [value + 0.0 for value in array("f", values)]

    def _plain(self, row: Mapping[str, object]) -> list[float] | None:
        """A row as it nearly always is: each feature once, a number within its bounds."""
        if len(row) != len(self.names):
            return None
        values: list[float] = []
        for name, (lowest, highest, whole) in zip(self.names, self._bounds, strict=True):
            value = row.get(name)
            if type(value) is int:
                if not lowest <= value <= highest:
                    return None
            elif (
                type(value) is not float
                or not lowest <= value <= highest
                or (whole and not value.is_integer())
            ):
                return None
            values.append(value)
        return values

    def encode_columns(self, given: Mapping[str, Column]) -> NDArray[np.float32]:
        """Rows given by columns of one length, as `encode` gives each: float32 [rows, features].

        Raises InputRefused with the first feature at fault and its first row.
        """
        self._refuse_unknown(given)
        absent = next((name for name in self.names if name not in given), None)
        if absent is not None:
            raise InputRefused(absent, "is required")
        found = np.empty((len(given[self.names[0]][0]), len(self.names)), np.float32)
        for place, feature in enumerate(self._features):
            values, missing = given[feature.name]
            if not self._plain_column(feature, values, missing):
                self._check_column(feature, values, missing)
            found[:, place] = values
            if missing is not None:
                found[missing, place] = np.nan
        found += np.float32(0)  # -0.0 becomes 0.0
        return found

    def refusals(self, matrix: NDArray[np.float32]) -> dict[int, str]:
        """Of recorded rows as float32, those that `decode` refuses, with its reason."""
        bits = matrix.view(np.uint32)
        missing = bits == _MISSING_BITS
        lowest, highest, whole = (np.asarray(column) for column in zip(*self._bounds, strict=True))
        with np.errstate(invalid="ignore"):
            bad = ~((matrix >= lowest) & (matrix <= highest)) | (bits == _MINUS_ZERO)
            bad |= whole & (matrix != np.trunc(matrix))
        bad &= ~(missing & np.asarray([feature.missing for feature in self._features]))
        found = {}
        for row in np.flatnonzero(bad.any(axis=1)).tolist():
            texts = dict(zip(self.names, (f"{b:08x}" for b in bits[row].tolist()), strict=True))
            try:
                self.decode(texts)
            except InputRefused as error:
                found[row] = str(error)
        return found

    @staticmethod
    def _plain_column(
        feature: Feature, values: NDArray[np.float64], missing: NDArray[np.bool_] | None
    ) -> bool:
        """Whether nothing is missing and everything within bounds: NaN is not."""
        if missing is not None or not len(values):
            return False
        within = values.min() >= feature.minimum and values.max() <= feature.maximum
        return bool(within) and (
            feature.type != "integer" or bool((values == np.trunc(values)).all())
        )

    def _check_column(
        self, feature: Feature, values: NDArray[np.float64], missing: NDArray[np.bool_] | None
    ) -> None:
        with np.errstate(invalid="ignore"):
            bad = ~((values >= feature.minimum) & (values <= feature.maximum))
            if feature.type == "integer":
                bad |= values != np.trunc(values)
        if missing is not None:
            bad = bad & ~missing if feature.missing else bad | missing
        if not bad.any():
            return
        row = int(np.argmax(bad))
        value: Any = None if missing is not None and missing[row] else float(values[row])
        try:
            self._value(feature, value)
        except InputRefused as error:
            raise InputRefused(feature.name, error.reason, row) from None
        raise InputRefused(feature.name, "cannot be used", row)

    def decode(self, texts: Mapping[str, str]) -> list[float]:
        """A recorded row as float32 values. Accepts exactly what `encode` can produce."""
        self._refuse_unknown(texts)
        return [self._pattern(feature, texts.get(feature.name)) for feature in self._features]

    def _refuse_unknown(self, row: Mapping[str, object]) -> None:
        for name in row:
            if name not in self._known:
                raise InputRefused(str(name)[:NAME_SHOWN], "is not a feature of this model")

    def _value(self, feature: Feature, value: object) -> float:
        if value is None:
            if feature.missing:
                return math.nan
            raise InputRefused(feature.name, "may not be missing")
        if not isinstance(value, int | float) or isinstance(value, bool):
            if value is _ABSENT:
                raise InputRefused(feature.name, "is required")
            raise InputRefused(feature.name, "expected a number")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputRefused(feature.name, "must be finite")
        _check(feature, value)
        return float(value)

    def _pattern(self, feature: Feature, text: str | None) -> float:
        if text is None:
            raise InputRefused(feature.name, "is not recorded")
        if text == MISSING and feature.missing:
            return math.nan
        try:
            value: float = struct.unpack(">f", bytes.fromhex(text))[0]
        except (ValueError, TypeError, struct.error) as error:
            raise InputRefused(feature.name, "is not a pattern of 8 hex digits") from error
        if not math.isfinite(value):
            raise InputRefused(feature.name, "must be finite")
        if struct.pack(">f", value + 0.0).hex() != text:
            raise InputRefused(feature.name, "is not the one pattern of its value")
        _check(feature, value)
        return value


def _check(feature: Feature, value: float) -> None:
    if not feature.minimum <= value <= feature.maximum:
        bounds = f"{feature.minimum} to {feature.maximum}"
        raise InputRefused(feature.name, f"must be from {bounds}")
    if feature.type == "integer" and value != int(value):
        raise InputRefused(feature.name, "must be a whole number")
