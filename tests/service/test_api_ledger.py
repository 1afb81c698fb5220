"""The log over HTTP, each answer held against its proof; and the export, audited."""

import io
import tarfile
import threading

import pytest

from houses import Api, credit_rows, problem_of
from ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from ledger.note import open_checkpoint
from ledger.receipt import Receipt, verify_receipt
from ledger.record import parse_entry
from ledger.tiles import TILE_WIDTH, split_bundle, split_tile, tiles_for
from service.assembly import assemble
from service.cli.audit import audit_directory
from service.exporting import export_house


@pytest.fixture(scope="module")
def api(open_api):
    """A log of more than one tile: one request of many rows, and an outcome of each."""
    body = {"model": "credit-default", "rows": credit_rows(TILE_WIDTH)}
    answer = open_api.trader.post("/v1/predictions", body).get_json()
    outcomes = [
        {"prediction_id": row["prediction_id"], "value": "0", "observed_at": "2026-01-01"}
        for row in answer["rows"]
    ]
    assert open_api.outcomes.post("/v1/outcomes", {"outcomes": outcomes}).status_code == 200
    return open_api


def checkpoint_of(api):
    note = api.risk.get("/v1/ledger/checkpoint").get_data(as_text=True)
    return open_checkpoint(note, api.house.ledger.vkey)


def nodes(answer):
    return [bytes.fromhex(node) for node in answer.get_json()["path"]]


# --- checkpoint, tiles, proofs -------------------------------------------------------------------


def test_the_checkpoint_is_a_note_that_the_verifier_key_opens(api):
    answer = api.risk.get("/v1/ledger/checkpoint")
    assert answer.content_type.startswith("text/plain")
    found = open_checkpoint(answer.get_data(as_text=True), api.house.ledger.vkey)
    glance = api.risk.get("/v1/ledger").get_json()
    assert (found.size, found.root.hex()) == (glance["tree_size"], glance["root_hash"])
    assert sum(glance["counts"].values()) == found.size
    assert glance["origin"] == found.origin


def test_every_tile_of_the_tree_is_served_and_gives_the_signed_root(api):
    from ledger.tiles import root_from_tiles

    checkpoint = checkpoint_of(api)
    tiles = {}
    for where in tiles_for(checkpoint.size):
        answer = api.risk.get(f"/v1/ledger/{where}")
        assert answer.status_code == 200, where
        assert answer.headers["Cache-Control"].startswith("private"), "keys are asked for"
        tiles[where.level, where.n] = answer.get_data(), where.width
    root = root_from_tiles(checkpoint.size, lambda level, n, width: tiles[level, n][0])
    assert root == checkpoint.root
    entries = [e for n in range(2) for e in split_bundle(*tiles[None, n])]
    hashes = [h for n in range(2) for h in split_tile(*tiles[0, n])]
    assert [leaf_hash(entry) for entry in entries] == hashes


def test_a_tile_is_served_in_any_width_the_tree_ever_had(api):
    whole = api.risk.get("/v1/ledger/tile/0/000").get_data()
    for width in (1, 17, 255):
        part = api.risk.get(f"/v1/ledger/tile/0/000.p/{width}").get_data()
        assert part == whole[: 32 * width]
    bundle = api.risk.get("/v1/ledger/tile/entries/000").get_data()
    assert bundle.startswith(api.risk.get("/v1/ledger/tile/entries/000.p/17").get_data())


MALFORMED = [
    "0/1",
    "0/0001",
    "0/x000/001",
    "0/x001/x002",
    "0/001.p/256",
    "0/001.p/0",
    "0/000.p/01",
    "0/000.p/",
    "0/000.p/-1",
    "0/000.P/3",
    "0/000/",
    "00/000",
    "8/000",
    "-1/000",
    "entries/0",
    "entries/000.p/256",
    "Entries/000",
    "data/000",
    "0/\u0660\u0660\u0660",
    "0/000%00",
    "../checkpoint",
    "0/../0/000",
    "0/" + "x001/" * 10 + "000",
]
ABSENT = [
    "0/002",
    "0/001.p/255",
    "1/001",
    "1/000.p/2",
    "1/000",
    "2/000.p/1",
    "7/000",
    "entries/002",
]


@pytest.mark.parametrize("path", [*MALFORMED, *ABSENT])
def test_a_tile_that_is_not_there_is_404_and_its_path_never_a_file(api, path):
    refused = api.risk.get(f"/v1/ledger/tile/{path}")
    assert refused.status_code == 404, refused.get_data()
    problem_of(refused)


def test_a_path_too_long_to_name_a_tile_is_refused(api):
    refused = api.risk.get("/v1/ledger/tile/0/" + "x001/" * 100 + "000")
    assert refused.status_code in {404, 422}
    problem_of(refused)


def test_an_inclusion_proof_verifies_in_every_tree_that_holds_the_leaf(api):
    newest = checkpoint_of(api)
    entries = [stored.entry for stored in api.house.ledger.entries()]
    for leaf, size in ((0, 1), (0, 2), (5, 6), (5, 255), (255, 256), (255, 257), (256, 257)):
        asked = f"/v1/ledger/proof/inclusion?leaf_index={leaf}&tree_size={size}"
        root = _root(entries[:size])
        verify_inclusion(
            leaf_hash(entries[leaf]), leaf, size=size, path=nodes(api.risk.get(asked)), root=root
        )
    last = newest.size - 1
    answer = api.risk.get(f"/v1/ledger/proof/inclusion?leaf_index={last}")
    verify_inclusion(
        leaf_hash(entries[last]), last, size=newest.size, path=nodes(answer), root=newest.root
    )


def test_a_consistency_proof_leads_from_an_old_checkpoint_to_the_new_one(api):
    entries = [stored.entry for stored in api.house.ledger.entries()]
    newest = checkpoint_of(api)
    for first in (1, 2, 17, 255, 256, 257, newest.size):
        answer = api.risk.get(f"/v1/ledger/proof/consistency?first={first}")
        assert answer.get_json()["second"] == newest.size
        verify_consistency(
            old_size=first,
            old_root=_root(entries[:first]),
            new_size=newest.size,
            new_root=newest.root,
            path=nodes(answer),
        )


def _root(entries):
    from ledger.merkle import root_of

    return root_of([leaf_hash(entry) for entry in entries])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("inclusion?leaf_index=100000", "leaf_index"),
        ("inclusion?leaf_index=-1", "leaf_index"),
        ("inclusion?leaf_index=1.5", "leaf_index"),
        ("inclusion?leaf_index=5&tree_size=5", "leaf_index"),
        ("inclusion?leaf_index=0&tree_size=0", "tree_size"),
        ("inclusion?leaf_index=0&tree_size=100000", "tree_size"),
        ("inclusion?leaf_index=0&tree_size=" + "9" * 30, "tree_size"),
        ("inclusion?leaf_index=0&leaf_index=1", "leaf_index"),
        ("inclusion?leaf_index=0&size=3", "size"),
        ("inclusion", "leaf_index"),
        ("consistency?first=0", "first"),
        ("consistency?first=3&second=2", "first"),
        ("consistency?first=3&second=100000", "second"),
        ("consistency?first=100000", "first"),
        ("consistency", "first"),
    ],
)
def test_a_proof_that_cannot_be_is_refused_by_its_field(api, query, field):
    refused = api.risk.get(f"/v1/ledger/proof/{query}")
    assert refused.status_code == 422, refused.get_data(as_text=True)
    assert problem_of(refused)["errors"][0]["field"] == field


# --- entries -------------------------------------------------------------------------------------


def test_entries_are_paged_both_ways_without_gap(api):
    size = api.house.ledger.size
    for step in (1, 7, 100, 500):
        forward, first = [], 0
        while first < min(size, 3 * step):
            page = api.risk.get(f"/v1/ledger/entries?first={first}&limit={step}").get_json()
            forward += [entry["leaf_index"] for entry in page["entries"]]
            first = forward[-1] + 1
        assert forward == list(range(len(forward)))
    backward, first = [], size
    while first > 0:
        page = api.risk.get(f"/v1/ledger/entries?newest=true&limit=100&first={first}").get_json()
        backward += [entry["leaf_index"] for entry in page["entries"]]
        first = backward[-1]
    assert backward == list(range(size))[::-1]


@pytest.mark.parametrize("query", ["first=100000", "newest=true&first=0", "first=" + "9" * 25])
def test_a_page_past_the_end_is_empty(api, query):
    answer = api.risk.get(f"/v1/ledger/entries?{query}")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert answer.get_json()["entries"] == []


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "first=-1", "page=2"])
def test_a_page_that_cannot_be_is_refused(api, query):
    refused = api.risk.get(f"/v1/ledger/entries?{query}")
    assert refused.status_code == 422
    assert problem_of(refused)["errors"][0]["field"] == query.partition("=")[0]


def test_an_entry_comes_with_its_bytes_and_a_receipt_that_verifies(api):
    for leaf in (0, 255, 256, api.house.ledger.size - 1):
        told = api.risk.get(f"/v1/ledger/entries/{leaf}").get_json()
        receipt = Receipt.from_json(told["receipt"])
        verify_receipt(receipt, api.house.ledger.vkey)
        assert receipt.entry.decode() == told["entry_text"]
        assert leaf_hash(receipt.entry).hex() == told["leaf_hash"]
        assert told["entry"]["body"] == parse_entry(receipt.entry).body


@pytest.mark.parametrize("leaf", ["100000", "9" * 40, "-1", "x", "1.5"])
def test_an_entry_that_is_not_there_is_404(api, leaf):
    refused = api.risk.get(f"/v1/ledger/entries/{leaf}")
    assert refused.status_code == 404
    problem_of(refused)


# --- export --------------------------------------------------------------------------------------


def unpack(answer, directory):
    with tarfile.open(fileobj=io.BytesIO(answer.get_data())) as archive:
        assert archive.getnames()[-1] == "checkpoint"
        archive.extractall(directory, filter="data")
    return directory


def test_the_export_unpacks_and_audits_clean(api, tmp_path):
    api.predict(caller_reference="order 1")
    answer = api.auditor.get("/v1/ledger/export")
    assert answer.content_type == "application/x-tar"
    assert "no-store" in answer.headers["Cache-Control"], "it holds inputs in clear"
    report = audit_directory(unpack(answer, tmp_path / "export"), api.house.ledger.vkey)
    assert report.failed == 0
    assert report.tree_size == api.house.ledger.size


def test_downloads_and_reports_at_once_disturb_none(house, tmp_path):
    """Each refreshes one directory; an audit of files under way would accuse an honest log."""
    apis = [Api(house), Api(assemble(house.settings))]
    answers, findings = [], []

    def download(api):
        for _ in range(2):
            api.predict()
            answers.append(api.auditor.get("/v1/ledger/export"))

    def report(api):
        for _ in range(2):
            api.predict()
            told = api.auditor.post("/v1/reports/honesty", {}).get_json()
            findings.append(told["report"]["findings"])

    threads = [
        threading.Thread(target=job, args=(api,)) for job in (download, report) for api in apis * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert findings == [[]] * 8
    for n, answer in enumerate(answers):
        report = audit_directory(unpack(answer, tmp_path / str(n)), house.ledger.vkey)
        assert report.failed == 0
    assert len(answers) == 8


def test_a_house_that_lost_a_models_bytes_still_hands_out_its_log(house, tmp_path):
    api = Api(house)
    digest = api.predict().get_json()["model"]["model_digest"]
    artifact = house.inventory.manifest(digest).outputs[0].artifact
    path = house.settings.blobs_dir / artifact.removeprefix("sha256:")
    path.write_bytes(path.read_bytes()[:-1])
    report = audit_directory(export_house(house, tmp_path / "export"), house.ledger.vkey)
    assert report.tree_size == house.ledger.size
    (execution,) = report.to_json()["executions"]
    assert execution["counts"]["not_replayable"] == 1
    (unchecked,) = [c for c in report.to_json()["checks"] if c["verdict"] != "VERIFIED"]
    assert artifact in unchecked["detail"]
