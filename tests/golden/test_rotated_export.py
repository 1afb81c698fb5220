"""An export of 2020 whose entries were signed by keys that are long retired or revoked."""

from pathlib import Path

import pytest

from ledger.keybook import ENDING
from ledger.keys import Role
from ledger.layout import DirectorySource
from ledger.record import parse_entry
from ledger.tiles import split_bundle, tile_path
from ledger.verify import verify_export
from service.auditor.prefix import PrefixSource
from service.auditor.state import AuditState
from service.cli.audit import exit_status
from service.cli.auditing import Asked, audit_source

BUNDLE = Path(__file__).parent / "export-0.2-rotated"
EXPORT = BUNDLE / "export"
VKEY = (BUNDLE / "log.vkey").read_text("utf-8")
FOUND = verify_export(DirectorySource(EXPORT), VKEY)


def entries():
    path = EXPORT / tile_path(None, 0, FOUND.tree_size)
    return [parse_entry(data) for data in split_bundle(path.read_bytes(), FOUND.tree_size, "0")]


def test_entries_of_2020_signed_by_retired_keys_verify():
    assert FOUND.findings == ()
    signed = entries()
    assert {entry.body["event_time"][:4] for entry in signed} == {"2020"}
    ended = {key.key_id for key in FOUND.keys.values() if key.until is not None}
    by_ended = [entry for entry in signed if entry.body["producer"] in ended]
    assert len(by_ended) > len(signed) / 2


def test_each_key_ended_where_its_entry_says():
    ending = {leaf: entry for leaf, entry in enumerate(entries()) if entry.type in ENDING}
    until = {key.until: key for key in FOUND.keys.values() if key.until is not None}
    assert until.keys() == ending.keys()
    roles = [until[leaf].role for leaf in sorted(until)]
    expected = [Role.PRODUCER, Role.OPERATOR, Role.PRODUCER, Role.OUTCOME_SOURCE, Role.PRODUCER]
    assert roles == expected
    assert sorted(entry.type for entry in ending.values()) == ["key.revoked"] + ["key.rotated"] * 4


def test_no_producer_that_ended_signed_past_its_end():
    last = {entry.body["producer"]: leaf for leaf, entry in enumerate(entries())}
    for key in FOUND.keys.values():
        if key.until is not None:
            assert last[key.key_id] <= key.until


@pytest.mark.parametrize("leaf", [key.until for key in FOUND.keys.values() if key.until])
def test_an_audit_in_two_parts_around_every_change_of_keys_is_the_whole_audit(leaf):
    source = DirectorySource(EXPORT)
    whole = audit_source(source, VKEY, Asked())
    for size in (leaf, leaf + 1):
        first = audit_source(PrefixSource(source, size), VKEY, Asked())
        assert exit_status(first.report) == 0
        rest = audit_source(source, VKEY, Asked(earlier=AuditState.parse(first.state.to_bytes())))
        assert exit_status(rest.report) == 0, rest.report.findings[:3]
        assert rest.report.since.size == size, "went on from there"
        assert rest.state.keys == whole.state.keys
