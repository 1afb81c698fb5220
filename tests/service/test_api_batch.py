"""POST /v1/predictions:batch: one entry, one receipt, each row's proof; and what is refused."""

import io
import json
import struct

import numpy as np
import pyarrow as pa
import pytest

from houses import Api, credit_rows, make_house, packages
from ledger.columnar import Columns, row_root
from ledger.merkle import leaf_hash, verify_inclusion
from ledger.receipt import Receipt, verify_receipt
from ledger.record import parse_entry
from logs import only_sqlite
from service.batch_body import ARROW, Body, read_arrow
from service.errors import ServiceError

ROWS = credit_rows(60)
NAMES = list(ROWS[0])
# What is refused never reaches the database.
module_sqlite = pytest.mark.parametrize("module_database", ["sqlite"], indirect=True)
WHERE = "/v1/predictions:batch?model=credit-default"


def batch_of(rows=ROWS, **columns):
    """A record batch of credit rows, with columns replaced."""
    arrays = {n: pa.array([row[n] for row in rows], pa.float64()) for n in NAMES} | columns
    return pa.record_batch(list(arrays.values()), names=list(arrays))


def stream(*batches, schema=None, **options):
    sink = pa.BufferOutputStream()
    how = pa.ipc.IpcWriteOptions(**options)
    with pa.ipc.new_stream(sink, schema or batches[0].schema, options=how) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def post(api, data, where=WHERE, caller=None):
    return (caller or api.trader).post_raw(where, data, ARROW)


def opened(response):
    assert response.status_code == 200, response.get_data(as_text=True)
    assert response.content_type == ARROW
    reader = pa.ipc.open_stream(response.data)
    return json.loads(reader.schema.metadata[b"assay.answer"]), reader.read_all()


def by_columns(rows=ROWS):
    return {name: [row[name] for row in rows] for name in NAMES}


# --- answers ---------------------------------------------------------------------------------


def test_an_arrow_batch_gives_what_single_rows_give(api):
    told, rows = opened(post(api, stream(batch_of())))
    for index in (0, 7, 59):
        single = api.predict(ROWS[index]).get_json()["rows"][0]
        assert rows["margin_q16"][index].as_py() == single["outputs"]["margin_q16"]
        assert rows["decision"][index].as_py() == single["decision"]
    assert told["row_count"] == rows.num_rows == 60
    assert told["model"]["name"] == "credit-default"


def test_one_receipt_covers_all_rows_and_the_caller_can_derive_every_leaf(api):
    told, rows = opened(post(api, stream(batch_of())))
    receipt = Receipt.from_json(told["receipt"])
    verify_receipt(receipt, api.house.ledger.vkey)
    data = parse_entry(receipt.entry).data
    columns = Columns.of(data)
    matrix = np.asarray([[row[n] for n in columns.inputs] for row in ROWS], ">f4")
    records = b"".join(
        rows["salt"][place].as_py()
        + bytes([columns.decisions.index(rows["decision"][place].as_py())])
        + matrix[place].tobytes()
        + struct.pack(">q", rows["margin_q16"][place].as_py())
        for place in range(60)
    )
    assert row_root(columns.hashes(records)).hex() == data["rows_root"] == told["rows_root"]
    assert len(set(rows["salt"].to_pylist())) == 60


def test_each_rows_receipt_is_there_on_demand(api):
    told, _ = opened(post(api, stream(batch_of())))
    leaf = told["leaf_index"]
    found = api.trader.get(f"/v1/predictions/{leaf}.33/receipt").get_json()
    (proof,) = found.pop("row_proofs")
    verify_receipt(Receipt.from_json(found), api.house.ledger.vkey)
    verify_inclusion(
        leaf_hash(proof["row"].encode()),
        33,
        size=proof["row_count"],
        path=[bytes.fromhex(node) for node in proof["path"]],
        root=bytes.fromhex(told["rows_root"]),
    )


def test_a_row_is_read_with_reasons_stated_anew(api):
    told, rows = opened(post(api, stream(batch_of())))
    worst = int(np.argmax(rows["margin_q16"].to_numpy()))
    shown = api.auditor.get(f"/v1/predictions/{told['leaf_index']}.{worst}").get_json()
    single = api.predict(ROWS[worst]).get_json()
    (row,) = shown["rows"]
    assert row["reasons"] == single["rows"][0]["reasons"] != []
    assert row["outputs"] == single["rows"][0]["outputs"]
    assert {name: float(v) for name, v in row["inputs"].items()} == ROWS[worst]


def test_a_rows_text_goes_to_whoever_asked_and_its_hash_to_others(api):
    told, _ = opened(post(api, stream(batch_of())))
    where = f"/v1/predictions/{told['leaf_index']}.3/receipt"
    (mine,) = api.trader.get(where).get_json()["row_proofs"]
    (theirs,) = api.risk.get(where).get_json()["row_proofs"]
    assert "row" not in theirs
    assert theirs["leaf_hash"] == leaf_hash(mine["row"].encode()).hex()
    assert theirs["path"] == mine["path"]


def test_json_columns_give_the_same(api):
    told, rows = opened(post(api, stream(batch_of())))
    body = {"model": "credit-default", "columns": by_columns(), "as_of": "2026-01-05"}
    found = api.trader.post("/v1/predictions:batch", body).get_json()
    assert found["rows"]["margin_q16"] == rows["margin_q16"].to_pylist()
    assert found["rows"]["decision"] == rows["decision"].to_pylist()
    assert found["as_of"] == "2026-01-05"
    assert found["leaf_index"] == told["leaf_index"] + 1


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64(), pa.float32(), pa.uint32(), pa.float16()])
def test_any_plain_number_type_will_do(api, kind):
    rows = [dict.fromkeys(NAMES, 0.0) | {"limit_bal": 1000.0}]
    plain, _ = opened(post(api, stream(batch_of(rows))))
    limit = pa.array([1000], pa.int32()).cast(kind)
    _, found = opened(post(api, stream(batch_of(rows, limit_bal=limit))))
    assert found.num_rows == 1
    assert plain["row_count"] == 1


def test_several_record_batches_are_one_request(api):
    told, rows = opened(post(api, stream(batch_of(ROWS[:20]), batch_of(ROWS[20:]))))
    _, whole = opened(post(api, stream(batch_of())))
    assert told["row_count"] == 60
    assert rows["margin_q16"].equals(whole["margin_q16"])


def test_columns_may_come_in_any_order(api):
    batch = batch_of()
    turned = pa.record_batch(list(reversed(batch.columns)), names=list(reversed(NAMES)))
    _, found = opened(post(api, stream(turned)))
    _, rows = opened(post(api, stream(batch)))
    assert found["margin_q16"].equals(rows["margin_q16"])


def test_a_retry_gives_the_first_answer_byte_for_byte(api):
    headers = {"Authorization": f"Bearer {api.trader.key}", "Idempotency-Key": "book-1"}
    data = stream(batch_of())

    def ask(body, where=WHERE):
        return api.trader.client.post(where, data=body, content_type=ARROW, headers=headers)

    first, again = ask(data), ask(data)
    assert first.data == again.data
    size = api.house.ledger.size
    assert ask(stream(batch_of(ROWS[:5]))).status_code == 409
    assert ask(data, WHERE + "&as_of=2026-01-05").status_code == 409
    assert api.house.ledger.size == size


def test_of_two_twins_at_once_the_first_is_the_answer_of_both(api, monkeypatch):
    """The look before the append finds nothing yet; the append itself finds the twin."""
    headers = {"Authorization": f"Bearer {api.trader.key}", "Idempotency-Key": "book-2"}

    def ask():
        return api.trader.client.post(
            WHERE, data=stream(batch_of()), content_type=ARROW, headers=headers
        )

    first = ask()
    monkeypatch.setattr(type(api.house.ledger), "duplicate_of", lambda *_: None)
    assert ask().data == first.data


def test_the_whole_batch_reads_as_its_entry_without_rows(api):
    told, _ = opened(post(api, stream(batch_of())))
    found = api.auditor.get(f"/v1/predictions/{told['leaf_index']}").get_json()
    assert (found["rows"], found["row_proofs"]) == ([], None)


def test_an_outcome_can_be_recorded_for_a_row(api):
    told, _ = opened(post(api, stream(batch_of())))
    row = f"{told['leaf_index']}.59"
    outcome = {"prediction_id": row, "value": "1", "observed_at": "2026-02-01"}
    done = api.outcomes.post("/v1/outcomes", {"outcomes": [outcome]})
    assert done.status_code == 200, done.get_json()
    shown = api.auditor.get(f"/v1/predictions/{row}").get_json()
    assert shown["rows"][0]["outcome"]["value"] == "1"


def test_a_withdrawn_model_answers_nothing(api):
    from service.lifecycle import withdraw

    digest = api.house.inventory.resolve("credit-default").digest
    withdraw(api.house, digest=digest, reason="test", actor_id="somebody")
    size = api.house.ledger.size
    assert post(api, stream(batch_of())).status_code == 409
    assert api.house.ledger.size == size


# --- refused ---------------------------------------------------------------------------------


def refused(open_api, data, where=WHERE, status=422):
    size = open_api.house.ledger.size
    found = post(open_api, data, where)
    assert found.status_code == status, found.get_data(as_text=True)[:300]
    assert found.content_type == "application/problem+json"
    assert open_api.house.ledger.size == size, "something was recorded"
    return found.get_json()


def values(column, change):
    kept = [row[column] for row in ROWS]
    kept[7] = change
    return pa.array(kept, pa.float64())


BAD_VALUES = {
    "a null where none may be": (None, "may not be missing"),
    "NaN": (float("nan"), "must be finite"),
    "infinity": (float("inf"), "must be finite"),
    "too large": (1e30, "must be from"),
}


@module_sqlite
@pytest.mark.parametrize("case", BAD_VALUES)
def test_a_bad_value_names_its_row_and_field(open_api, case):
    value, reason = BAD_VALUES[case]
    told = refused(open_api, stream(batch_of(limit_bal=values("limit_bal", value))))
    (error,) = told["errors"]
    assert error["field"] == "rows.7.limit_bal"
    assert reason in error["message"]


def column(array):
    return stream(batch_of(limit_bal=array))


EVIL_TYPES = {
    "text": pa.array(["1"] * 60),
    "booleans": pa.array([True] * 60),
    "decimals": pa.array([1] * 60, pa.decimal128(5, 2)),
    "dictionary": pa.array(["1"] * 60).dictionary_encode(),
    "dictionary of numbers": pa.array([1.0] * 60).dictionary_encode(),
    "nulls alone": pa.nulls(60),
    "lists": pa.array([[1.0]] * 60),
    "structs": pa.array([{"a": 1.0}] * 60),
    "times": pa.array([1] * 60, pa.timestamp("ms")),
    "run-end encoded": pa.RunEndEncodedArray.from_arrays([60], [1.0]),
}


@module_sqlite
@pytest.mark.parametrize("case", EVIL_TYPES)
def test_a_column_of_no_plain_numbers_is_refused_by_name(open_api, case):
    told = refused(open_api, column(EVIL_TYPES[case]))
    assert told["errors"][0]["field"] == "columns.limit_bal"
    assert "expected whole or floating-point numbers" in told["detail"]


def with_metadata(size):
    batch = batch_of(ROWS[:1])
    return stream(batch.replace_schema_metadata({b"x": b"y" * size}))


def renamed(names):
    batch = batch_of()
    return stream(pa.record_batch(batch.columns[: len(names)], names=names))


def patched(find, replace):
    data = stream(batch_of())
    assert find in data
    return data.replace(find, replace)


FORMS = {
    "a column is missing": (renamed(NAMES[:-1]), "is required"),
    "a column too many": (
        stream(batch_of(extra=pa.array([1.0] * 60))),
        "is not a feature of this model",
    ),
    "a column twice": (renamed([*NAMES[:-1], NAMES[0]]), "is given twice"),
    "no row": (stream(batch_of([])), "at least one row"),
    "no batch": (stream(schema=batch_of().schema), "at least one row"),
    "no column": (stream(pa.record_batch([], names=[])), "at least one row"),
    "lz4": (stream(batch_of(), compression="lz4"), "is compressed"),
    "zstd": (stream(batch_of(), compression="zstd"), "is compressed"),
}


@module_sqlite
@pytest.mark.parametrize("case", FORMS)
def test_a_stream_of_another_form_is_refused(open_api, case):
    data, reason = FORMS[case]
    assert reason in refused(open_api, data)["detail"]


@module_sqlite
def test_a_compressed_bomb_is_refused_before_it_is_opened(open_api):
    rows = 400_000  # 61 MB of zeros in under a megabyte
    zeros = pa.array(np.zeros(rows))
    bomb = stream(pa.record_batch([zeros] * len(NAMES), names=NAMES), compression="zstd")
    assert len(bomb) < 2**20
    assert "is compressed" in refused(open_api, bomb)["detail"]


WHOLE = stream(batch_of())


def claiming(rows):
    """A header that tells of more rows than its buffers hold."""
    old, new = struct.pack("<q", len(ROWS)), struct.pack("<q", rows)
    assert WHOLE.count(old) > len(NAMES)
    return WHOLE.replace(old, new)


BROKEN = {
    "more rows than bytes": claiming(50_000),
    "rows without end": claiming(2**62),
    "fewer rows than none": claiming(-1),
    "nothing": b"",
    "no Arrow": b"this is a CSV\n1,2,3\n" * 20,
    "cut off in the schema": WHOLE[:200],
    "cut off in the batch": WHOLE[:-400],
    "a length of 2 GiB": b"\xff\xff\xff\xff" + struct.pack("<i", 2**31 - 1) + WHOLE[8:],
    "a negative length": b"\xff\xff\xff\xff" + struct.pack("<i", -5) + WHOLE[8:],
    "an empty stream": b"\xff\xff\xff\xff\x00\x00\x00\x00",
    "a file, not a stream": b"ARROW1\0\0" + WHOLE,
}


@module_sqlite
@pytest.mark.parametrize("case", BROKEN)
def test_bytes_that_are_no_stream_are_refused(open_api, case):
    found = post(open_api, BROKEN[case])
    assert found.status_code in {400, 413, 422}, found.get_data(as_text=True)[:300]
    assert found.content_type == "application/problem+json"


def test_a_body_over_the_limit_is_refused_wherever_it_is_cut(tmp_path):
    house = make_house(tmp_path / "house", max_batch_bytes=20_000)
    api = Api(house)
    assert post(api, stream(batch_of())).status_code == 200
    assert post(api, stream(batch_of(), batch_of(), batch_of())).status_code == 413
    assert post(api, with_metadata(30_000)).status_code == 413
    body = {"model": "credit-default", "columns": by_columns(ROWS * 4)}
    assert api.trader.post("/v1/predictions:batch", body).status_code == 413
    chunked = api.trader.client.post(
        WHERE,
        input_stream=io.BytesIO(b"\xff\xff\xff\xff" + b"\x01\0\0\0" * 30_000),
        content_type=ARROW,
        headers={"Authorization": f"Bearer {api.trader.key}"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert chunked.status_code == 413
    house.engine.dispose()


def test_more_rows_than_allowed_are_refused(tmp_path):
    house = make_house(tmp_path / "house", max_batch_rows=50)
    api = Api(house)
    assert "more than 50 rows" in refused(api, stream(batch_of()))["detail"]
    assert (
        "more than 50 rows"
        in refused(api, stream(batch_of(ROWS[:30]), batch_of(ROWS[:30])))["detail"]
    )
    body = {"model": "credit-default", "columns": by_columns()}
    assert api.trader.post("/v1/predictions:batch", body).status_code == 422
    assert post(api, stream(batch_of(ROWS[:50]))).status_code == 200
    house.engine.dispose()


@only_sqlite
def test_large_metadata_within_the_limit_is_ignored(api):
    told, _ = opened(post(api, with_metadata(1_000_000)))
    assert told["row_count"] == 1


@module_sqlite
@pytest.mark.parametrize("seed", range(8))
def test_streams_with_flipped_bytes_answer_or_refuse_and_never_fail(open_api, seed):
    random = np.random.default_rng(seed)
    good = stream(batch_of(ROWS[:3]))
    for _ in range(60):
        data = bytearray(good)
        for place in random.integers(0, len(data), 3):
            data[place] = random.integers(0, 256)
        found = post(open_api, bytes(data))
        assert found.status_code in {200, 400, 413, 422}, found.get_data(as_text=True)[:300]


def json_body(**changes):
    return {"model": "credit-default", "columns": by_columns(ROWS[:3])} | changes


BAD_JSON = {
    "text for a number": (
        json_body(columns=by_columns(ROWS[:3]) | {"age": ["1"] * 3}),
        "rows.0.age",
    ),
    "true for a number": (
        json_body(columns=by_columns(ROWS[:3]) | {"limit_bal": [1, True, 2]}),
        "rows.1.limit_bal",
    ),
    "a shorter column": (
        json_body(columns=by_columns(ROWS[:3]) | {"limit_bal": [1, 2]}),
        "columns.limit_bal",
    ),
    "a huge number": (
        json_body(columns=by_columns(ROWS[:3]) | {"limit_bal": [10**400, 1, 1]}),
        "columns.limit_bal",
    ),
    "no rows": (json_body(columns={name: [] for name in NAMES}), "rows"),
    "no columns": (json_body(columns={}), "rows"),
    "no model": ({"columns": by_columns()}, "model"),
    "an unknown field": (json_body(colums=1), "colums"),
    "a subject that is none": (json_body(subject="a b"), "subject"),
}


@module_sqlite
@pytest.mark.parametrize("case", BAD_JSON)
def test_bad_json_columns_name_the_field(open_api, case):
    body, field = BAD_JSON[case]
    size = open_api.house.ledger.size
    found = open_api.trader.post("/v1/predictions:batch", body)
    assert found.status_code == 422
    assert found.get_json()["errors"][0]["field"] == field
    assert open_api.house.ledger.size == size


@module_sqlite
@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"model":1,"model":2}', '{"columns":{"a":[NaN]}}', "[" * 9000]
)
def test_what_is_no_json_object_is_refused(open_api, text):
    found = open_api.trader.post_raw("/v1/predictions:batch", text.encode())
    assert found.status_code in {400, 422}


@module_sqlite
def test_other_media_types_and_encodings_are_refused(open_api):
    found = open_api.trader.post_raw("/v1/predictions:batch", b"a,b", "text/csv")
    assert found.status_code == 415
    headers = {"Authorization": f"Bearer {open_api.trader.key}", "Content-Encoding": "gzip"}
    encoded = open_api.trader.client.post(WHERE, data=b"x", content_type=ARROW, headers=headers)
    assert encoded.status_code == 415


@module_sqlite
def test_an_arrow_body_needs_its_model_in_the_query(open_api):
    told = refused(open_api, WHOLE, "/v1/predictions:batch")
    assert told["errors"][0]["field"] == "model"
    assert refused(open_api, WHOLE, "/v1/predictions:batch?model=nobody", 404)


@module_sqlite
@pytest.mark.parametrize("scope", ["auditor", "risk", "outcomes"])
def test_only_traders_ask(open_api, scope):
    assert post(open_api, WHOLE, caller=getattr(open_api, scope)).status_code == 403


# --- reading ---------------------------------------------------------------------------------


class Trickle(io.RawIOBase):
    """A stream that gives three bytes at a time."""

    def __init__(self, data):
        self._left = data

    def read(self, size=-1):
        step = min(3, len(self._left) if size < 0 else size)
        piece, self._left = self._left[:step], self._left[step:]
        return piece


def test_a_body_that_trickles_in_is_read_whole_and_hashed():
    whole, slow = (Body(s, most=10**6, digest_of=b"x") for s in (io.BytesIO(WHOLE), Trickle(WHOLE)))
    first, second = (read_arrow(body, rows_max=100) for body in (whole, slow))
    assert all((first[n][0] == second[n][0]).all() for n in NAMES)
    for body in (whole, slow):
        body.read()
    assert whole.digest() == slow.digest()


def test_a_body_never_reads_past_its_limit():
    body = Body(io.BytesIO(b"0123456789"), most=5, digest_of=b"")
    assert body.read(5) == b"01234"
    with pytest.raises(ServiceError):
        body.read(1)
    with pytest.raises(ServiceError):
        Body(io.BytesIO(b"0123456789"), most=5, digest_of=b"").read()
    assert Body(io.BytesIO(b"01234"), most=5, digest_of=b"").read() == b"01234"


def test_no_single_read_is_larger_than_what_may_still_come():
    class Stream:
        def read(self, size):
            assert size <= 10**6 + 1
            return b""

    with pytest.raises(ServiceError):
        Body(Stream(), most=10**6, digest_of=b"").read(2**31 - 1)


def test_the_features_of_the_tests_are_the_models():
    assert tuple(NAMES) == packages()["credit-default"].manifest.feature_names
