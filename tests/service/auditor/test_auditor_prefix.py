"""At an older checkpoint: what is recorded later changes no byte of the report."""

import copy
import json

import pytest

from ledger.layout import DirectorySource, Index
from ledger.verify import verify_export
from service.auditor.prefix import NoSuchCheckpoint, PrefixSource
from service.cli.audit import audit_directory


def bytes_of(source):
    return {path: source.read(path) for path in source.list()}


def test_outcomes_recorded_later_change_no_byte(house, audit):
    """The fence between the two reports, from the honest side."""
    fixed = house.checkpoint()
    before = audit(house).to_bytes()
    worlds = []
    for values in (("0.5", "0.25"), ("-9.75", "1000")):
        world = copy.deepcopy(house)
        for leaf, value in zip(world.predictions[1:], values, strict=False):
            world.outcome(leaf, value)
        worlds.append(world)
    roots = {audit(world).root_hash for world in worlds}
    assert len(roots) == 2, "the two worlds differ in their logs"
    assert {audit(world, size=fixed).to_bytes() for world in worlds} == {before}


def test_dishonesty_recorded_later_is_not_in_the_older_report_and_is_in_the_newer(house, audit):
    fixed = house.checkpoint()
    before = audit(house).to_bytes()
    house.predict(house.digest, (1.0, 2.0), output=999_999)
    house.blob(b"a report issued later")
    assert audit(house, size=fixed).to_bytes() == before
    assert audit(house).failed == 1


def test_a_prediction_tampered_below_the_checkpoint_fails_at_it(house, audit):
    fixed = house.checkpoint()
    house.entries[house.predictions[0]] = house.entries[house.predictions[0]].replace(
        b'"as_of":null', b'"as_of":"now"'
    )
    house.outcome(house.predictions[1])
    assert audit(house, size=fixed).failed


def test_the_newest_size_is_the_export_itself(house, audit):
    assert audit(house).to_bytes() == audit(house, size=house.checkpoint()).to_bytes()


SIZES = (1, 7, 255, 256, 257, 300, 511, 512, 513, 600)


def test_a_view_equals_the_export_written_then(log, tmp_path):
    """Every file, at sizes on both sides of every edge of a bundle."""
    digest = log.publish()
    log.approve(digest)
    then = {}
    while len(log.entries) < SIZES[-1]:
        if len(log.entries) in SIZES:
            then[len(log.entries)] = bytes_of(
                DirectorySource(log.write(tmp_path / str(len(log.entries))))
            )
        many = len(log.entries) % 5 == 0
        points = ((1.0, 2.0), (3.0, 4.0)) if many else ((1.0, 2.0),)
        leaf = log.predict(digest, *points)
        if leaf % 7 == 0 and len(log.entries) not in SIZES:
            log.outcome(leaf)
    newest = DirectorySource(log.write(tmp_path / "newest"))
    assert len(then) >= 7
    for size, files in then.items():
        view = PrefixSource(newest, size)
        assert bytes_of(view) == files, size
        assert not verify_export(view, log.vkey).findings


def test_a_view_of_the_first_entry(log, tmp_path):
    size = log.checkpoint()
    log.publish()
    report = audit_directory(log.write(tmp_path / "export"), log.vkey, size=size)
    assert (report.failed, report.tree_size) == (0, size)


def test_sizes_that_were_never_signed_are_refused_with_the_nearest(house, tmp_path):
    where = house.write(tmp_path / "export")
    with pytest.raises(NoSuchCheckpoint, match=f"nearest there are: {house.halfway}$"):
        PrefixSource(DirectorySource(where), house.halfway - 1)
    with pytest.raises(NoSuchCheckpoint, match="nearest there are"):
        PrefixSource(DirectorySource(where), 10**12)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"size":1}', '{"note":"x","size":"many"}', "[" * 9999]
)
def test_a_history_that_cannot_be_read_is_refused(house, tmp_path, text):
    where = house.write(tmp_path / "export")
    (where / "checkpoints.jsonl").write_text(text)
    with pytest.raises(NoSuchCheckpoint):
        PrefixSource(DirectorySource(where), house.halfway)


def test_a_note_that_the_log_did_not_sign_is_a_finding_at_its_size(house, tmp_path, failed):
    where = house.write(tmp_path / "export")
    history = where / "checkpoints.jsonl"
    lines = history.read_text().splitlines()
    forged = json.loads(lines[0])
    forged["note"] = json.loads(lines[1])["note"]
    history.write_text(json.dumps(forged, separators=(",", ":")) + "\n" + lines[1] + "\n")
    report = audit_directory(where, house.vkey, size=house.halfway)
    assert report.failed


@pytest.mark.parametrize("path", ["checkpoints.jsonl", "index.json", "blobs", "rows/000.jsonl"])
def test_a_lost_file_is_found_at_an_older_size_too(house, tmp_path, path):
    where = house.write(tmp_path / "export")
    lost = where / path
    if path == "blobs":
        lost = min(lost.iterdir())
    lost.unlink()
    try:
        assert audit_directory(where, house.vkey, size=house.halfway).failed
    except NoSuchCheckpoint:
        assert path in {"checkpoints.jsonl", "index.json"}


def test_a_stray_file_is_found_at_an_older_size_too(house, tmp_path, failed):
    where = house.write(tmp_path / "export")
    (where / "notes.txt").write_text("hello")
    assert failed(audit_directory(where, house.vkey, size=house.halfway))[0] == ["file"]


def _reindex(where, change):
    """Rewrite the index, which nobody signs."""
    index = Index.parse((where / "index.json").read_bytes())
    (where / "index.json").write_bytes(change(index).to_bytes())


def test_a_wrong_digest_in_the_index_is_found_at_an_older_size_too(log, tmp_path, failed):
    digest = log.publish()
    while len(log.entries) < 257:
        log.predict(digest)
    size = log.checkpoint()
    for _ in range(300):
        log.predict(digest)
    where = log.write(tmp_path / "export")
    assert (where / "tile/0/000").stat().st_size == 256 * 32
    lie = {"tile/0/000": "sha256:" + "0" * 64}
    _reindex(where, lambda i: Index(i.origin, i.tree_size, {**i.files, **lie}, i.openings))
    report = audit_directory(where, log.vkey, size=size, replay=False)
    assert "file" in failed(report)[0]
    assert next(f for f in report.findings if f.check == "file").subject == "tile/0/000"


@pytest.mark.parametrize("size", [1, 10**9])
def test_an_index_that_lies_about_its_size_breaks_nothing(house, tmp_path, size):
    where = house.write(tmp_path / "export")
    _reindex(where, lambda i: Index(i.origin, size, i.files, i.openings))
    assert audit_directory(where, house.vkey, size=house.halfway).failed


def test_nothing_outside_the_view_is_read(house, tmp_path):
    where = house.write(tmp_path / "export")
    view = PrefixSource(DirectorySource(where), house.halfway)
    newest = f"tile/0/000.p/{len(house.entries)}"
    assert (where / newest).is_file()
    assert newest not in view.list()
    for path in (newest, "../export/checkpoint", "none"):
        with pytest.raises(FileNotFoundError):
            view.read(path)
