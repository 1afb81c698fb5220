"""Batches by columns: what the audit adds to decoding and predicting, and what a replay costs.

The whole route is measured, from the bytes of a request to the bytes of its answer, durable and with
its receipt, through Flask and the access checks but without a socket. Beside it, in turns: only
decoding the same Arrow stream and running the same engine; the same with xgboost's own predict, as
an app without us would do it. Ratios are of processor seconds (the commit waits for the disk) and of
the wall. Engines are timed on rows they have not just seen: a row walked twice in a row is cheaper.

By hand: python tests/benchmarks/batch_rates.py [engines|batches|replay|ray]
"""

import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
    sys.path.insert(0, str(Path(__file__).parents[2]))

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import xgboost
from click import ClickException
from harness import Row, interleave, median_wall, ratio

import postgres
from houses import Api, make_house, packages
from models.reference.credit_default import matrix
from models.reference.data import load_credit
from models.runtime.engines import engines_of
from models.runtime.trees import Trees
from service.batch_body import ARROW, Body, read_arrow
from service.cli.auditing import audit_directory
from service.exporting import export_house

COMMAND = "make bench ARGS=batch"
ROWS = 8_192
ROUNDS = 9
WHERE = "/v1/predictions:batch?model=credit-default"
SIZES = (1, 8, 32, 48, 64, 256, 1_024, 8_192)
RAY_GOAL = 0.8
RATIO_GOAL, MOONSHOT, ROWS_GOAL, REPLAY_GOAL = 0.45, 0.6, 150_000, 200_000


def credit():
    """The package, its trees, and rows to run it on."""
    package = packages()["credit-default"]
    artifact = package.blobs[package.manifest.outputs[0].artifact]
    rows = matrix(load_credit(), "replay").astype(np.float32)
    return package, artifact, rows


def engines():
    """Microseconds a row of each engine by batch size."""
    package, artifact, rows = credit()
    trees = Trees.parse(artifact, package.manifest.feature_names)
    both, booster = engines_of(trees), xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(artifact))

    def predict(part):
        return booster.inplace_predict(part, predict_type="margin", validate_features=False)

    runs = {"ONNX Runtime": both.few, "bits": both.many, "walk": trees.run, "xgboost": predict}
    for size in SIZES:
        parts = [rows[at : at + size] for at in range(0, len(rows) - size + 1, size)][:400]
        told = []
        for name, run in runs.items():
            best = min(_cpu_of(run, parts) for _ in range(3)) / (len(parts) * size)
            told.append(f"{name} {best * 1e6:.1f}")
        served = "ONNX Runtime" if size < both.below else "bits"
        value = ", ".join(told)
        yield Row(
            "batch", f"engines, {size} rows, us a row ({served} serves)", value, "", None, COMMAND
        )


def _cpu_of(run, parts):
    before = time.process_time()
    for part in parts:
        run(part)
    return time.process_time() - before


def stream_of(names, rows):
    """Rows as an Arrow stream of float64 columns."""
    arrays = [pa.array(rows[:, place].astype(np.float64)) for place in range(len(names))]
    batch = pa.record_batch(arrays, names=list(names))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def decoded(data):
    """An Arrow stream as a matrix, as an app without us would read it."""
    table = pa.ipc.open_stream(data).read_all()
    return np.stack([column.to_numpy() for column in table.columns], axis=1).astype(np.float32)


def batches(database=None):
    """One request of 8,192 rows against decoding and predicting alone."""
    package, artifact, rows = credit()
    names = package.manifest.feature_names
    data = stream_of(names, rows[:ROWS])
    engine = engines_of(Trees.parse(artifact, names))
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(artifact))
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        url = "" if database is None else stack.enter_context(database.database())
        house = make_house(Path(directory) / "house", ("credit-default",), database_url=url)
        api = Api(house)
        columns = {n: rows[:ROWS, i].astype(float).tolist() for i, n in enumerate(names)}
        as_json = api.app.json.dumps({"model": "credit-default", "columns": columns}).encode()

        def audited(body=data, kind=ARROW, where=WHERE):
            for _ in range(4):
                answer = api.trader.post_raw(where, body, kind)
                assert answer.status_code == 200, answer.get_data(as_text=True)[:300]

        def plain():
            for _ in range(4):
                engine.run(decoded(data))

        def plain_xgboost():
            for _ in range(4):
                booster.inplace_predict(decoded(data), predict_type="margin")

        found = interleave(
            {
                "audited": audited,
                "plain": plain,
                "xgboost": plain_xgboost,
                "json": lambda: audited(as_json, "application/json", "/v1/predictions:batch"),
            },
            ROUNDS,
        )
        house.engine.dispose()
    where = "SQLite" if database is None else "PostgreSQL"
    by_cpu = ratio(found, "plain", "audited", by="cpu")
    rate = 4 * ROWS / np.median([t.cpu for t in found["audited"]])
    name = f"Arrow batch of {ROWS:,} rows, {where}"
    yield Row(
        "batch",
        f"{name}: of decode + predict, processor",
        f"{by_cpu:.2f}x",
        f">= {RATIO_GOAL} (moonshot {MOONSHOT})",
        by_cpu >= RATIO_GOAL,
        COMMAND,
    )
    for other, told in (("plain", "decode + predict"), ("xgboost", "decode + xgboost")):
        for by in ("wall", "cpu"):
            if (other, by) != ("plain", "cpu"):
                spent = {"wall": "wall", "cpu": "processor"}[by]
                value = f"{ratio(found, other, 'audited', by=by):.2f}x"
                yield Row("batch", f"{name}: of {told}, {spent}", value, "", None, COMMAND)
    yield Row(
        "batch",
        f"{name}: rows a processor-second",
        f"{rate:,.0f}",
        f">= {ROWS_GOAL:,}",
        bool(rate >= ROWS_GOAL),
        COMMAND,
    )
    yield Row(
        "batch",
        f"{name}: rows a second, one caller",
        f"{4 * ROWS / median_wall(found['audited']):,.0f}",
        "",
        None,
        COMMAND,
    )
    value = f"{ratio(found, 'audited', 'json', by='cpu'):.2f}x"
    yield Row("batch", f"JSON columns against Arrow, {where}, processor", value, "", None, COMMAND)


def exported(directory, requests, rows_each=ROWS):
    """A house with some batches, exported; and its key."""
    package, _, rows = credit()
    house = make_house(Path(directory) / "house", ("credit-default",))
    api = Api(house)
    data = stream_of(package.manifest.feature_names, rows[:rows_each])
    for _ in range(requests):
        assert api.trader.post_raw(WHERE, data, ARROW).status_code == 200
    export_house(house, Path(directory) / "export")
    vkey = house.ledger.vkey
    house.engine.dispose()
    return Path(directory) / "export", vkey


def replay():
    """An audit of batches: hashing alone, and with every row run again."""
    requests = 16
    with tempfile.TemporaryDirectory() as directory:
        place, vkey = exported(directory, requests)
        reports = []
        found = interleave(
            {
                "hashed": lambda: audit_directory(place, vkey, replay=False),
                "replayed": lambda: reports.append(audit_directory(place, vkey)),
            },
            5,
        )
    spent = [b.cpu - a.cpu for a, b in zip(found["hashed"], found["replayed"], strict=True)]
    rows = requests * ROWS
    counts = reports[-1].to_json()["executions"][0]["counts"]
    wrong = rows - counts["bit_exact"]
    rate = rows / np.median(spent)
    yield Row(
        "batch",
        "replay of batches: rows a second, one core",
        f"{rate:,.0f}",
        f">= {REPLAY_GOAL:,}",
        bool(rate >= REPLAY_GOAL),
        COMMAND,
    )
    yield Row(
        "batch",
        "replay of batches: rows that differ",
        f"{wrong} of {rows:,}",
        "0",
        wrong == 0,
        COMMAND,
    )
    whole = rows / np.median([t.cpu for t in found["replayed"]])
    yield Row(
        "batch",
        "audit of batches, hashes and replay: rows a second, one core",
        f"{whole:,.0f}",
        "",
        None,
        COMMAND,
    )


def on_ray():
    """The same replay on one Ray worker and on two, tasks of 65,536 rows, models loaded."""
    import ray

    from ledger.layout import DirectorySource
    from service.cli.auditing import Asked, audit_source
    from service.cli.ray_engine import _run, ray_workers

    requests, rounds = 64, 5
    spent = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as directory, ray_workers(2):
        place, vkey = exported(directory, requests)

        def workers(count):
            def run(task, parts):
                began = time.perf_counter()
                found = list(_run(ray, task, parts, at_once=count))
                spent[count].append(time.perf_counter() - began)
                return found

            return run

        reports = {
            audit_source(DirectorySource(place), vkey, Asked(workers=workers(n))).report.to_bytes()
            for n in (2, 1, *(1, 2, 2, 1) * (rounds // 2))
        }
    assert len(reports) == 1, "the reports differ"
    one, two = (np.median(spent[count][1:]) for count in (1, 2))
    efficiency = one / two / 2
    told = f"{efficiency:.2f} ({requests * ROWS / two:,.0f} rows a second on two)"
    goal = f">= {RAY_GOAL}"
    yield Row(
        "batch", "Ray: efficiency of two workers", told, goal, bool(efficiency >= RAY_GOAL), COMMAND
    )


def rows():
    """Every row of this area."""
    yield from engines()
    yield from batches()
    programs, _ = postgres.find_programs()
    if programs is not None:
        server = postgres.Server(programs)
        try:
            yield from batches(server)
        finally:
            server.stop()
    yield from replay()
    try:
        yield from on_ray()
    except ClickException as error:
        yield Row("batch", "Ray: efficiency of two workers", error.message, "", None, COMMAND)


def _parts():
    """Where the time of one audited batch goes; not in the table, for docs/performance.md."""
    package, _, given = credit()
    data = stream_of(package.manifest.feature_names, given[:ROWS])
    import io

    from models.runtime import load
    from service.batch import execute
    from service.batch_rows import hash_parts, pack

    predictor = load(package.manifest, package.blobs.__getitem__)

    def read():
        return read_arrow(Body(io.BytesIO(data), most=2**30, digest_of=b""), rows_max=ROWS)

    columns = read()
    encoded = predictor.encode_columns(columns)
    _, table = execute(predictor, columns)
    records = pack(table)
    steps = {
        "read Arrow": read,
        "encode": lambda: predictor.encode_columns(columns),
        "predict": lambda: predictor.run_columns(encoded),
        "pack": lambda: pack(table),
        "hash and tree": lambda: hash_parts(records, len(predictor.feature_names)),
    }
    for name, step in steps.items():
        best = min(_cpu_of(lambda run: run(), [step]) for _ in range(15))
        print(f"{name:<16} {best / ROWS * 1e6:6.2f} us a row")


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["engines", "batches", "replay"]
    if "parts" in wanted:
        _parts()
    for part in wanted:
        for row in {
            "engines": engines,
            "batches": batches,
            "replay": replay,
            "ray": on_ray,
        }.get(part, list)():
            print(f"{row.name:<75} {row.value:>20}  {row.goal}  {row.met}", flush=True)
