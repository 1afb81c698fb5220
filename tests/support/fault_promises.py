"""What must hold after an act was disturbed (`faults.py`): the log is whole, promises are kept.

For each act: what it may have raised, and what is checked and tried again afterwards by a process
that opens everything anew.
"""

from fault_acts import (
    PRODUCER,
    check_whole,
    cosigned,
    keys_of,
    make_template,
    open_anchored,
    receipts_of,
)
from faults import CALLS, Stand, copy_of
from ledger.cosignature import WitnessKey, read_cosignatures
from ledger.export import export
from ledger.layout import DirectorySource
from ledger.merkle import HASH_BYTES
from ledger.note import open_checkpoint, split_note
from ledger.record import parse_entry
from ledger.tiles import root_from_tiles, split_bundle, tile_path, tiles_for, width_at
from ledger.verify import verify_export
from ledger.witness import Witness
from logs import ORIGIN, refusal

# What an act may raise: the ledger says that it is unavailable; an export and a witness pass on
# what the system said.
RAISED = {
    "append": {"LedgerUnavailable"},
    "export_again": {"OSError", "LedgerUnavailable"},
    "cosign": {"LedgerUnavailable", "OperationalError"},
}


class Bench:
    """A stand, a log to copy, and a place to break it in. `traced`: which system calls."""

    traced = CALLS
    others = None  # whom to trace in place of the process that acts
    tag = "0"  # of what an attempt records

    def __init__(self, directory):
        self._stand = Stand()
        self._template, self._work = directory / "template", directory / "work"
        self._make()

    def _make(self):
        make_template(self._template)

    def _fresh(self):
        return copy_of(self._template, self._work)

    def stop(self):
        self._stand.stop()

    def calls(self, act):
        """How often an undisturbed act makes each system call."""
        return self._stand.calls(act, self._fresh(), **self._how())

    def attempt(self, act, point):
        """Run an act on a new copy of the log, disturbed at a point."""
        return self._stand.attempt(act, self._fresh(), point, **self._how())

    def _how(self):
        return {"tag": self.tag, "traced": self.traced, "others": self.others}

    def disturb(self, act, point):
        """The same, and hold the act to its promises."""
        outcome = self.attempt(act, point)
        raised = outcome.error and outcome.error[0]
        assert outcome.injected, f"{act} never came to {point}"
        assert raised is None or raised in RAISED[act], (str(point), outcome.error)
        assert outcome.killed == (point.fault == "SIGKILL")
        self.check(act, point, outcome)

    def check(self, act, point, outcome):
        """Open everything anew, and hold the act to what it had told."""
        log = open_anchored(self._work)
        try:
            PROMISES[act](log, outcome, self.tag)
        except BaseException as error:
            error.add_note(f"after {point} of {act}, which told {outcome.error}")
            raise
        finally:
            log.engine.dispose()


def kept_by_append(log, outcome, tag):
    """Every receipt holds; retries find what is there; the log goes on."""
    receipts = receipts_of(outcome.told)
    check_whole(log, receipts)
    for receipt in receipts:
        body = parse_entry(receipt.entry).body
        if body["idempotency_key"] is None:
            continue
        again = log.refuse(0, key=body["idempotency_key"])
        assert (again.index, again.repeated) == (receipt.leaf_index, True)
    size = log.ledger.size
    done = [log.refuse(0, key=key) for key in keys_of(tag)]
    assert log.ledger.size == size + sum(not one.repeated for one in done)
    check_whole(log, [one.receipt for one in done])


def kept_by_export_again(log, outcome, tag):
    """The checkpoint shown has all its tiles; another export goes through and has no findings."""
    place = log.directory / "export"
    check_whole(log)
    shown = open_checkpoint((place / "checkpoint").read_text(), log.ledger.vkey)
    for tile in tiles_for(shown.size):
        data = (place / str(tile)).read_bytes()
        if tile.level is None:
            split_bundle(data, tile.width)
        else:
            assert len(data) == tile.width * HASH_BYTES

    def read(level, n, width):
        there = tile_path(level, n, width_at(level, n, shown.size))
        return (place / there).read_bytes()[: width * HASH_BYTES]

    assert root_from_tiles(shown.size, read) == shown.root
    log.refuse(9, key=f"later-{tag}")
    size = export(log.ledger, place, vault=log.vault)
    checked = verify_export(DirectorySource(place), log.ledger.vkey)
    assert (checked.findings, checked.tree_size) == ((), size)
    assert size == log.ledger.size
    assert not list(place.rglob("*.part"))


def kept_by_cosign(log, outcome, tag):
    """What the witness told it holds; log and witness are one history, and it goes on with both."""
    check_whole(log)
    witness = Witness.open(log.directory / "witness", lambda: 3)
    (watched,) = witness.logs()
    for told in outcome.told:
        text, _ = split_note(told["note"])
        assert read_cosignatures(text, told["line"], WitnessKey.parse(witness.vkey))
        assert told["note"] == log.ledger.checkpoint(told["size"])
        assert watched.held.size >= told["size"]
    assert watched.evidence == ()
    assert log.ledger.begins_with(watched.held.size, watched.held.root)
    log.ledger.append_many([(refusal(n), PRODUCER) for n in range(3)])
    ((last,),) = [list(cosigned(log, witness))]
    assert last["size"] == log.ledger.size == witness.logs()[0].held.size
    assert witness.logs()[0].origin == ORIGIN
    check_whole(log)


PROMISES = {
    "append": kept_by_append,
    "export_again": kept_by_export_again,
    "cosign": kept_by_cosign,
}
