"""Asks Evidently itself, in a process of its own: windows on standard input, distances out.

Usage: python tests/benchmarks/evidently_windows.py < windows.json
"""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

os.environ["DO_NOT_TRACK"] = "1"


def ask(reference, windows, *, timeout_s=600):
    """Evidently's Wasserstein distance by column for each window; both sides {column: values}."""
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps({"reference": reference, "windows": windows}).encode(),
        capture_output=True,
        env={**os.environ, "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
        timeout=timeout_s,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def _measure(reference, windows):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import ValueDrift

        names = list(reference)
        shape = DataDefinition(numerical_columns=names)
        sides = [
            Dataset.from_pandas(pd.DataFrame(side, dtype="float64"), data_definition=shape)
            for side in (reference, *windows)
        ]
        found = []
        for window in sides[1:]:
            metrics = [ValueDrift(column=n, method="wasserstein", threshold=0.1) for n in names]
            told = Report(metrics).run(window, sides[0]).dict()["metrics"]
            found.append({m["config"]["column"]: float(m["value"]) for m in told})
    return found


if __name__ == "__main__":
    question = json.load(sys.stdin)
    print(json.dumps(_measure(question["reference"], question["windows"])))
