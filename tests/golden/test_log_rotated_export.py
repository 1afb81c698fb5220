"""An export of 2020 whose log changed its own key twice, cosigned by two witnesses."""

from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ledger.canonical import parse_canonical
from ledger.layout import HISTORY, LOG_KEYS, DirectorySource
from ledger.note import open_checkpoint, split_note
from ledger.receipt import follow_receipts
from ledger.tlog_policy import load_policy
from ledger.verify import verify_export
from service.auditor.web import WebSource
from service.cli.audit import exit_status
from service.cli.auditing import Asked, audit_source

BUNDLE = Path(__file__).parent / "export-0.3-log-rotated"
EXPORT = DirectorySource(BUNDLE / "export")
VKEYS = {name: (BUNDLE / f"{name}.vkey").read_text("utf-8") for name in ("first", "second", "log")}


@pytest.mark.parametrize("name", VKEYS)
def test_it_verifies_by_every_key_it_has_had_and_by_its_witnesses(name):
    asked = Asked(witnesses=load_policy(BUNDLE / "witnesses.txt"), replay=False)
    report = audit_source(EXPORT, VKEYS[name], asked).report
    assert report.findings == ()
    assert exit_status(report) == 0
    assert next(check for check in report.checks if check.check == "witnesses").examined == 1


def test_which_key_signed_which_size():
    found = verify_export(EXPORT, VKEYS["second"])
    first, second, third = found.log_keys.keys
    assert [str(key.key) for key in (first, second, third)] == [v.strip() for v in VKEYS.values()]
    assert first.since == 0
    assert first.until > second.since > first.since
    assert second.until is third.until is None
    for line in EXPORT.read(HISTORY).splitlines():
        value = parse_canonical(line)
        hashes = {hashed for _, hashed, _ in split_note(value["note"])[1]}
        asked = {k.key.hash for k in (first, second, third) if k.signs(value["size"])}
        assert hashes == asked


def test_a_client_follows_from_the_first_key_to_the_newest_checkpoint():
    note = EXPORT.read("checkpoint").decode()
    keys = follow_receipts(VKEYS["first"], EXPORT.read(LOG_KEYS))
    assert open_checkpoint(note, keys).size == verify_export(EXPORT, VKEYS["log"]).tree_size
    with pytest.raises(Exception, match="not signed by"):
        open_checkpoint(note, VKEYS["first"])


def test_an_audit_of_an_address_follows_too(tmp_path):
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    handler = partial(quiet, directory=str(BUNDLE / "export"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with closing(WebSource(f"http://127.0.0.1:{server.server_port}", tmp_path)) as source:
            report = audit_source(source, VKEYS["first"], Asked(replay=False)).report
        server.shutdown()
    assert report.findings == ()
