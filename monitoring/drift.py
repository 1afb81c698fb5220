"""Did the inputs move away from the reference? A leading indicator; it never says accuracy fell.

Two measures side by side, because they answer differently: Evidently's Wasserstein distance in
reference standard deviations against a fixed threshold, and the stability index of `psi.py`
against a limit that knows the number of rows. Neither can see that the relation between inputs and
outcomes changed. Rows are a deterministic sample of each side, chosen by hash under a seed derived
from the rows themselves, so the same rows always give the same result.

The one file that imports Evidently (0.7.23), and only inside the child process
`python -m monitoring.drift`. What to know about it:

- importing takes seconds, several hundred MB, and changes numpy's scalar types for the process;
- it has telemetry code, switched off by `DO_NOT_TRACK=1` before the import;
- it warns while importing, and does not import with pandas 3.1;
- automatic thresholds and tests are never used; method and threshold are stated.

The child gets rows on standard input as JSON, a bare environment without our settings, one thread,
a limit on its memory that it puts on itself first, and a time limit; it answers one JSON line.

Asked for its page too, the child writes Evidently's own HTML: megabytes with inline scripts, so it
is a file to download and never part of a page of ours. It is not the same twice and has no digest.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitoring import psi
from monitoring.errors import DriftError, DriftInputError
from monitoring.metrics import decimal_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Features = Mapping[str, float | None]

SCHEMA = "assay/drift/v1"
METHOD, THRESHOLD = "wasserstein", 0.1  # distance in reference standard deviations
SAMPLE_ROWS = 10_000  # of each side: the measure's noise is then about a hundredth
MINIMUM_ROWS = 30  # below, ten bins hold too little to compare
MEMORY_BYTES = 2 << 30  # address space; importing takes about 0.8 GB of it
TIMEOUT_S = 180.0  # importing alone took 9 s on two busy cores
_EXIT_BAD_LIMIT = 3


def measure_in_subprocess(
    reference: Sequence[Features],
    current: Sequence[Features],
    *,
    columns: Sequence[str] | None = None,
    sample_rows: int = SAMPLE_ROWS,
    timeout_s: float = TIMEOUT_S,
    memory_bytes: int = MEMORY_BYTES,
    page_to: Path | None = None,
) -> dict[str, Any]:
    """Compare current rows with reference rows, column by column, in a child process.

    The result holds text, integers, booleans and null only. `columns` are the reference's when
    absent. `page_to` is where Evidently's own page goes, compressed by gzip. Raises
    DriftInputError for rows that cannot be compared, DriftError when the child fails, runs out of
    memory or takes too long.
    """
    names = sorted(columns if columns is not None else _names(reference))
    sides = {"reference": _columns("reference", reference, names)}
    sides["current"] = _columns("current", current, names)
    seed = _seed(names, sides)
    sampled = {side: _sample(held, sample_rows, seed, side) for side, held in sides.items()}
    usable = [n for n in names if all(_present(held[n]) for held in sampled.values())]
    answer = _ask_child(
        sampled, usable, timeout_s=timeout_s, memory_bytes=memory_bytes, page_to=page_to
    )
    measured = [_column(name, sampled, answer["values"], len(usable)) for name in names]
    drifted = sum(1 for column in measured if column["drifted"])
    return {
        "drift_schema": SCHEMA,
        "library": "evidently",
        "version": answer["version"],
        "configuration": configuration(names, sample_rows),
        "seed": seed,
        "reference_rows": len(reference),
        "current_rows": len(current),
        "share_drifted": decimal_text(drifted / len(usable)) if usable else None,
        "columns": measured,
    }


def configuration(columns: Sequence[str], sample_rows: int = SAMPLE_ROWS) -> dict[str, Any]:
    """Everything chosen beforehand, for a digest of its own."""
    return {
        "columns": sorted(columns),
        "statistic": METHOD,
        "threshold": decimal_text(THRESHOLD),
        "psi_bins": psi.BINS,
        "psi_error_rate": decimal_text(psi.ERROR_RATE),
        "sample_rows": sample_rows,
    }


def _names(reference: Sequence[Features]) -> list[str]:
    return list(reference[0]) if reference else []


def _columns(side: str, rows: Sequence[Features], names: Sequence[str]) -> dict[str, list[float]]:
    """Rows as columns, a missing value as NaN."""
    if len(rows) < MINIMUM_ROWS:
        raise DriftInputError(side, f"{len(rows)} rows; needs {MINIMUM_ROWS}")
    if not names:
        raise DriftInputError(side, "no columns")
    held: dict[str, list[float]] = {name: [] for name in names}
    for place, row in enumerate(rows):
        for name in names:
            if name not in row:
                raise DriftInputError(side, f"row {place} has no column {name}")
            value = row[name]
            number = math.nan if value is None else float(value)
            if math.isinf(number):
                raise DriftInputError(side, f"row {place}, column {name} is infinite")
            held[name].append(number)
    return held


def _seed(names: Sequence[str], sides: Mapping[str, Mapping[str, list[float]]]) -> str:
    digest = hashlib.sha256(json.dumps(list(names)).encode())
    for side in ("reference", "current"):
        for name in names:
            values = sides[side][name]
            digest.update(struct.pack(">q", len(values)))
            digest.update(struct.pack(f">{len(values)}d", *values))
    return digest.hexdigest()


def _sample(
    held: Mapping[str, list[float]], size: int, seed: str, side: str
) -> dict[str, list[float]]:
    """Keep the rows whose hash under the seed is smallest, in their order."""
    count = len(next(iter(held.values())))
    if count <= size:
        return dict(held)

    def rank(place: int) -> bytes:
        return hashlib.sha256(f"{seed}/{side}/{place}".encode()).digest()

    chosen = sorted(sorted(range(count), key=rank)[:size])
    return {name: [values[i] for i in chosen] for name, values in held.items()}


def _present(values: Sequence[float]) -> list[float]:
    return [v for v in values if not math.isnan(v)]


def _column(
    name: str,
    sampled: Mapping[str, Mapping[str, list[float]]],
    values: Mapping[str, float],
    tested: int,
) -> dict[str, Any]:
    held = {side: _present(columns[name]) for side, columns in sampled.items()}
    shown: dict[str, Any] = {
        "column": name,
        "statistic": METHOD,
        "value": None,
        "threshold": decimal_text(THRESHOLD),
        "drifted": None,  # not measured: no value at all on one side
        "psi": None,
        "psi_limit": None,
        "psi_above_limit": None,
    }
    for side, columns in sampled.items():
        rows = len(columns[name])
        shown[f"{side}_rows"] = rows
        shown[f"{side}_missing_share"] = decimal_text(1 - len(held[side]) / rows)
    if name not in values:
        return shown
    inner = psi.edges(held["reference"])
    bins = [psi.counts(held[side], inner) for side in ("reference", "current")]
    index = psi.psi(*bins, columns=tested)
    shown |= {
        "value": decimal_text(values[name]),
        "drifted": values[name] >= THRESHOLD,
        "psi": decimal_text(index.value),
        "psi_limit": decimal_text(index.limit),
        "psi_above_limit": index.value > index.limit,
    }
    return shown


def _ask_child(
    sampled: Mapping[str, Mapping[str, list[float]]],
    names: Sequence[str],
    *,
    timeout_s: float,
    memory_bytes: int,
    page_to: Path | None,
) -> dict[str, Any]:
    question = {
        side: {name: [None if math.isnan(v) else v for v in columns[name]] for name in names}
        for side, columns in sampled.items()
    }
    with tempfile.TemporaryDirectory(prefix="assay-drift-") as home:
        page = [str(Path(home) / "page.html")] if page_to is not None and names else []
        try:
            done = subprocess.run(  # noqa: S603 - our own module, no shell, fixed arguments
                [sys.executable, "-m", "monitoring.drift", str(memory_bytes), *page],
                input=json.dumps(question).encode(),
                capture_output=True,
                cwd=Path(__file__).parent.parent,
                env=child_environment(home),
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            reason = f"no answer within {timeout_s:g} s"
            raise DriftError(reason, exit_code=None, said=_text(error.stderr)) from error
        if done.returncode != 0:
            raise DriftError("it stopped", exit_code=done.returncode, said=_text(done.stderr))
        if page and page_to is not None:
            page_to.write_bytes(gzip.compress(Path(page[0]).read_bytes(), 6, mtime=0))
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise DriftError("it answered no JSON", exit_code=0, said=_text(done.stderr)) from error
    return answer


def child_environment(home: str) -> dict[str, str]:
    """All the child is told: no settings of ours, no tracking, one thread, a throw-away home."""
    return {
        "DO_NOT_TRACK": "1",
        "HOME": home,
        "LANG": "C.UTF-8",
        "MALLOC_ARENA_MAX": "2",  # arenas cost address space, which is what the limit counts
        "MPLCONFIGDIR": home,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PATH": os.defpath,
        "PYTHONHASHSEED": "0",
    }


def _text(said: bytes | None) -> str:
    return (said or b"").decode(errors="replace").strip()


def main(arguments: Sequence[str]) -> int:
    """Be the child: limit memory, read columns, measure, answer; write a page when it is named."""
    os.environ["DO_NOT_TRACK"] = "1"  # again here, for whoever runs the module by hand
    try:
        _limit_memory(int(arguments[0]))
    except (IndexError, ValueError, OSError) as error:
        sys.stderr.write(f"usage: python -m monitoring.drift MEMORY_BYTES ({error})\n")
        return _EXIT_BAD_LIMIT
    question = json.load(sys.stdin)
    page = arguments[1] if len(arguments) > 1 else None
    answer = _measure(question["reference"], question["current"], page)
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def _limit_memory(limit: int) -> None:
    import resource  # noqa: PLC0415 - POSIX only, and only the child needs it

    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _measure(
    reference: Mapping[str, list[float | None]],
    current: Mapping[str, list[float | None]],
    page: str | None = None,
) -> dict[str, Any]:
    import warnings  # noqa: PLC0415 - see the top of the file

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import evidently  # noqa: PLC0415
        import pandas as pd  # noqa: PLC0415
        from evidently import DataDefinition, Dataset, Report  # noqa: PLC0415
        from evidently.metrics import ValueDrift  # noqa: PLC0415

        names = list(reference)
        values = {}
        if names:
            shape = DataDefinition(numerical_columns=names)
            sides = [
                Dataset.from_pandas(pd.DataFrame(side, dtype="float64"), data_definition=shape)
                for side in (current, reference)
            ]
            metrics = [ValueDrift(column=n, method=METHOD, threshold=THRESHOLD) for n in names]
            snapshot = Report(metrics).run(*sides)
            found = snapshot.dict()["metrics"]
            if page is not None:
                snapshot.save_html(page)
            values = {m["config"]["column"]: float(m["value"]) for m in found}
    return {"version": evidently.__version__, "values": values}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
