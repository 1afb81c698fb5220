"""The training data, read from where it lies and checked by digest. No network.

- Credit: UCI "Default of Credit Card Clients", vendored (data/ATTRIBUTION.md). It has no dates.
- Market: S&P 500, daily, 1999 to 2018, as shipped by the `arch` package (extra `market`). The
  series is read at training time and not copied: its own terms are not established.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib.util
import io
import lzma
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from models.errors import DataUnavailable
from models.hub.canonical import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CREDIT_FILE: Final = Path(__file__).parent / "data" / "uci_credit_default.csv.xz"
CREDIT_SHA256: Final = "7ded7d55f577d258bbaddc9d9d7a5ba82dfbd8909d7ff1ef0dcde632558d6d71"
CREDIT_BYTES_MAX: Final = 4 << 20  # the file has 2.9 MB; a larger one is not it
CREDIT_SPLIT: Final = {"train": 9000, "calibrate": 3000, "reference": 3000}  # the rest: replay
SPLIT_SALT: Final = b"assay/credit-split/v1\0"


@dataclass(frozen=True, slots=True, eq=False)
class CreditData:
    """30,000 accounts: whole numbers by column name in lower case, and whether each defaulted.

    `parts` names disjoint sets of row numbers. Accounts with equal columns are in one part.
    """

    columns: dict[str, NDArray[np.int64]]
    defaulted: NDArray[np.int64]
    parts: dict[str, NDArray[np.int64]]
    digest: str

    def rows(self, part: str, names: tuple[str, ...]) -> Iterator[tuple[int, dict[str, int], int]]:
        """Row number, features and outcome of each account of a part, in the part's order."""
        for row in self.parts[part].tolist():
            features = {name: int(self.columns[name][row]) for name in names}
            yield row, features, int(self.defaulted[row])


@dataclass(frozen=True, slots=True, eq=False)
class MarketData:
    """Daily prices of an index, oldest first; dates as ISO text."""

    dates: tuple[str, ...]
    close: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    digest: str


@cache
def load_credit() -> CreditData:
    """Read the vendored accounts. Raises DataUnavailable unless they are the expected bytes."""
    raw = lzma.LZMADecompressor().decompress(CREDIT_FILE.read_bytes(), CREDIT_BYTES_MAX)
    got = hashlib.sha256(raw).hexdigest()
    if got != CREDIT_SHA256:
        raise DataUnavailable("credit", f"SHA-256 is {got}, expected {CREDIT_SHA256}")
    header, body = raw.decode("utf-8-sig").split("\n", 1)
    names = [name.strip().lower() for name in header.split(",")]
    table = np.loadtxt(io.StringIO(body), delimiter=",", dtype=np.int64)
    columns = {name: table[:, index] for index, name in enumerate(names)}
    defaulted = columns.pop("default")
    del columns["id"]
    return CreditData(
        columns=columns,
        defaulted=defaulted,
        parts=_split(table[:, 1:]),
        digest=digest_of(raw),
    )


@cache
def load_sp500() -> MarketData:
    """Read the S&P 500 series. Raises DataUnavailable when the extra is not installed."""
    spec = importlib.util.find_spec("arch")
    if spec is None or not spec.submodule_search_locations:
        raise DataUnavailable("S&P 500", "install the extra: pip install 'assay[market]'")
    file = Path(spec.submodule_search_locations[0]) / "data" / "sp500" / "sp500.csv.gz"
    with gzip.open(file, "rb") as stream:
        raw = stream.read()
    rows = list(csv.DictReader(io.StringIO(raw.decode())))
    dates = tuple(_iso(row["Date"]) for row in rows)
    if list(dates) != sorted(set(dates)):
        raise DataUnavailable("S&P 500", "days are missing their order")
    return MarketData(
        dates=dates,
        close=np.asarray([float(row["Close"]) for row in rows]),
        high=np.asarray([float(row["High"]) for row in rows]),
        low=np.asarray([float(row["Low"]) for row in rows]),
        digest=digest_of(raw),
    )


def _split(table: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Order accounts by the hash of their columns, then cut; never between two equal accounts."""
    keys = [hashlib.sha256(SPLIT_SALT + row.tobytes()).digest() for row in table[:, :-1]]
    order = sorted(range(len(keys)), key=lambda row: (keys[row], row))
    parts, first = {}, 0
    for name, size in CREDIT_SPLIT.items():
        last = first + size
        while keys[order[last]] == keys[order[last - 1]]:
            last += 1
        parts[name] = np.asarray(order[first:last])
        first = last
    parts["replay"] = np.asarray(order[first:])
    return parts


def _iso(text: str) -> str:
    """`1/4/1999`, month first, as 1999-01-04."""
    month, day, year = (int(part) for part in text.split("/"))
    return date(year, month, day).isoformat()
