"""What is disturbed at its system calls (`faults.py`): append, export, cosign. Run as a program.

Each act is a generator: it prepares up to its first `yield`, then acts, and yields what it is told.
What it was told by then are promises, to which the tests hold the log. Imports and a first turn of
everything belong to the preparation: the system calls that follow are the act's own.
"""

import contextlib
import ctypes
import json
import os
import shutil
import socket
import sys
import traceback
from pathlib import Path

from ledger import writing
from ledger.cosignature import WitnessKey, read_cosignatures
from ledger.cosigned import keep_cosignature, last_cosigned
from ledger.export import export
from ledger.fsck import fsck
from ledger.keys import Role
from ledger.log import Ledger
from ledger.note import split_note
from ledger.receipt import Receipt, verify_receipt
from ledger.record import parse_entry
from ledger.store import create_schema, open_engine
from ledger.vault import Vault
from ledger.witness import SizeStale, Witness
from ledger.witness_request import format_request
from logs import LOG_KEY, ORIGIN, ROLES, Log, address_of, introduction, key_of, refusal

PRODUCER = key_of(Role.PRODUCER)
ANCHOR = "anchor.json"
FILL = 250  # entries of the template: the acts fill its first tile
WARM = 2  # commits of the preparation
_ANY_TRACER = 0x59616D61, ctypes.c_ulong(-1)  # prctl: PR_SET_PTRACER, PR_SET_PTRACER_ANY


# --- the log that is disturbed ---------------------------------------------------------------


def make_template(directory, url=None):
    """A log with an anchor, a witness that saw it, and an export of it; nobody has it open."""
    directory.mkdir(parents=True)
    engine = open_engine(address_of(directory, url))
    create_schema(engine)
    ledger = Ledger.create(
        engine, origin=ORIGIN, log_key=LOG_KEY, data_dir=directory, anchor=directory / ANCHOR
    )
    log = Log(directory, engine, ledger, Vault(b"k" * 32, engine))
    for role in ROLES:
        ledger.append(introduction(role), key_of(Role.OPERATOR))
    log.predict(["a", "b"])
    log.refuse(0, key="known")
    ledger.append_many([(refusal(n), PRODUCER) for n in range(FILL - WARM - ledger.size)])
    export(ledger, directory / "export", vault=log.vault)
    witness = Witness.create(directory / "witness", "witness.example/w", lambda: 1)
    witness.add_log(ledger.vkey)
    for _ in cosigned(log, witness):
        pass
    engine.dispose()


def open_anchored(directory, url=None):
    """The log again, as another process or a restart sees it."""
    engine = open_engine(address_of(directory, url))
    try:
        ledger = Ledger.open(
            engine, origin=ORIGIN, log_key=LOG_KEY, data_dir=directory, anchor=directory / ANCHOR
        )
    except BaseException:
        engine.dispose()
        raise
    return Log(directory, engine, ledger, Vault(b"k" * 32, engine))


def warmed(directory, tag):
    """The log in a process that has done everything once."""
    writing.WAL_EVERY = 5  # so that the few commits here move the write-ahead log, too
    log = open_anchored(directory)
    for n in range(WARM):
        log.refuse(n, key=f"warm-{tag}-{n}")
    export(log.ledger, directory / "scratch", vault=log.vault)
    shutil.rmtree(directory / "scratch")
    return log


# --- acts ------------------------------------------------------------------------------------


def append(directory, tag):
    """Six commits: alone, a batch with rows over the edge of a tile, a retry, and three more."""
    log = warmed(directory, tag)
    first, *batch = keys_of(tag)[:10]
    yield
    yield _told(log.refuse(0, key=first))
    drafts = [log.prediction(["c", "d"], "sub_2"), *(refusal(0, key=key) for key in batch)]
    for done in log.ledger.append_many([(draft, PRODUCER) for draft in drafts]):
        yield _told(done)
    yield _told(log.refuse(0, key="known"))
    for key in keys_of(tag)[10:]:
        yield _told(log.refuse(0, key=key))


def keys_of(tag):
    """The idempotency keys an `append` uses, in order."""
    return [f"{tag}-{n}" for n in range(13)]


def export_again(directory, tag):
    """An export over the one there: new tiles, a bundle that grew, one that is new."""
    log = warmed(directory, tag)
    log.predict(["e", "f", "g"])
    log.ledger.append_many([(refusal(n), PRODUCER) for n in range(20)])
    yield
    yield export(log.ledger, directory / "export", vault=log.vault)


def cosign(directory, tag):
    """The newest checkpoint to the witness, its cosignature kept; then once more after growth."""
    log = warmed(directory, tag)
    witness = Witness.open(directory / "witness", lambda: 2)
    witness.logs()
    yield
    yield from cosigned(log, witness)
    log.refuse(1, key="grown")
    yield from cosigned(log, witness)


def cosigned(log, witness):
    """What `service/cosigning.py` does with one witness, without the network in between."""
    note = log.ledger.checkpoint()
    key = WitnessKey.parse(witness.vkey)
    size, old = int(note.split("\n")[1]), last_cosigned(log.engine, key)
    for _ in range(2):
        path = log.ledger.prove_consistency(old, size) if 0 < old < size else []
        try:
            line = witness.add_checkpoint(format_request(old, path, note))
        except SizeStale as stale:  # it kept what it answered, and we did not
            old = stale.held
            continue
        (found,) = read_cosignatures(split_note(note)[0], line, key)
        yield {"size": size, "note": note, "line": line}
        keep_cosignature(log.engine, size, found)
        return


ACTS = {act.__name__: act for act in (append, export_again, cosign)}


# --- what must hold afterwards ---------------------------------------------------------------


def check_whole(log, receipts=()):
    """The stored log has no findings, each receipt is kept, and no idempotency key is twice."""
    found = fsck(log.ledger, log.engine, vault=log.vault)
    assert found == [], found
    for receipt in receipts:
        verify_receipt(receipt, log.ledger.vkey)
        assert log.ledger.entry(receipt.leaf_index).entry == receipt.entry
    bodies = (parse_entry(stored.entry).body for stored in log.ledger.entries())
    keys = [body["idempotency_key"] for body in bodies if body["idempotency_key"] is not None]
    assert len(keys) == len(set(keys)), "an idempotency key was recorded twice"


def receipts_of(told):
    """Receipts among what an attempt was told."""
    return [Receipt.from_json(value["receipt"]) for value in told]


def _told(done):
    return {"index": done.index, "repeated": done.repeated, "receipt": done.receipt.to_json()}


# --- the process -----------------------------------------------------------------------------


def _serve(here):
    while request := here.recv(1 << 16):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                _act(here, **json.loads(request))
                status = 0
            except BaseException:  # noqa: BLE001 - it is a process that ends here
                traceback.print_exc()
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        _say(here, exit=os.waitstatus_to_exitcode(status))


def _act(here, act, directory, tag):
    # Where only a parent may trace, let anybody.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_ANY_TRACER[0], _ANY_TRACER[1], 0, 0, 0)
    acting = ACTS[act](Path(directory), tag)
    next(acting)
    _say(here, ready=os.getpid())
    here.recvmsg(16)
    try:
        for told in acting:
            _say(here, told=told)
    except Exception as error:  # noqa: BLE001 - the test judges it
        _say(here, error=type(error).__name__, text=str(error))


def _say(here, **message):
    here.sendmsg([json.dumps(message).encode()])


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as socket_:
        _serve(socket_)
