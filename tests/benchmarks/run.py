"""`make bench`: measure one area or all, write docs/benchmarks.md and docs/benchmarks.json.

Usage: python tests/benchmarks/run.py [AREA ...]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import audit_memory
import batch_rates
import harness
import ledger_rates
import serving_rates

AREAS = {
    "ledger": ledger_rates.rows,
    "audit": audit_memory.rows,
    "batch": batch_rates.rows,
    "serving": serving_rates.rows,
}


def main(arguments):
    unknown = [name for name in arguments if name not in AREAS]
    if unknown:
        sys.exit(f"no area {', '.join(unknown)}; there are {', '.join(AREAS)}")
    rows, told = [], {}
    for area in arguments or AREAS:
        told[area] = harness.machine()
        print(f"measuring {area} ...", flush=True)
        for row in AREAS[area]():
            rows.append(row)
            print(f"  {row.name:<62} {row.value:>14}  {row.goal:<10} {row.met}", flush=True)
    harness.write(rows, told)
    print("wrote docs/benchmarks.md and docs/benchmarks.json")


if __name__ == "__main__":
    main(sys.argv[1:])
