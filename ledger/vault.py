"""Openings at rest: what the log's commitments commit to, encrypted per data subject.

Each subject has a data key of its own (AES-256-GCM), wrapped by the house's key and stored in the
transaction that stores the entry, so sealing costs no extra write. Destroying a subject's wrapped
keys makes every opening of the subject unreadable for ever, while the log and its proofs stay.

A sealed opening is 12 bytes of nonce, then ciphertext and tag; subject and row are authenticated,
so an opening moved to another subject or row does not open. One moved between two entries of the
same subject and row number does; the log's commitments tell (`record.check_opening`, an audit).

A subject gets another key from each process, and again once a process has dropped the last one from
memory, so that sealing never reads the database; opening tries each key of the subject, about 4 µs
a key.

A process that still holds a destroyed key in memory stores it again with the subject's next
opening; what it opened before is gone all the same, since the openings are deleted with it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import bindparam, text

from ledger.columnar import PART_ROWS, parts_of
from ledger.errors import LedgerInconsistent
from ledger.grammar import ROWS_MAX
from ledger.randomness import random_bytes
from ledger.record import Opening, SealedOpening
from ledger.store import scrub, writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Engine

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
KEYS_KEPT: Final = 1024  # subjects whose key stays in memory between two requests
PARTS_MAX: Final = parts_of(ROWS_MAX)
CHUNK: Final = 256  # entries whose openings are read at a time
_WRAP: Final = b"assay/subject-key/v1\0"
_SEAL: Final = b"assay/sealed-opening/v1\0"
_PART: Final = b"assay/sealed-part/v1\0"
_KEPT: Final = b"assay/kept/v1\0"

_OPENINGS = text(
    "SELECT leaf_index, row_index, subject, sealed FROM ledger_opening "
    "WHERE leaf_index >= :first AND leaf_index < :end ORDER BY leaf_index, row_index"
)
_PARTS = text(
    "SELECT part, subject, sealed FROM ledger_sealed_part "
    "WHERE leaf_index = :leaf AND part >= :first AND part < :end ORDER BY part"
)
_KEYS = text(
    "SELECT subject, wrapped_key FROM ledger_subject_key WHERE subject IN :subjects"
).bindparams(bindparam("subjects", expanding=True))

_ROWS_OF = text(
    "SELECT leaf_index, row_index FROM ledger_opening WHERE subject = :subject "
    "ORDER BY leaf_index, row_index"
)
_SUBJECT_OF_PART = text(
    "SELECT subject FROM ledger_sealed_part WHERE leaf_index = :leaf AND part = :part"
)
_SUBJECT_OF = text(
    "SELECT subject FROM ledger_opening WHERE leaf_index = :leaf AND row_index = :row"
)
_PARTS_OF = text(
    "SELECT leaf_index, part, row_count FROM ledger_sealed_part WHERE subject = :subject "
    "ORDER BY leaf_index, part"
)
_DESTROY = (
    text("DELETE FROM ledger_sealed_part WHERE subject = :subject"),
    text("DELETE FROM ledger_opening WHERE subject = :subject"),
    text("DELETE FROM ledger_subject_key WHERE subject = :subject"),
)


class Vault:
    """Seals openings for storage and opens stored ones."""

    def __init__(self, house_key: bytes, engine: Engine) -> None:
        self._house = AESGCM(house_key)
        self._engine = engine
        self._lock = threading.Lock()
        self._keys: OrderedDict[str, tuple[AESGCM, bytes]] = OrderedDict()

    def seal(self, subject: str, row_index: int, opening: bytes) -> SealedOpening:
        """Encrypt an opening's bytes for a subject."""
        key, wrapped = self._key_of(subject)
        nonce = random_bytes(NONCE_BYTES)
        sealed = nonce + key.encrypt(nonce, opening, _sealed_as(subject, row_index))
        return SealedOpening(subject, row_index, sealed, wrapped_key=wrapped)

    def seal_part(self, subject: str, part: int, records: bytes) -> tuple[bytes, bytes]:
        """Encrypt the records of a batch's part for a subject; with the subject's wrapped key."""
        key, wrapped = self._key_of(subject)
        nonce = random_bytes(NONCE_BYTES)
        return nonce + key.encrypt(nonce, records, _sealed_as(subject, part, _PART)), wrapped

    def lock(self, name: str, data: bytes) -> bytes:
        """Encrypt under the house's key what was derived from openings and is kept for a while."""
        nonce = random_bytes(NONCE_BYTES)
        return nonce + self._house.encrypt(nonce, data, _KEPT + name.encode())

    def unlock(self, name: str, sealed: bytes) -> bytes:
        """Decrypt what `lock` made. Raises LedgerInconsistent on anything else."""
        try:
            return self._house.decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _KEPT + name.encode()
            )
        except (InvalidTag, ValueError) as error:
            raise LedgerInconsistent(f"{name} does not decrypt") from error

    def open_parts(
        self, leaf_index: int, first: int = 0, end: int = PARTS_MAX
    ) -> Iterator[tuple[int, bytes]]:
        """The records of parts [first, end) of a batch; those erased are not among them."""
        given = {"leaf": leaf_index, "first": first, "end": end}
        with self._engine.connect() as connection:
            rows = connection.execute(_PARTS, given).all()
            subjects = sorted({row.subject for row in rows})
            wrapped = connection.execute(_KEYS, {"subjects": subjects}).all() if subjects else []
        keys = self._unwrapped(wrapped)
        for row in rows:
            if row.subject in keys:  # no key: the subject was erased
                aad = _sealed_as(row.subject, row.part, _PART)
                yield row.part, _decrypt(keys[row.subject], row.sealed, aad, leaf=leaf_index)

    def open(self, leaf_index: int) -> list[Opening]:
        """The openings of one entry, in row order; those erased are not among them."""
        return [opening for _, opening in self.open_range(leaf_index, leaf_index + 1)]

    def open_range(self, first: int, end: int) -> Iterator[tuple[int, Opening]]:
        """The openings of entries [first, end), with the leaf index of each."""
        for start in range(first, end, CHUNK):
            yield from self._open_chunk(start, min(start + CHUNK, end))

    def rows_of(self, subject: str) -> list[tuple[int, int]]:
        """Leaf and row of every opening held of a subject, in order."""
        with self._engine.connect() as connection:
            found = connection.execute(_ROWS_OF, {"subject": subject})
            rows = [(int(row.leaf_index), int(row.row_index)) for row in found]
            for part in connection.execute(_PARTS_OF, {"subject": subject}):
                start = part.part * PART_ROWS
                rows += [(part.leaf_index, start + place) for place in range(part.row_count)]
            return sorted(rows)

    def subject_of(self, leaf_index: int, row_index: int) -> str | None:
        """Whose opening a row's is; None when there is none any more."""
        given = {"leaf": leaf_index, "row": row_index}
        with self._engine.connect() as connection:
            found = connection.execute(_SUBJECT_OF, given).scalar()
            if found is None:
                part = {"leaf": leaf_index, "part": row_index // PART_ROWS}
                found = connection.execute(_SUBJECT_OF_PART, part).scalar()
            return None if found is None else str(found)

    def destroy(self, subject: str) -> None:
        """Delete a subject's openings and keys, and overwrite the pages they were in."""
        with self._lock:
            self._keys.pop(subject, None)
        with writer(self._engine).begin() as connection:
            for statement in _DESTROY:
                connection.execute(statement, {"subject": subject})
        scrub(self._engine)

    def _open_chunk(self, first: int, end: int) -> Iterator[tuple[int, Opening]]:
        with self._engine.connect() as connection:
            rows = connection.execute(_OPENINGS, {"first": first, "end": end}).all()
            subjects = sorted({row.subject for row in rows})
            wrapped = connection.execute(_KEYS, {"subjects": subjects}).all() if subjects else []
        keys = self._unwrapped(wrapped)
        for row in rows:
            if row.subject in keys:  # no key: the subject was erased
                aad = _sealed_as(row.subject, row.row_index)
                data = _decrypt(keys[row.subject], row.sealed, aad, leaf=row.leaf_index)
                yield row.leaf_index, Opening.from_bytes(data)

    def _key_of(self, subject: str) -> tuple[AESGCM, bytes]:
        with self._lock:
            known = self._keys.get(subject)
            if known is None:
                secret = random_bytes(KEY_BYTES)
                nonce = random_bytes(NONCE_BYTES)
                wrapped = nonce + self._house.encrypt(nonce, secret, _WRAP + subject.encode())
                known = self._keys[subject] = AESGCM(secret), wrapped
                if len(self._keys) > KEYS_KEPT:
                    self._keys.popitem(last=False)
            else:
                self._keys.move_to_end(subject)
            return known

    def _unwrapped(self, wrapped: Iterable[Any]) -> dict[str, list[AESGCM]]:
        """Every key of some subjects, by subject."""
        keys: dict[str, list[AESGCM]] = {}
        for subject, wrapped_key in wrapped:
            keys.setdefault(subject, []).append(self._unwrap(subject, wrapped_key))
        return keys

    def _unwrap(self, subject: str, wrapped: bytes) -> AESGCM:
        nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        try:
            return AESGCM(self._house.decrypt(nonce, sealed, _WRAP + subject.encode()))
        except (InvalidTag, ValueError) as error:  # the latter for one that was cut short
            raise LedgerInconsistent(f"the key of subject {subject} does not unwrap") from error


def _sealed_as(subject: str, number: int, tag: bytes = _SEAL) -> bytes:
    return tag + f"{number}\0{subject}".encode()


def _decrypt(keys: list[AESGCM], sealed: bytes, aad: bytes, *, leaf: int) -> bytes:
    nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    for key in keys:
        try:
            return key.decrypt(nonce, ciphertext, aad)
        except (InvalidTag, ValueError):  # the latter for one that was cut short
            continue
    raise LedgerInconsistent(f"an opening of entry {leaf} does not decrypt")
