"""One byte flipped anywhere in a real export: the audit fails and never breaks down.

The whole export is open to it: entries, tiles, checkpoints, rows, openings, models, index.
"""

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.auditor.prefix import NoSuchCheckpoint
from service.cli.audit import audit_directory, exit_status


@pytest.fixture
def export(house, tmp_path):
    """An export that verifies, its key, and its files' bytes."""
    where = house.write(tmp_path / "export")
    assert exit_status(audit_directory(where, house.vkey)) == 0
    files = {
        p.relative_to(where).as_posix(): p.read_bytes() for p in where.rglob("*") if p.is_file()
    }
    return where, house.vkey, files


def audited(where, vkey):
    return exit_status(audit_directory(where, vkey))


@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_flipped_bit_fails(export, data):
    where, vkey, files = export
    path = data.draw(st.sampled_from(sorted(files)), label="file")
    at = data.draw(st.integers(0, len(files[path]) - 1), label="byte")
    bit = data.draw(st.integers(0, 7), label="bit")
    changed = bytearray(files[path])
    changed[at] ^= 1 << bit
    try:
        (where / path).write_bytes(bytes(changed))
        report = audit_directory(where, vkey)
        assert exit_status(report) == 1
        assert report.findings
    finally:
        (where / path).write_bytes(files[path])


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_flipped_bit_of_an_entry_names_its_leaf(export, data):
    where, vkey, files = export
    path = next(p for p in files if p.startswith("tile/entries/"))
    bundle = files[path]
    places, at = [], 0
    while at < len(bundle):
        end = at + 2 + int.from_bytes(bundle[at : at + 2], "big")
        places.append((at + 2, end))
        at = end
    leaf = data.draw(st.integers(0, len(places) - 1), label="leaf")
    start, end = places[leaf]
    at = data.draw(st.integers(start, end - 1), label="byte")
    changed = bytearray(bundle)
    changed[at] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    try:
        (where / path).write_bytes(bytes(changed))
        report = audit_directory(where, vkey)
        assert exit_status(report) == 1
        assert report.findings[0].leaf == leaf
    finally:
        (where / path).write_bytes(bundle)


def test_any_flipped_bit_under_an_older_checkpoint_fails_or_cannot_be_checked(export, house):
    """At an older size what lies past it is not looked at, so each file's first byte is flipped."""
    where, vkey, files = export
    for path, original in files.items():
        if path == "checkpoint":
            continue  # the newest note: an older audit does not read it
        changed = bytes([original[0] ^ 1]) + original[1:]
        (where / path).write_bytes(changed)
        try:
            assert exit_status(audit_directory(where, vkey, size=house.halfway)) == 1, path
        except NoSuchCheckpoint:
            assert path in {"checkpoints.jsonl", "index.json"}
        (where / path).write_bytes(original)


def test_every_file_matters(export):
    where, vkey, files = export
    for path, original in files.items():
        (where / path).unlink()
        assert audited(where, vkey) == 1, path
        (where / path).write_bytes(original)
        (where / path).write_bytes(original[:-1])
        assert audited(where, vkey) == 1, path
        (where / path).write_bytes(original + b"\n")
        assert audited(where, vkey) == 1, path
        (where / path).write_bytes(original)
    assert audited(where, vkey) == 0


def test_a_file_more_fails(export):
    where, vkey, _ = export
    (where / "README").write_text("hello")
    assert audited(where, vkey) == 1


def test_a_link_fails(export, tmp_path):
    where, vkey, files = export
    path = next(p for p in files if p.startswith("blobs/"))
    shutil.move(where / path, tmp_path / "elsewhere")
    (where / path).symlink_to(tmp_path / "elsewhere")
    assert audited(where, vkey) == 1


def test_another_logs_key_fails_at_the_checkpoint(export, log):
    from ledger.keys import SigningKey
    from ledger.note import NoteSigner

    where, vkey, _ = export
    other = NoteSigner(vkey.split("+", 1)[0], SigningKey(bytes(32))).vkey
    report = audit_directory(where, other)
    assert exit_status(report) == 1
    assert report.findings[0].check == "checkpoint"
    assert report.tree_size == 0


MALFORMED = {
    "a billion rows": {"row_count": 10**9},
    "no rows at all": {"row_count": 0},
    "rows by name": {"row_count": "many"},
    "a row that is a list": {"row": []},
    "a row that is text": {"row": "x"},
    "a row of other fields": {"row": {"row_index": 0}},
    "commitments as a list": {"row": {"row_index": 0, "inputs": [], "outputs": [["margin_q16"]]}},
    "a model that is a number": {"model_digest": 7},
    "a path for a model": {"model_digest": "sha256:../../../../etc/passwd"},
    "no mode": {"verification_mode": None},
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_signed_entry_of_no_known_form_is_found_and_the_audit_ends(house, audit, failed, data):
    """The house signs whatever it likes; the auditor neither breaks down nor runs for ever."""
    opening = house.openings[house.predict(house.digest, **data)]
    leaf = len(house.entries) - 1
    names, first = failed(audit(house))
    assert "entry" in names
    assert first["entry"].leaf == leaf
    assert opening


@pytest.mark.parametrize("body", [b"[]", b"7", b"{}", b"x", b'{"type":"prediction"}', b"[" * 9999])
def test_an_entry_that_is_no_entry_is_found(house, audit, failed, body):
    from ledger.record import assemble

    house.entries.append(assemble(body, bytes(64)))
    assert failed(audit(house))[1]["entry"].leaf == len(house.entries) - 1


def test_no_entry_makes_the_auditor_read_outside_the_export(log, tmp_path):
    (tmp_path / "secret").write_bytes(b"of the auditor")
    digest = log.publish(model_digest="sha256:../../secret")
    log.predict(digest)
    report = audit_directory(log.write(tmp_path / "export"), log.vkey)
    assert report.failed
    told = {check.check: check.detail for check in report.checks}
    assert "not in the export" in told["manifest"]
    assert "not in the export" in told["execution"]
