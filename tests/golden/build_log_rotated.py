"""How `export-0.3-log-rotated` was made: the log's own key replaced twice, two witnesses, 2020.

Usage: PYTHONPATH=tests/support python tests/golden/build_log_rotated.py DIRECTORY
A golden bundle is never built again; a next format gets a directory of its own beside it.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from build_rotated import SECURITY, clock_of_2020, trade

from houses import ORIGIN, packages, signal_days
from ledger.cosignature import Cosigner, verify_cosignatures
from ledger.cosigned import cosigned, keep_cosignature
from ledger.export import export
from ledger.keys import SigningKey
from ledger.note import split_note
from models.reference import trade_signal
from service import keys
from service.assembly import assemble, initialise
from service.exporting import referenced_blobs
from service.publishing import DEVELOPER, VALIDATOR, publish_package, put_to_work
from service.sealing import seal
from service.settings import Settings

WITNESSES = ("north.example/witness", "south.example/witness")
TIME = 1_583_150_400  # 2020-03-02 12:00 UTC


def again(house):
    """The house as a restart opens it."""
    return assemble(house.settings, house.clock)


def rotate(house):
    """A new key of the log beside the old one; the old one's id, and the house again."""
    old, _, _ = keys.rotate_log(house, holder="", uri=None, act=SECURITY)
    return old, again(house)


def end(house, old):
    """The old key signs no more."""
    keys.revoke(house, old, "all who read this log have the new one", SECURITY)
    return again(house)


def build(directory):
    """A first key, a second with an overlap, a third whose overlap is not over."""
    settings = Settings(data_dir=directory, origin=ORIGIN, database_url="")
    house = initialise(settings, clock_of_2020())
    vkeys = [house.ledger.vkey]
    digest = publish_package(house, packages()[trade_signal.NAME], actor_id=DEVELOPER)
    put_to_work(house, digest, reason="a test", actor_id=VALIDATOR)
    days = signal_days(10)
    trade(house, days[:3])
    first, house = rotate(house)
    vkeys.append(house.ledger.vkey)
    trade(house, days[3:5])
    seal(house, period="2020-03-03", actor_id="operations")
    house = end(house, first)
    trade(house, days[5:7])
    _, house = rotate(house)
    vkeys.append(house.ledger.vkey)
    trade(house, days[7:])
    return house, vkeys


def witnessed(house, cosigners):
    """The newest checkpoint with the cosignature of each witness."""
    note, size = house.ledger.checkpoint(), house.ledger.size
    for place, cosigner in enumerate(cosigners):
        line = cosigner.cosign(split_note(note)[0], TIME + place)
        (found,) = verify_cosignatures(note + line, [_key(cosigner)])
        keep_cosignature(house.engine, size, found)
    return cosigned(house.engine, size, note)


def _key(cosigner):
    from ledger.cosignature import WitnessKey

    return WitnessKey.parse(cosigner.vkey)


def main(destination):
    with tempfile.TemporaryDirectory() as scratch:
        house, vkeys = build(Path(scratch) / "house")
        cosigners = [Cosigner(name, SigningKey.generate()) for name in WITNESSES]
        blobs = (referenced_blobs(house), house.blobs.get)
        note = witnessed(house, cosigners)
        export(house.ledger, Path(scratch) / "export", vault=house.vault, blobs=blobs, note=note)
        shutil.copytree(Path(scratch) / "export", destination / "export")
    for name, vkey in zip(("first.vkey", "second.vkey", "log.vkey"), vkeys, strict=True):
        (destination / name).write_text(vkey + "\n")
    lines = [f"log {vkeys[0]}", *(f"witness w{n} {c.vkey}" for n, c in enumerate(cosigners))]
    policy = "\n".join([*lines, "group both all w0 w1", "quorum both", ""])
    (destination / "witnesses.txt").write_text(policy)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
