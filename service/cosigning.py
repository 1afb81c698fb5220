"""Cosignatures: the newest checkpoint is shown to the witnesses, and what they sign is kept.

The witnesses are those of a C2SP tlog-policy file (`ASSAY_WITNESS_POLICY`), each with the address
of its submission prefix; one without an address is counted and never asked. The same file, handed
to clients and auditors, is what they hold a checkpoint against.

A witness cosigns growth from the tree it saw last. Which that was is known from what is kept here,
and corrected by the witness itself (409 and its size). A witness that does not answer costs the
others nothing: all are asked at once, and one that failed is left alone for a while. Nothing waits
for a witness: a receipt is `published` at once and `witnessed` when it is asked for later.

Refusals worth waking someone: the witness saw a longer log than there is here (this database was
rolled back), or growth that cannot be proved to it (the log forked). Both are told as such.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from ledger.cosignature import read_cosignatures
from ledger.cosigned import cosigned, cosigned_sizes, keep_cosignature, last_cosigned
from ledger.errors import LedgerError, NotFound
from ledger.note import open_checkpoint, split_note
from ledger.receipt import WITNESSED, Receipt
from ledger.tlog_policy import load_policy
from ledger.witness_request import format_request
from service.errors import ServiceError
from service.witness_client import Stale, WitnessFailed, ask, open_client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx
    from sqlalchemy import Engine

    from ledger.cosignature import Cosignature
    from ledger.log import Ledger
    from ledger.note import Checkpoint
    from ledger.tlog_policy import PolicyWitness, Quorum, TlogPolicy

ASKED_AT_ONCE_MAX: Final = 8
TRIES_MAX: Final = 3  # a witness's size is learned in the first, and may move once while we answer
PAUSE_MAX_S: Final = 300  # a dead witness is asked again at least this often
SIZES_MAX: Final = 32  # newest cosigned checkpoints looked at for one that meets the quorum


@dataclass(frozen=True, slots=True)
class Collected:
    """One round: the checkpoint's size, who cosigned it now, and who failed."""

    size: int
    cosigned: tuple[str, ...]
    failed: dict[str, str]

    def __str__(self) -> str:
        parts = [f"cosigned by {', '.join(self.cosigned)}"] if self.cosigned else []
        parts += [f"{name}: {why}" for name, why in self.failed.items()]
        return f"checkpoint {self.size}: {'; '.join(parts)}" if parts else ""


class Cosigning:
    """The witnesses of one log, and what they cosigned. May be shared by threads."""

    def __init__(
        self,
        policy: TlogPolicy,
        ledger: Ledger,
        engine: Engine,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.policy = policy
        self._ledger = ledger
        self._engine = engine
        self._monotonic = monotonic
        self._failures: dict[str, int] = {}
        self._quiet_until: dict[str, float] = {}

    @classmethod
    def of(cls, path: Path | None, ledger: Ledger, engine: Engine) -> Cosigning | None:
        """What a house's policy file asks for; None without one. Refuses one that cannot serve."""
        if path is None:
            return None
        try:
            policy = load_policy(path)
        except (OSError, LedgerError) as error:
            raise ServiceError(500, "witness-policy", f"{path}: {error}") from error
        if not policy.names_log(ledger.keys()):
            told = f"{path} names other logs, not {ledger.vkey}"
            raise ServiceError(500, "witness-policy", told)
        return cls(policy, ledger, engine)

    def checkpoint(self) -> str:
        """The newest checkpoint with the cosignatures it has so far."""
        note = self._ledger.checkpoint()
        return cosigned(self._engine, self._opened(note).size, note)

    def witnessed(self, above: int = -1) -> tuple[Checkpoint, str] | None:
        """The newest checkpoint larger than `above` that meets the quorum, with its note."""
        for size in cosigned_sizes(self._engine, above=above, limit=SIZES_MAX):
            note = cosigned(self._engine, size, self._ledger.checkpoint(size))
            if self._quorum(note).met:
                return self._opened(note), note
        return None

    def receipt(self, leaf: int) -> Receipt:
        """An entry's receipt: under the newest witnessed checkpoint that holds it, if any does."""
        found = self.witnessed(above=leaf) if self.policy_asks else None
        if found is None:
            return self._ledger.receipt(leaf)
        checkpoint, note = found
        return Receipt(
            leaf_index=leaf,
            entry=self._ledger.entry(leaf).entry,
            tree_size=checkpoint.size,
            path=tuple(self._ledger.prove(leaf, checkpoint.size)),
            checkpoint=note,
            state=WITNESSED,
        )

    @property
    def policy_asks(self) -> bool:
        """Whether the quorum asks for any witness; else `witnessed` would mean nothing."""
        return self.policy.quorum != "none"

    # --- asking ---

    def flush(self) -> str | None:
        """Ask every witness now; the note if it then meets the quorum, to be handed on as it is."""
        note = self._ledger.checkpoint()
        self._collect(note, patient=False)
        size = self._opened(note).size
        full = cosigned(self._engine, size, note)
        return full if self.policy_asks and self._quorum(full).met else None

    def collect(self) -> Collected:
        """Ask every witness that has not cosigned the newest checkpoint and is not left alone."""
        return self._collect(self._ledger.checkpoint(), patient=True)

    def _collect(self, note: str, *, patient: bool) -> Collected:
        checkpoint = self._opened(note)
        known = self._quorum(cosigned(self._engine, checkpoint.size, note)).cosigned
        done = {str(cosignature.witness) for cosignature in known}
        asked = [
            witness
            for witness in self.policy.witnesses
            if witness.url
            and str(witness.key) not in done
            and not (patient and self._is_left_alone(witness))
        ]
        if not asked:
            return Collected(checkpoint.size, (), {})
        with (
            open_client() as client,
            ThreadPoolExecutor(min(len(asked), ASKED_AT_ONCE_MAX)) as pool,
        ):
            answers = list(pool.map(lambda w: self._asked(client, w, checkpoint, note), asked))
        failed = {w.name: why for w, why in zip(asked, answers, strict=True) if why}
        fine = tuple(w.name for w, why in zip(asked, answers, strict=True) if not why)
        return Collected(checkpoint.size, fine, failed)

    def _asked(
        self, client: httpx.Client, witness: PolicyWitness, checkpoint: Checkpoint, note: str
    ) -> str:
        """Ask one witness and keep what it signed; why not, or nothing."""
        try:
            cosignature = self._ask(client, witness, checkpoint, note)
            keep_cosignature(self._engine, checkpoint.size, cosignature)
        except (WitnessFailed, LedgerError) as error:
            why = str(error)
            failures = self._failures.get(witness.name, 0)
            self._failures[witness.name] = failures + 1
            self._quiet_until[witness.name] = self._monotonic() + min(2**failures, PAUSE_MAX_S)
            structlog.get_logger("cosigning").warning(
                "witness failed", witness=witness.name, size=checkpoint.size, why=why
            )
            return why
        self._failures.pop(witness.name, None)
        self._quiet_until.pop(witness.name, None)
        return ""

    def _ask(
        self, client: httpx.Client, witness: PolicyWitness, checkpoint: Checkpoint, note: str
    ) -> Cosignature:
        size, old = checkpoint.size, last_cosigned(self._engine, witness.key)
        text, _ = split_note(note)
        for _ in range(TRIES_MAX):
            old = min(old, size)
            path = self._ledger.prove_consistency(old, size) if 0 < old < size else []
            answer = ask(client, witness.url or "", format_request(old, path, note))
            if not isinstance(answer, Stale):
                found = read_cosignatures(text, answer, witness.key)
                if not found:
                    raise WitnessFailed("answered without a cosignature of the key in the policy")
                return found[0]
            old = answer.held
            if old > size:
                raise WitnessFailed(self._longer(old))
        raise WitnessFailed(f"its size moved {TRIES_MAX} times")

    def _longer(self, held: int) -> str:
        now = self._ledger.size
        if held <= now:
            return f"cosigned size {held} already, asked by somebody else"
        return (
            f"saw {held} entries of this log, here are {now}: the database was rolled back, or "
            "another one signs under this key; stop appending and see docs/witnesses.md"
        )

    def _is_left_alone(self, witness: PolicyWitness) -> bool:
        return self._monotonic() < self._quiet_until.get(witness.name, 0.0)

    def _opened(self, note: str) -> Checkpoint:
        return open_checkpoint(note, self._ledger.keys())

    def _quorum(self, note: str) -> Quorum:
        return self.policy.judge(note)


def receipt_of(cosigning: Cosigning | None, ledger: Ledger, leaf: int) -> Receipt:
    """An entry's receipt, witnessed where there are witnesses and they have come that far."""
    if cosigning is None:
        return ledger.receipt(leaf)
    if leaf >= ledger.size:
        raise NotFound("entry", leaf)
    return cosigning.receipt(leaf)
