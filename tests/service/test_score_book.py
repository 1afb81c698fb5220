"""`assay score`: a book in, decisions out, each row once, whatever happens in between."""

import json
import os
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from houses import credit_rows, make_house
from ledger.columnar import Columns
from ledger.merkle import leaf_hash, verify_inclusion
from ledger.receipt import Receipt, verify_receipt
from ledger.record import parse_entry
from service.assembly import assemble
from service.cli import main
from service.scoring import Book
from service.settings import Settings

ROWS = credit_rows(250)
NAMES = list(ROWS[0])


def book_at(path, rows=ROWS, **columns):
    """A book with an account number and a note beside the inputs."""
    table = {"account": pa.array([f"A{n:05d}" for n in range(len(rows))])}
    table |= {name: pa.array([row[name] for row in rows], pa.float64()) for name in NAMES}
    pq.write_table(pa.table(table | columns), path, row_group_size=37)
    return path


def score(book, house, *more):
    arguments = ["score", book, "--model", "credit-default", "--data-dir", house]
    return CliRunner().invoke(main, [*map(str, arguments), "--chunk-rows", "100", *map(str, more)])


@pytest.fixture
def directory(tmp_path, database):
    house = make_house(tmp_path / "house", ("credit-default",))
    house.engine.dispose()
    return tmp_path / "house"


@pytest.fixture
def book(tmp_path):
    return book_at(tmp_path / "book.parquet")


def predictions(directory):
    house = assemble(Settings(data_dir=directory))
    found = [parse_entry(e.entry).data for e in house.ledger.entries(type="prediction")]
    house.engine.dispose()
    return found


def test_every_row_is_decided_once_in_the_files_order(directory, book, tmp_path):
    told = score(book, directory)
    assert told.exit_code == 0, told.output
    assert "250 rows in 3 entries" in told.output
    out = pq.read_table(tmp_path / "book.scored.parquet")
    assert out.column_names == ["account", "prediction_id", "decision", "margin_q16", "salt"]
    assert out["account"].to_pylist() == [f"A{n:05d}" for n in range(250)]
    assert [data["row_count"] for data in predictions(directory)] == [100, 100, 50]
    house = assemble(Settings(data_dir=directory))
    predictor = house.inventory.predictor(house.inventory.resolve("credit-default").digest)
    import numpy as np

    rows = np.asarray([[row[name] for name in NAMES] for row in ROWS], np.float32)
    expected = predictor.run(rows)
    house.engine.dispose()
    assert out["margin_q16"].to_pylist() == [row.values["margin_q16"] for row in expected]
    assert out["decision"].to_pylist() == [row.decision for row in expected]


def test_a_row_is_proven_with_its_receipt_and_nothing_of_the_house(directory, book, tmp_path):
    assert score(book, directory).exit_code == 0
    out = pq.read_table(tmp_path / "book.scored.parquet")
    receipts = tmp_path / "book.scored.parquet.receipts"
    leaf, _, row = out["prediction_id"][137].as_py().partition(".")
    receipt = Receipt.from_json(json.loads((receipts / f"{leaf}.json").read_text()))
    verify_receipt(receipt, (directory / "log.vkey").read_text().strip())
    data = parse_entry(receipt.entry).data
    columns = Columns.of(data)
    import numpy as np

    inputs = np.asarray([ROWS[137][name] for name in columns.inputs], ">f4").tobytes()
    number = columns.decisions.index(out["decision"][137].as_py())
    record = out["salt"][137].as_py() + bytes([number]) + inputs
    record += out["margin_q16"][137].as_py().to_bytes(8, "big", signed=True)
    text = next(columns.texts(record, int(row)))
    house = assemble(Settings(data_dir=directory))
    from ledger.columnar import row_path

    path = row_path(house.ledger.row_hashes(int(leaf)), int(row))
    house.engine.dispose()
    root = bytes.fromhex(data["rows_root"])
    verify_inclusion(leaf_hash(text), int(row), size=data["row_count"], path=path, root=root)


def test_the_same_book_again_elsewhere_decides_nothing_twice(directory, book, tmp_path):
    assert score(book, directory).exit_code == 0
    first = pq.read_table(tmp_path / "book.scored.parquet")
    again = score(book, directory, "--out", tmp_path / "again.parquet")
    assert again.exit_code == 0, again.output
    assert pq.read_table(tmp_path / "again.parquet").equals(first)
    assert len(predictions(directory)) == 3


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_run_cut_off_anywhere_goes_on_and_decides_nothing_twice(
    directory, book, tmp_path, monkeypatch, written
):
    """Cut off after the log has a chunk and before its part is on disk, the worst moment."""
    import service.scoring as module

    answered, calls = module._answered, []

    def dies(*given):
        calls.append(1)
        if len(calls) == written + 1:
            raise KeyboardInterrupt
        return answered(*given)

    monkeypatch.setattr(module, "_answered", dies)
    assert score(book, directory).exit_code != 0
    assert len(predictions(directory)) == written + 1
    monkeypatch.undo()
    told = score(book, directory)
    assert told.exit_code == 0, told.output
    if written:
        assert f"{written} of them were there from a run before" in told.output
    assert [data["row_count"] for data in predictions(directory)] == [100, 100, 50]
    assert not (tmp_path / "book.scored.parquet.job").exists()
    assert pq.read_table(tmp_path / "book.scored.parquet").num_rows == 250
    receipts = {p.name for p in (tmp_path / "book.scored.parquet.receipts").iterdir()}
    assert len(receipts) == 3


def test_a_killed_process_goes_on_where_it_ended(directory, tmp_path):
    big = book_at(tmp_path / "big.parquet", ROWS * 8)
    command = [sys.executable, "-m", "service", "score", big, "--model", "credit-default"]
    command += ["--data-dir", directory, "--chunk-rows", "20"]
    work = tmp_path / "big.scored.parquet.job"
    process = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while len(list(work.glob("0*.parquet"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert work.exists(), "it was done before it could be killed"
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "of them were there from a run before" in done.stdout
    found = predictions(directory)
    assert [data["row_count"] for data in found] == [20] * 100
    out = pq.read_table(tmp_path / "big.scored.parquet")
    assert out.num_rows == 2000
    assert len(set(out["prediction_id"].to_pylist())) == 2000


# --- refused ---------------------------------------------------------------------------------


def refused(told, *words):
    assert told.exit_code == 1, told.output
    error = [line for line in told.output.splitlines() if line.startswith("Error")]
    assert len(error) == 1, told.output
    for word in words:
        assert word in error[0]


BOOKS = {
    "a value out of bounds": (
        {"limit_bal": pa.array([1000.0] * 133 + [-1e9] + [1000.0] * 116)},
        ("row 133", "column limit_bal", "must be from", "nothing was recorded"),
    ),
    "a missing value": (
        {"limit_bal": pa.array([None] + [1000.0] * 249)},
        ("row 0", "may not be missing"),
    ),
    "text": ({"limit_bal": pa.array(["1"] * 250)}, ("column limit_bal is string",)),
    "a column the output needs": (
        {"decision": pa.array(["x"] * 250)},
        ("has a column decision", "rename it"),
    ),
}


@pytest.mark.parametrize("case", BOOKS)
def test_a_book_that_cannot_be_scored_whole_is_not_begun(directory, tmp_path, case):
    columns, words = BOOKS[case]
    bad = book_at(tmp_path / "bad.parquet", **columns)
    before = len(predictions(directory))
    refused(score(bad, directory), *words)
    assert len(predictions(directory)) == before
    assert not (tmp_path / "bad.scored.parquet").exists()
    assert not (tmp_path / "bad.scored.parquet.job").exists()


def test_what_is_no_parquet_file_or_lacks_inputs_is_refused(directory, tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"account,limit\n1,2\n")
    refused(score(tmp_path / "a.parquet", directory), "cannot be read as Parquet")
    pq.write_table(pa.table({"account": [1]}), tmp_path / "b.parquet")
    refused(score(tmp_path / "b.parquet", directory), "lacks the model's inputs", NAMES[0])
    refused(score(book_at(tmp_path / "c.parquet", []), directory), "has no rows")


def test_an_output_that_is_there_is_not_written_over(directory, book, tmp_path):
    (tmp_path / "book.scored.parquet").write_bytes(b"precious")
    refused(score(book, directory), "is there already", "--out")
    assert (tmp_path / "book.scored.parquet").read_bytes() == b"precious"


def test_another_job_in_the_same_place_is_refused_with_the_way_out(directory, book, monkeypatch):
    import service.scoring as module

    monkeypatch.setattr(module, "_join", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        raise score(book, directory).exception
    monkeypatch.undo()
    refused(score(book, directory, "--as-of", "2026-11-24"), "another as_of", "rm -r")
    (book.parent / "book.scored.parquet.job/job.json").write_text("{")
    refused(score(book, directory), "job.json cannot be read", "rm -r")


def test_options_that_are_none_are_refused(directory, book):
    for more in (("--as-of", "yesterday"), ("--subject", "a b"), ("--chunk-rows", "0")):
        assert score(book, directory, *more).exit_code == 2


@pytest.mark.parametrize("size", [1, 36, 37, 100, 250, 999])
def test_chunks_are_as_long_as_asked_whatever_the_row_groups(book, size):
    with pq.ParquetFile(book) as file:
        chunks = list(Book(book, file, (), ()).chunks(size, ("account",)))
    assert [c.num_rows for c in chunks[:-1]] == [size] * (len(chunks) - 1)
    told = [account for chunk in chunks for account in chunk["account"].to_pylist()]
    assert told == [f"A{n:05d}" for n in range(250)]
