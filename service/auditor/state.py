"""What an auditor keeps between two audits: one small file, `assay/audit-state/v1`.

It holds the last audited checkpoint, as signed, and what later entries are judged by: the keys and
each key's next number, the models' lifecycle, who signed predictions and outcomes, where the last
seal ended. Its size goes with keys and models, not with entries. It says which policy was held
against the executions and whether they were run again, so that a later audit can tell when the
earlier one asked for less.

Whoever can write this file decides what the next audit does not look at: it is the auditor's own,
kept like the verifier key. It is written only after an audit in which everything asked was checked
and held, so that what failed is looked at again.
"""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from ledger.canonical import canonical_bytes, parse_canonical
from ledger.errors import LedgerError, RecordError
from ledger.findings import KnownKey
from ledger.grammar import (
    DIGEST,
    KEY_ID,
    LEAF,
    base64_of,
    check_fields,
    matching,
    one_of,
    or_null,
    text,
)
from ledger.keys import KEY_BYTES, Role
from ledger.note import NOTE_MAX, open_checkpoint
from ledger.verify_since import Earlier
from service.auditor.bundle import Carried, Lifecycle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.grammar import Fields
    from ledger.note import Checkpoint

SCHEMA: Final = "assay/audit-state/v1"
STATE_MAX: Final = 64 << 20  # bytes; a key or a lifecycle event has about 300


class StateRefused(ValueError):
    """A state file that is malformed, or not of the log that is to be audited."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class AuditState:
    """The end of an audit. `checked` names the checks that were settled over the whole log."""

    log_key: str
    note: str
    checkpoint: Checkpoint
    policy_digest: str
    replayed: bool
    checked: tuple[str, ...]
    keys: tuple[KnownKey, ...]
    carried: Carried

    @property
    def earlier(self) -> Earlier:
        """What the log's own check goes on from."""
        carried = self.carried
        return Earlier(self.checkpoint, self.keys, carried.next_seq, carried.seal_end)

    def to_bytes(self) -> bytes:
        """The file's bytes: canonical JSON and a line feed."""
        carried = self.carried
        return (
            canonical_bytes(
                {
                    "schema": SCHEMA,
                    "log_key": self.log_key,
                    "origin": self.checkpoint.origin,
                    "tree_size": self.checkpoint.size,
                    "root_hash": self.checkpoint.root.hex(),
                    "checkpoint": self.note,
                    "policy_digest": self.policy_digest,
                    "replayed": self.replayed,
                    "checked": list(self.checked),
                    "keys": [_key_json(key) for key in self.keys],
                    "lifecycle": [asdict(event) for event in carried.lifecycle],
                    "prediction_signers": sorted(carried.prediction_signers),
                    "outcome_signers": dict(carried.outcome_signers),
                    "next_seq": dict(carried.next_seq),
                    "seal_end": carried.seal_end,
                }
            )
            + b"\n"
        )

    @classmethod
    def parse(cls, data: bytes) -> AuditState:
        """Read a state file, its checkpoint opened with the key it names. Raises StateRefused."""
        try:
            value = parse_canonical(data.removesuffix(b"\n"))
            if not isinstance(value, dict):
                raise RecordError("state", "expected an object")
            check_fields(value, _STATE, "state")
            checkpoint = open_checkpoint(value["checkpoint"], value["log_key"])
            told = (value["origin"], value["tree_size"], value["root_hash"])
            if told != (checkpoint.origin, checkpoint.size, checkpoint.root.hex()):
                raise RecordError("state", "size and root are not those of its checkpoint")
            return cls(
                log_key=value["log_key"],
                note=value["checkpoint"],
                checkpoint=checkpoint,
                policy_digest=value["policy_digest"],
                replayed=value["replayed"],
                checked=tuple(value["checked"]),
                keys=tuple(_key(key) for key in value["keys"]),
                carried=_carried(value),
            )
        except LedgerError as error:
            raise StateRefused(str(error)) from error


def _carried(value: Mapping[str, Any]) -> Carried:
    lifecycle = []
    for event in value["lifecycle"]:
        check_fields(event, _EVENT, "state.lifecycle")
        lifecycle.append(Lifecycle(**event))
    return Carried(
        size=value["tree_size"],
        lifecycle=tuple(lifecycle),
        prediction_signers=frozenset(value["prediction_signers"]),
        outcome_signers=value["outcome_signers"],
        next_seq=value["next_seq"],
        seal_end=value["seal_end"],
    )


def _key_json(key: KnownKey) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "public_key": base64.b64encode(key.public_key).decode(),
        "role": str(key.role),
        "holder": key.holder,
        "leaf": key.leaf,
        "until": key.until,
    }


def _key(value: Mapping[str, Any]) -> KnownKey:
    value = {"until": None, **value}  # a state from before keys could end
    check_fields(value, _KEY, "state.keys")
    return KnownKey(
        key_id=value["key_id"],
        public_key=base64.b64decode(value["public_key"]),
        role=Role(value["role"]),
        holder=value["holder"],
        leaf=value["leaf"],
        until=value["until"],
    )


def _bool(value: object) -> str | None:
    return None if isinstance(value, bool) else "expected true or false"


def _objects(value: object) -> str | None:
    fits = isinstance(value, list) and all(isinstance(item, dict) for item in value)
    return None if fits else "expected a list of objects"


def _texts(value: object) -> str | None:
    fits = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return None if fits else "expected a list of texts"


def _numbers(value: object) -> str | None:
    fits = isinstance(value, dict) and all(LEAF(item) is None for item in value.values())
    return None if fits else "expected numbers by key id"


_TEXT = text(4096)
_MAYBE = matching("(?s).{0,4096}", "text")
_KEY: Fields = {
    "key_id": KEY_ID,
    "public_key": base64_of(KEY_BYTES),
    "role": one_of(*Role),
    "holder": _TEXT,
    "leaf": LEAF,
    "until": or_null(LEAF),
}
_EVENT: Fields = {
    "leaf": LEAF,
    "type": _TEXT,
    "model_digest": _TEXT,
    "name": _TEXT,
    "actor": _TEXT,
    "signer": _TEXT,
    "version": _MAYBE,
    "provenance_digest": _MAYBE,
}
_STATE: Fields = {
    "schema": one_of(SCHEMA),
    "log_key": _TEXT,
    "origin": _TEXT,
    "tree_size": LEAF,
    "root_hash": _TEXT,
    "checkpoint": text(NOTE_MAX),
    "policy_digest": DIGEST,
    "replayed": _bool,
    "checked": _texts,
    "keys": _objects,
    "lifecycle": _objects,
    "prediction_signers": _texts,
    "outcome_signers": _numbers,
    "next_seq": _numbers,
    "seal_end": LEAF,
}
