"""Files of outcomes: every row checked before any is recorded, nothing half applied, nothing twice."""

import csv
import io
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from houses import Caller, credit_rows, make_house, problem_of
from ledger.record import unsigned_body
from service import outcomes_upload
from service.cli import main
from service.outcomes_file import FileRefused, count_rows, read_lines
from service.outcomes_upload import UploadRefused, check_file, upload

HEADER = "prediction_id,value,observed_at,revises,reason"


@pytest.fixture(scope="module")
def api(open_api):
    return open_api


@pytest.fixture
def rows(api):
    """The ids of three rows nobody has reported on yet."""
    return predict(api, 3)


def predict(api, count):
    body = {"model": "credit-default", "rows": credit_rows(count)}
    answer = api.trader.post("/v1/predictions", body).get_json()
    return [row["prediction_id"] for row in answer["rows"]]


def text(*lines, header=HEADER):
    return ("\n".join([header, *lines]) + "\n").encode()


def plain(rows, value="0"):
    return text(*(f"{row},{value},2026-01-01,," for row in rows))


def put(house, data):
    return upload(house, io.BytesIO(data), actor_id="back-office")


def refused(house, data):
    size = house.ledger.size
    with pytest.raises(UploadRefused) as told:
        put(house, data)
    assert house.ledger.size == size, "nothing is recorded"
    return [(e.line, e.prediction_id, e.field) for e in told.value.checked.errors]


def recorded(house, row):
    return [unsigned_body(e.entry)["data"] for e in house.ledger.entries(type="outcome", ref=row)]


# --- what is recorded --------------------------------------------------------------------------


def test_a_file_is_one_commit_of_ordinary_outcomes(api, rows):
    done = put(api.house, plain(rows))
    assert (done.rows, done.recorded, done.repeated) == (3, 3, 0)
    assert done.last_leaf - done.first_leaf == 2
    entry = api.house.ledger.entry(done.first_leaf)
    body = unsigned_body(entry.entry)
    assert (body["type"], body["actor_id"]) == ("outcome", "back-office")
    read = api.trader.get(f"/v1/predictions/{rows[0]}").get_json()["rows"][0]
    assert read["outcome"]["value"] == "0"


def test_sent_again_it_records_nothing(api, rows):
    put(api.house, plain(rows))
    size = api.house.ledger.size
    again = put(api.house, plain(rows))
    assert (again.recorded, again.repeated, again.first_leaf) == (0, 3, None)
    assert api.house.ledger.size == size


def test_what_was_recorded_of_it_already_is_skipped_and_the_rest_recorded(api, rows):
    put(api.house, plain(rows[:1]))
    done = put(api.house, plain(rows))
    assert (done.recorded, done.repeated) == (2, 1)


def test_revisions_come_in_a_file_too_and_are_repeated_as_such(api, rows):
    first = put(api.house, plain(rows)).first_leaf
    revision = text(f"{rows[0]},1,2026-01-02,{first},the bank corrected it")
    assert put(api.house, revision).recorded == 1
    assert put(api.house, revision).repeated == 1
    assert [data["revises"] for data in recorded(api.house, rows[0])] == [None, first]


def test_a_late_outcome_is_recorded_however_late(api, rows):
    assert put(api.house, text(f"{rows[0]},1,1999-01-01,,")).recorded == 1


# --- what is refused, by row -------------------------------------------------------------------


def test_every_row_at_fault_is_told_and_nothing_is_recorded(api, rows):
    data = text(
        f"{rows[0]},0,2026-01-01,,",
        f"{rows[1]},2,2026-01-01,,",
        "0.0,0,2026-01-01,,",
        f"{rows[2]},0,2999-01-01,,",
        "seventeen,0,2026-01-01,,",
        f"{rows[2]},0,yesterday,,",
        f"{rows[0]},0,2026-01-01,,",
        f"{rows[1]},0,2026-01-01,x,y",
    )
    assert refused(api.house, data) == [
        (3, rows[1], "value"),
        (4, "0.0", "prediction_id"),
        (5, rows[2], "observed_at"),
        (6, "seventeen", "prediction_id"),
        (7, rows[2], "observed_at"),
        (8, rows[0], "prediction_id"),
        (9, rows[1], "revises"),
    ]


def test_an_error_in_the_last_commit_keeps_the_first_from_being_made(api, rows, monkeypatch):
    monkeypatch.setattr(outcomes_upload, "UPLOAD_ROWS", 2)
    lines = [f"{row},0,2026-01-01,," for row in rows]
    assert refused(api.house, text(*lines, "0.0,0,2026-01-01,,")) == [(5, "0.0", "prediction_id")]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("{},1,2026-01-01,,", "revises"),  # a contradiction
        ("{},0,2026-01-02,,", "revises"),  # of another day: a contradiction too
        ("{},1,2026-01-01,0,a reason", "revises"),  # revises what is not its newest
        ("{},1,2026-01-01,{leaf},", "reason"),  # owes a reason
        ("{leaf}.0,1,2026-01-01,,", "prediction_id"),  # an orphan
    ],
)
def test_contradictions_and_orphans_are_errors_of_their_row(api, rows, line, field):
    leaf = put(api.house, plain(rows)).first_leaf
    (found,) = refused(api.house, text(line.format(rows[0], leaf=leaf)))
    assert found[2] == field


def test_an_error_says_nothing_of_the_value(api, rows):
    with pytest.raises(UploadRefused) as told:
        put(api.house, text(f"{rows[0]},secret-diagnosis,2026-01-01,,"))
    assert "secret-diagnosis" not in str(told.value)
    assert "secret-diagnosis" not in repr(told.value.checked.errors)


def test_a_value_that_was_erased_is_repeated_by_nobody(api):
    from service.erasure import Order, erase

    body = {"model": "credit-default", "rows": credit_rows(1), "subject": "gone-person"}
    answer = api.trader.post("/v1/predictions", body).get_json()
    row = answer["rows"][0]["prediction_id"]
    put(api.house, plain([row]))
    erase(api.house, "gone-person", Order("asked", "the subject", "ops"))
    assert refused(api.house, plain([row])) == [(2, row, "revises")]


# --- files that are none -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "missing"),
        (b"prediction_id,value\n", "missing observed_at"),
        (text(header=HEADER + ",colour"), "unknown colour"),
        (text(header=HEADER + ",value"), "stands twice"),
        (text("17.0,1"), "has 2 cells"),
        (text('17.0,"1,2026-01-01,,'), "no CSV"),
        (text("17.0,1,2026-01-01,," + "x" * 5000), "cell over"),
        (b"\xff\xfe" + text(), "UTF-8"),
        (text("17.0,\0,2026-01-01,,"), "zero byte"),
        (b"PAR1 and no more", "Parquet"),
    ],
    ids=str,
)
def test_a_file_that_cannot_be_read_is_refused_whole(api, data, reason):
    size = api.house.ledger.size
    with pytest.raises(FileRefused, match=reason):
        put(api.house, data)
    assert api.house.ledger.size == size


def test_a_byte_order_mark_and_other_line_ends_are_read(api, rows):
    data = b"\xef\xbb\xbf" + plain(rows).replace(b"\n", b"\r\n")
    assert put(api.house, data).recorded == 3


# --- Parquet -----------------------------------------------------------------------------------


def parquet(columns, **options):
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


def columns(rows, value):
    return {"prediction_id": rows, "value": value, "observed_at": ["2026-01-01"] * len(rows)}


@pytest.mark.parametrize(
    "value",
    [
        ["0", "1", "0"],
        pa.array([0, 1, 0], pa.int8()),
        pa.array([Decimal(0), Decimal(1), Decimal(0)], pa.decimal128(3, 0)),
    ],
    ids=["text", "integers", "decimals"],
)
def test_parquet_of_exact_columns_is_the_same_file(api, rows, value):
    data = parquet(columns(rows, value), row_group_size=2)
    assert put(api.house, data).recorded == 3
    assert put(api.house, plain(rows[::2])).repeated == 2
    assert [line.number for line in read_lines(io.BytesIO(data))] == [1, 2, 3]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (pa.array([0.0, 1.0, 0.0]), "column value is double"),
        (pa.array([True, False, True]), "column value is bool"),
        (pa.array([b"0", b"1", b"0"]), "column value is binary"),
    ],
    ids=["floats", "booleans", "bytes"],
)
def test_parquet_whose_text_would_be_a_choice_is_refused(api, rows, value, reason):
    with pytest.raises(FileRefused, match=reason):
        put(api.house, parquet(columns(rows, value)))


def test_parquet_that_was_damaged_is_refused_and_nothing_is_recorded(api, rows):
    data = parquet(columns(rows, ["0", "1", "0"]), write_page_checksum=True, compression="none")
    size = api.house.ledger.size
    for place in range(4, len(data) - 4, 7):
        bad = data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
        try:
            check_file(api.house, io.BytesIO(bad))
        except FileRefused:
            continue
    assert api.house.ledger.size == size


def test_rows_are_counted_for_the_progress_bar(tmp_path, rows):
    (tmp_path / "a.csv").write_bytes(plain(rows))
    (tmp_path / "a.parquet").write_bytes(parquet(columns(rows, ["0", "1", "0"])))
    assert count_rows(tmp_path / "a.parquet") == 3
    assert 3 <= count_rows(tmp_path / "a.csv") <= 4


# --- races and crashes -------------------------------------------------------------------------


def test_what_somebody_records_between_the_two_steps_is_noticed(api, rows, monkeypatch):
    """The second commit meets a contradiction: it stops there, the first one stays, and it says so."""
    monkeypatch.setattr(outcomes_upload, "UPLOAD_ROWS", 2)
    real, calls = outcomes_upload.append_outcomes, []

    def meddle(assembly, drafts, *, since):
        calls.append(len(drafts))
        if len(calls) == 2:
            real(assembly, [contrary(api, rows[2])], since=assembly.ledger.size)
        return real(assembly, drafts, since=since)

    monkeypatch.setattr(outcomes_upload, "append_outcomes", meddle)
    with pytest.raises(UploadRefused, match="2 rows of earlier commits stay") as told:
        put(api.house, plain(rows))
    assert [e.field for e in told.value.checked.errors] == ["revises"]
    assert [len(recorded(api.house, row)) for row in rows] == [1, 1, 1]


def contrary(api, row):
    from service.outcomes import Observed, outcome_draft

    item = Observed(row, "1", "2026-01-01", None, None)
    return outcome_draft(api.house, item, kind="default_flag", actor_id="somebody")


KILLED = """
import sys
from pathlib import Path
from service import outcomes_upload
from service.assembly import assemble
from service.settings import Settings
outcomes_upload.UPLOAD_ROWS = 25
house = assemble(Settings(data_dir=Path(sys.argv[1]), database_url=sys.argv[3]))
with open(sys.argv[2], "rb") as file:
    outcomes_upload.upload(
        house, file, actor_id="back-office", recording=lambda n: print(n, flush=True)
    )
"""


def test_kill_9_anywhere_loses_no_row_and_doubles_none(tmp_path, database):
    house = make_house(tmp_path / "house", models=("credit-default",), database_url=database or "")
    from houses import Api

    api = Api(house)
    rows = predict(api, 400)
    path = tmp_path / "all.csv"
    path.write_bytes(plain(rows))
    house.engine.dispose()
    counts = []
    for commits in (1, 5, 3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / "house"), str(path), database or ""],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(commits):
            assert process.stdout.readline(), "the upload did not begin"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        counts.append(house.ledger.counts().get("outcome", 0))
    assert counts == sorted(counts)
    assert 0 < counts[0] < 400
    done = put(house, path.read_bytes())
    assert done.recorded + done.repeated == 400
    assert done.recorded < 400
    assert house.ledger.counts()["outcome"] == 400
    refs = {str(unsigned_body(e.entry)["parents"]) + str(unsigned_body(e.entry)["data"]["row_index"])
            for e in house.ledger.entries(type="outcome")}  # fmt: skip
    assert len(refs) == 400
    house.engine.dispose()


# --- over HTTP and at the command line ---------------------------------------------------------


def test_the_route_takes_both_forms_and_lists_the_rows_it_refuses(api, rows):
    caller: Caller = api.outcomes
    done = caller.post_raw("/v1/outcomes:upload", plain(rows[:1]), "text/csv").get_json()
    assert done["recorded"] == 1
    data = parquet(columns(rows, ["0", "7", "0"]))
    answer = caller.post_raw("/v1/outcomes:upload", data, "application/vnd.apache.parquet")
    assert answer.status_code == 422
    told = problem_of(answer)
    assert (told["error_count"], told["recorded"]) == (1, 0)
    assert told["rows_refused"][0]["prediction_id"] == rows[1]


@pytest.mark.parametrize(
    ("kind", "status"), [("text/csv", 200), ("application/json", 415), ("text/plain", 415)]
)
def test_the_route_takes_no_other_form(api, rows, kind, status):
    answer = api.outcomes.post_raw("/v1/outcomes:upload", plain(rows), kind)
    assert answer.status_code == status


def test_the_command_writes_the_rows_at_fault_to_a_file(tmp_path):
    from houses import Api

    house = make_house(tmp_path / "house", models=("credit-default",))
    rows = predict(Api(house), 3)
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_bytes(plain(rows[:2]))
    bad.write_bytes(text(f"{rows[2]},5,2026-01-01,,", "9.9,0,2026-01-01,,"))
    house.engine.dispose()

    def run(*words):
        common = ["--data-dir", str(tmp_path / "house"), "--actor", "back-office"]
        return CliRunner().invoke(main, ["outcomes", "upload", *words, *common])

    checked = run(str(good), "--check")
    assert "2 new" in checked.output
    assert "outcome" not in house.ledger.counts()
    done = run(str(good))
    assert done.exit_code == 0, done.output
    assert "2 recorded" in done.output
    refused_ = run(str(bad))
    assert refused_.exit_code == 1
    listed = list(csv.DictReader((tmp_path / "bad.csv.errors.csv").read_text("utf-8").splitlines()))
    assert [(row["line"], row["field"]) for row in listed] == [
        ("2", "value"),
        ("3", "prediction_id"),
    ]
    assert house.ledger.counts()["outcome"] == 2


def test_a_thousand_rows_are_checked_in_a_moment(api):
    rows = predict(api, 1000)
    before = time.process_time()
    found = check_file(api.house, io.BytesIO(plain(rows)))
    assert (found.new, found.error_count) == (1000, 0)
    assert time.process_time() - before < 2
