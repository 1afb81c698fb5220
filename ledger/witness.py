"""A witness: it saw a log only grow, and says so by cosigning (C2SP tlog-witness).

Per log it keeps the newest checkpoint it cosigned. It cosigns another one when a trusted key of the
log signed it and a consistency proof leads from the kept one to it. Comparing and keeping are one
transaction, durable before the cosignature leaves; so two requests at once cannot roll it back, in
one process or several.

- The first checkpoint of a log is believed as it is.
- A key without its state is refused: an empty state would cosign a rolled-back log. For the same
  reason a state must not be restored from a backup: make a new witness, with a new key.
- Times never go back: a clock that does is overruled by the last time signed.
- A refused checkpoint that the log did sign is kept: it may be evidence of two histories.

It uses nothing of the log's tables; what it remembers is in `witness_state.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.cosignature import Cosigner, WitnessKey
from ledger.errors import ConsistencyError, KeyRefused, LedgerError, NoteError
from ledger.keys import SigningKey, load_key, save_key
from ledger.merkle import EMPTY_ROOT, verify_consistency
from ledger.note import VerifierKey, format_signature, open_note, split_note
from ledger.receipt import follow_receipts
from ledger.witness_request import RequestMalformed, parse_request
from ledger.witness_state import Evidence, Held, create_state, transaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ledger.note import KeyHistory, LogKey
    from ledger.witness_request import AddCheckpoint

KEY_FILE: Final = "witness.key"
VKEY_FILE: Final = "witness.vkey"
STATE_FILE: Final = "witness.db"


class WitnessRefused(LedgerError):
    """A witness does not cosign."""


class LogUnknown(WitnessRefused):
    """No key is trusted for this origin."""

    def __init__(self, origin: str) -> None:
        super().__init__(f"no log {origin} is known here")


class LogSignatureRefused(WitnessRefused):
    """No trusted key of the log signed the checkpoint, or one did so badly."""


class SizeStale(WitnessRefused):
    """The request grows from another size than the one cosigned last."""

    def __init__(self, held: int, old: int) -> None:
        super().__init__(f"the last tree cosigned has {held} leaves, the request says {old}")
        self.held = held


class RootDiffers(WitnessRefused):
    """The log signed another root for the size that was cosigned last: two histories."""

    def __init__(self, size: int, held: bytes, root: bytes) -> None:
        super().__init__(f"tree of {size}: cosigned root {held.hex()}, this one is {root.hex()}")


class ProofRefused(WitnessRefused):
    """The proof does not show that the tree cosigned last is the beginning of this one."""


@dataclass(frozen=True, slots=True)
class WatchedLog:
    """A log as the witness stands to it."""

    origin: str
    vkeys: tuple[str, ...]
    held: Held
    evidence: tuple[Evidence, ...]


class Witness:
    """One witness; may be shared by threads and processes. `clock` gives POSIX seconds."""

    def __init__(self, directory: Path, cosigner: Cosigner, clock: Callable[[], int]) -> None:
        self._state = directory / STATE_FILE
        self._cosigner = cosigner
        self._clock = clock
        self.vkey = cosigner.vkey

    @classmethod
    def create(cls, directory: Path, name: str, clock: Callable[[], int]) -> Witness:
        """A new witness that knows no log. Raises KeyRefused where there is one already."""
        key, state = directory / KEY_FILE, directory / STATE_FILE
        for path in (key, state):
            if path.exists():
                raise KeyRefused(str(path), "is there already; a witness is made once")
        cosigner = Cosigner(name, SigningKey.generate())
        directory.mkdir(parents=True, exist_ok=True)
        create_state(state, cosigner.vkey)
        (directory / VKEY_FILE).write_text(cosigner.vkey + "\n", encoding="utf-8")
        save_key(key, cosigner.key)
        return cls(directory, cosigner, clock)

    @classmethod
    def open(cls, directory: Path, clock: Callable[[], int]) -> Witness:
        """The witness of a directory. Raises KeyRefused when key and state do not belong."""
        key = load_key(directory / KEY_FILE)
        state = directory / STATE_FILE
        if not state.is_file():
            told = "is missing; make a new witness with a new key, see docs/witnesses.md"
            raise KeyRefused(str(state), told)
        with transaction(state) as held:
            vkey = held.vkey()
        cosigner = Cosigner(WitnessKey.parse(vkey).name, key)
        if cosigner.vkey != vkey:
            raise KeyRefused(str(directory / KEY_FILE), f"{STATE_FILE} belongs to {vkey}")
        return cls(directory, cosigner, clock)

    def add_log(self, vkey: str, origin: str | None = None) -> str:
        """Trust a key for an origin, by default the key's name; returns the origin."""
        key = VerifierKey.parse(vkey)
        found = origin or key.name
        with transaction(self._state) as state:
            state.trust(found, key)
        return found

    def follow(self, vkey: str, changes: bytes) -> KeyHistory:
        """Know all keys of a log from one that is trusted, by a file `log-keys.jsonl`.

        A key is believed for the sizes it signs from then on. Raises KeyRefused when `vkey` is not
        trusted already, and LedgerError when the file does not lead on from it.
        """
        key = VerifierKey.parse(vkey)
        history = follow_receipts(key, changes)
        with transaction(self._state) as state:
            if str(key) not in {str(held.key) for held in state.keys(key.name)}:
                raise KeyRefused(str(key), "is not trusted yet: assay witness add-log VKEY")
            state.follow(history)
        return history

    def logs(self) -> list[WatchedLog]:
        """Every known log, by origin."""
        with transaction(self._state) as state:
            return [
                WatchedLog(
                    origin=origin,
                    vkeys=tuple(str(held.key) for held in state.keys(origin)),
                    held=state.held(origin),
                    evidence=tuple(state.evidence(origin)),
                )
                for origin in state.origins()
            ]

    def add_checkpoint(self, body: bytes) -> str:
        """Cosign a checkpoint: the cosignature line, once what it says is on disk.

        Raises RequestMalformed or a WitnessRefused.
        """
        request = parse_request(body)
        new = request.checkpoint
        with transaction(self._state) as state:
            note = _signed_by(state.keys(new.origin), request)
            if request.old_size > new.size:
                raise RequestMalformed(f"old size {request.old_size}, checkpoint of {new.size}")
            held = state.held(new.origin)
            refusal = _refusal(held, request)
            if refusal is None:
                time = max(self._clock(), held.time)
                line = self._cosigner.cosign(request.text, time)
                state.hold(new, time, note + line)
            elif not isinstance(refusal, SizeStale):
                split = isinstance(refusal, RootDiffers)
                state.keep(new, self._clock(), Evidence(split, str(refusal), held.note, note))
        if refusal is not None:
            raise refusal
        return line

    def checkpoint(self, hashed: str) -> str | None:
        """The newest cosigned note of the log whose origin hashes to this; None when unknown."""
        with transaction(self._state) as state:
            return state.note(hashed)


def _signed_by(trusted: list[LogKey], request: AddCheckpoint) -> str:
    """The note with the signatures of trusted keys alone, of those that sign this size."""
    if not trusted:
        raise LogUnknown(request.checkpoint.origin)
    keys = [held.key for held in trusted if held.signs(request.checkpoint.size)]
    try:
        open_note(request.note, keys)
    except NoteError as error:
        raise LogSignatureRefused(str(error)) from error
    known = {(key.name, key.hash) for key in keys}
    text, lines = split_note(request.note)
    return text + "\n" + "".join(format_signature(*line) for line in lines if line[:2] in known)


def _refusal(held: Held, request: AddCheckpoint) -> WitnessRefused | None:
    """Why a checkpoint is not cosigned; its log's signature was checked before."""
    new, old = request.checkpoint, request.old_size
    if old != held.size:
        return SizeStale(held.size, old)
    if old == new.size and held.note and held.root != new.root:
        return RootDiffers(old, held.root, new.root)
    if old in {0, new.size}:
        return _unproved(request)
    try:
        verify_consistency(
            old_size=old,
            old_root=held.root,
            new_size=new.size,
            new_root=new.root,
            path=request.path,
        )
    except ConsistencyError as error:
        return ProofRefused(str(error))
    return None


def _unproved(request: AddCheckpoint) -> ProofRefused | None:
    """Growth that needs no proof: from the empty tree, or from a tree to itself.

    Settled before the consistency primitive, which refuses size 0: a proof from it proves nothing.
    """
    new = request.checkpoint
    if request.path:
        return ProofRefused(f"from {request.old_size} to {new.size} the proof is empty")
    if new.size == 0 and new.root != EMPTY_ROOT:
        return ProofRefused("an empty tree has the root of an empty tree")
    return None
