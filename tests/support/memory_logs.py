"""A log and its export in memory, made with the pure half alone: every lie can be signed properly.

Whoever holds the keys can write anything; what the check of an export still notices is what the
tests here are about. `files()` is honest about what it was told, `reindexed` mends an index.
"""

import base64
import hashlib
import itertools

from ledger.canonical import canonical_bytes
from ledger.keys import POSSESSION_TAG, Role, SigningKey
from ledger.layout import CHECKPOINT, HISTORY, INDEX, Index, blob_path, openings_path, rows_path
from ledger.merkle import leaf_hash, root_of
from ledger.note import Checkpoint, NoteSigner, sign_checkpoint
from ledger.record import (
    Draft,
    assemble,
    commit_field,
    encode_body,
    make_opening,
    row_bytes,
    row_object,
    signed_message,
)
from ledger.tiles import TILE_WIDTH, encode_bundle, tile_path, tiles_for

ORIGIN = "test.example/log"
TIME = "2026-11-25T03:20:00.123Z"
DIGEST = "sha256:" + "d" * 64
SIGNER = NoteSigner(ORIGIN, SigningKey(bytes(range(32))))
ROLES = (Role.OPERATOR, Role.PRODUCER, Role.OUTCOME_SOURCE, Role.APPROVER, Role.REPORTER)


def key_of(role):
    return SigningKey(hashlib.sha256(f"memory key of {role}".encode()).digest())


class MemorySource:
    """An export as a dict of bytes."""

    def __init__(self, files):
        self.files = files

    def list(self):
        return sorted(self.files)

    def read(self, path):
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]

    def lines(self, path):
        yield from self.read(path).splitlines(keepends=True)


class MemoryLog:
    """Entries as they were signed, and what lies beside them; checkpoints at `sizes`."""

    def __init__(self, *, introduce=ROLES):
        self.entries = []
        self.sizes = [0]
        self.rows = {}
        self.openings = {}
        self.blobs = [b"a model", b"a report"]
        self.next_seq = dict.fromkeys(map(str, Role), 0)
        self._salts = itertools.count()
        for role in introduce:
            self.introduce(role)

    def salts(self, count):
        return hashlib.shake_256(b"%d" % next(self._salts)).digest(count)

    def add(self, kind, data, role=Role.PRODUCER, *, key=None, seq=None, origin=ORIGIN, **draft):
        """Sign and add an entry, whatever it says; returns its leaf index."""
        key = key or key_of(role)
        number = self.next_seq[str(role)] if seq is None else seq
        made = Draft(type=kind, actor_id="tester", data=data, event_time=TIME, **draft)
        body = encode_body(made, origin=origin, producer=key.key_id, seq=number)
        self.next_seq[str(role)] = number + 1
        return self.append(assemble(body, key.sign(signed_message(body))))

    def append(self, entry):
        self.entries.append(entry)
        self.sizes.append(len(self.entries))
        return len(self.entries) - 1

    def introduce(self, role, *, by=Role.OPERATOR, held_by=None, **changes):
        key = key_of(role)
        claim = {
            "key_id": key.key_id,
            "public_key": base64.b64encode(key.public).decode(),
            "role": str(role),
            "holder": f"the {role}",
            **changes,
        }
        message = POSSESSION_TAG + canonical_bytes(claim)
        possession = base64.b64encode((held_by or key).sign(message)).decode()
        return self.add("key.added", {**claim, "possession": possession}, by)

    def refuse(self, n=1):
        for _ in range(n):
            data = {"cause": "C", "model_digest": None, "detail": "d"}
            self.add("refusal", data)

    def predict(self, count=1, *, reference=None, **changes):
        rows, openings = [], []
        for index in range(count):
            opening, inputs, outputs = make_opening(
                index, {"x": f"{index:08x}"}, {"margin_q16": str(index)}, self.salts
            )
            rows.append(row_object(index, inputs, outputs, "long"))
            openings.append(opening)
        data = {
            "model_digest": DIGEST,
            "model_name": "m",
            "policy_digest": DIGEST,
            "environment_digest": DIGEST,
            "verification_mode": "signed",
            "as_of": None,
            "caller_reference": None,
            "row_count": count,
        }
        if reference is not None:
            salt = self.salts(16)
            data["caller_reference"] = commit_field("caller_reference", reference, salt).hex()
            openings[0] = openings[0].with_caller_reference(reference, salt)
        if count == 1:
            data["row"] = rows[0]
        else:
            data["rows_root"] = root_of([leaf_hash(row_bytes(row)) for row in rows]).hex()
        leaf = self.add("prediction", {**data, **changes})
        if count > 1:
            self.rows[leaf] = rows
        self.openings[leaf] = [opening.to_json() for opening in openings]
        return leaf

    def observe(self, prediction, row=0, *, revises=None, **draft):
        opening, _, outputs = make_opening(0, {}, {"value": "1"}, self.salts)
        data = {
            "prediction_leaf": prediction,
            "row_index": row,
            "value": outputs["value"],
            "observed_at": "2026-11-25",
            "kind": "return_pct",
            "revises": revises,
            "reason": None if revises is None else "a correction",
        }
        leaf = self.add("outcome", data, Role.OUTCOME_SOURCE, **draft)
        self.openings[leaf] = [opening.to_json()]
        return leaf

    def seal(self, first, count=None, **changes):
        size = len(self.entries)
        count = size - first if count is None else count
        hashes = [leaf_hash(entry) for entry in self.entries[first : first + count]]
        data = {
            "period": "2026-11-25",
            "first_index": first,
            "count": count,
            "root": root_of(hashes).hex(),
            "checkpoint_size": size,
        }
        return self.add("seal", {**data, **changes}, Role.REPORTER)

    def erase(self, *rows, keep=False):
        """Record rows (`17.3`) as erased, and drop their openings unless they are kept."""
        for leaf, index in (map(int, row.split(".")) for row in rows if not keep):
            kept = [o for o in self.openings[leaf] if o["row_index"] != index]
            self.openings[leaf] = kept
        data = {"rows": list(rows), "reason": "asked for", "authority": "the subject"}
        return self.add("erasure", data, Role.OPERATOR)

    # --- the export ---

    def note(self, size):
        root = root_of([leaf_hash(entry) for entry in self.entries[:size]])
        return sign_checkpoint(Checkpoint(ORIGIN, size, root), SIGNER)

    def files(self, *, openings="included"):
        """Every file of the export by path."""
        size = len(self.entries)
        files = {CHECKPOINT: self.note(size).encode()}
        lines = ({"note": self.note(at), "size": at} for at in sorted({*self.sizes, size}))
        files[HISTORY] = b"".join(canonical_bytes(line) + b"\n" for line in lines)
        nodes = [leaf_hash(entry) for entry in self.entries]
        for tile in tiles_for(size):
            start = tile.n * TILE_WIDTH
            if tile.level is None:
                files[str(tile)] = encode_bundle(self.entries[start : start + tile.width])
            elif tile.level == 0:
                files[str(tile)] = b"".join(nodes[start : start + tile.width])
            else:
                full = range(len(nodes) // TILE_WIDTH)
                assert tile.level == 1
                roots = [root_of(nodes[n * TILE_WIDTH : (n + 1) * TILE_WIDTH]) for n in full]
                files[str(tile)] = b"".join(roots[start : start + tile.width])
        self._beside(files, rows_path, "row", self.rows)
        if openings == "included":
            self._beside(files, openings_path, "opening", self.openings)
        for blob in self.blobs:
            files[blob_path("sha256:" + hashlib.sha256(blob).hexdigest())] = blob
        return reindexed(files, size, openings)

    @staticmethod
    def _beside(files, path, key, kept):
        for leaf in sorted(kept):
            for value in kept[leaf]:
                line = canonical_bytes({"leaf_index": leaf, key: value}) + b"\n"
                name = path(leaf // TILE_WIDTH)
                files[name] = files.get(name, b"") + line


def reindexed(files, size, openings="included"):
    """The files with an index that lists them as they are."""
    digests = {
        path: "sha256:" + hashlib.sha256(data).hexdigest()
        for path, data in files.items()
        if path not in {CHECKPOINT, INDEX}
    }
    return {**files, INDEX: Index(ORIGIN, size, digests, openings).to_bytes()}


def full_log(refusals=255):
    """A log with something for every check to look at; with 255 refusals it has two bundles."""
    log = MemoryLog()
    log.predict()
    log.predict(3, reference="order 7")
    first = log.observe(5)
    log.observe(5, revises=first, parents=(first,))
    log.observe(6, 2)
    log.seal(0)
    report = {"report_kind": "honesty", "checkpoint_size": 3, "report_digest": DIGEST}
    log.add("report", report, Role.REPORTER)
    log.refuse(refusals)
    log.sizes = [size for size in log.sizes if size < 15 or size % 64 == 0]
    log.erase(f"{log.predict(2)}.1")
    log.seal(10)
    return log


def only_tile(level, n, size):
    """The path of a tile in an export of that size."""
    return tile_path(level, n, min(TILE_WIDTH, (size >> (8 * (level or 0))) - n * TILE_WIDTH))
