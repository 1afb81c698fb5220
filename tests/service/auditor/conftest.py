"""A paper log: a small real export written by hand, so that it can also be written dishonestly.

Every signature, tile and checkpoint is real; only the service is missing, which would refuse most
of what these tests want recorded. Deterministic: keys and salts come from a counter.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ledger.canonical import canonical_bytes
from ledger.keys import POSSESSION_TAG, Role, SigningKey
from ledger.layout import INCLUDED, Index, openings_path, rows_path
from ledger.merkle import leaf_hash, root_of
from ledger.note import Checkpoint, NoteSigner, sign_checkpoint
from ledger.record import (
    Draft,
    assemble,
    encode_body,
    make_opening,
    row_bytes,
    row_object,
    signed_message,
)
from ledger.tiles import TILE_WIDTH, encode_bundle, tiles_for
from models.hub.manifest import (
    Decision,
    Feature,
    Manifest,
    OutputSpec,
    Training,
    Vector,
)
from models.hub.provenance import seal_envelope, statement_bytes
from models.runtime.linear import encode_onnx
from service.verification.policy import DEFAULT_POLICY

ORIGIN = "paper.example/log"
TIME = "2026-11-25T03:20:00.000Z"
ROLES = (
    Role.OPERATOR,
    Role.PRODUCER,
    Role.OUTCOME_SOURCE,
    Role.PUBLISHER,
    Role.APPROVER,
    Role.REPORTER,
)
THRESHOLD = 1 << 16


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def bits(value):
    import struct

    return struct.pack(">f", value).hex()


def margin(x, y):
    """What the paper model computes: x + 2y + 0.5, in units of 2^-16."""
    return round((x + 2 * y + 0.5) * (1 << 16))


def decide(output):
    return "long" if output >= THRESHOLD else "flat"


ARTIFACT = encode_onnx([1.0, 2.0], 0.5)
ENVIRONMENT = canonical_bytes({"schema": "assay/environment/v1", "python": "3.11.0"})


def manifest(name="trade-signal", version="1.0.0", owner="paper"):
    blob = sha(b"reference sample")
    return Manifest(
        name=name,
        version=version,
        kind="signal",
        task="next-day direction",
        intended_use="tests",
        licence="Apache-2.0",
        owner=owner,
        format="linear-q16/v1",
        features=tuple(Feature(n, "decimal", -100, 100, False, n) for n in ("x", "y")),
        preprocessing="none",
        outputs=(OutputSpec("margin_q16", sha(ARTIFACT), "log-odds", "margin"),),
        decision=Decision("margin_q16", THRESHOLD, "long", "flat"),
        reason_codes=None,
        training=Training(
            data="none",
            data_digest=blob,
            data_licence="none",
            rows=1,
            first=None,
            last=None,
            seed=0,
            recipe={"library": "none"},
            held_out={"rows": "0"},
            reference_digest=blob,
        ),
        environment_digest=sha(ENVIRONMENT),
        rounding={"margin_q16": {"grid_bits": "16"}},
        vectors=(Vector((bits(1.0), bits(1.0)), {"margin_q16": margin(1, 1)}),),
    )


@dataclass
class PaperLog:
    """Entries as they are added; `write` makes an export of them."""

    entries: list = field(default_factory=list)
    rows: dict = field(default_factory=dict)
    openings: dict = field(default_factory=dict)
    blobs: dict = field(default_factory=dict)
    checkpoints: list = field(default_factory=list)
    counter: int = 0

    def __post_init__(self):
        self.keys = {role: SigningKey(hashlib.sha256(role.encode()).digest()) for role in Role}
        self.signer = NoteSigner(ORIGIN, self.keys[Role.LOG])
        self.vkey = self.signer.vkey
        self.seq = {}
        for role in ROLES:
            self.introduce(self.keys[role], role)

    def random(self, count):
        self.counter += 1
        return hashlib.shake_128(str(self.counter).encode()).digest(count)

    def introduce(self, key, role, holder=None):
        data = {
            "key_id": key.key_id,
            "public_key": base64.b64encode(key.public).decode(),
            "role": str(role),
            "holder": holder or f"house:{role}",
        }
        proof = key.sign(POSSESSION_TAG + canonical_bytes(data))
        data["possession"] = base64.b64encode(proof).decode()
        return self.add("key.added", data, self.keys[Role.OPERATOR])

    def add(self, kind, data, key, actor="somebody"):
        draft = Draft(type=kind, actor_id=actor, data=data, event_time=TIME)
        seq = self.seq.get(key.key_id, 0)
        self.seq[key.key_id] = seq + 1
        body = encode_body(draft, origin=ORIGIN, producer=key.key_id, seq=seq)
        self.entries.append(assemble(body, key.sign(signed_message(body))))
        return len(self.entries) - 1

    def checkpoint(self):
        """Sign the tree as it is now; `write` signs the last one itself."""
        root = root_of([leaf_hash(entry) for entry in self.entries])
        checkpoint = Checkpoint(ORIGIN, len(self.entries), root)
        if not self.checkpoints or self.checkpoints[-1][0] != checkpoint.size:
            self.checkpoints.append((checkpoint.size, sign_checkpoint(checkpoint, self.signer)))
        return checkpoint.size

    def blob(self, data):
        self.blobs[sha(data)] = data
        return sha(data)

    # What a house would record.

    def publish(self, made=None, actor="ada", key=None, **entry):
        made = made or manifest()
        key = key or self.keys[Role.PUBLISHER]
        self.blob(ARTIFACT)
        self.blob(ENVIRONMENT)
        envelope = seal_envelope(statement_bytes(made), key_id=key.key_id, sign=key.sign)
        data = {
            "model_digest": self.blob(made.to_bytes()),
            "name": made.name,
            "version": made.version,
            "provenance_digest": self.blob(envelope),
            **entry,
        }
        self.add("model.published", data, key, actor)
        return data["model_digest"]

    def approve(self, digest, actor="grace", kind="model.approved", name="trade-signal"):
        data = {"model_digest": digest, "name": name, "reason": "tests"}
        return self.add(kind, data, self.keys[Role.APPROVER], actor)

    def withdraw(self, digest):
        return self.approve(digest, kind="model.withdrawn")

    def predict(
        self, digest, *points, output=None, decision=None, reference=None, key=None, **changed
    ):
        """Record rows; `output` and `decision` replace what the model computes."""
        leaf = len(self.entries)
        objects, openings = [], []
        commitment = None
        for index, (x, y) in enumerate(points or ((1.0, 2.0),)):
            computed = margin(x, y) if output is None else output
            outputs = {"margin_q16": str(computed)}
            inputs = {"x": bits(x), "y": bits(y)}
            opening, committed, results = make_opening(index, inputs, outputs, self.random)
            if index == 0 and reference is not None:
                from ledger.record import commit_field

                salt = self.random(16)
                commitment = commit_field("caller_reference", reference, salt).hex()
                opening = opening.with_caller_reference(reference, salt)
            objects.append(row_object(index, committed, results, decision or decide(computed)))
            openings.append(opening.to_json())
        data = {
            "model_digest": digest,
            "model_name": "trade-signal",
            "policy_digest": DEFAULT_POLICY.digest,
            "environment_digest": sha(ENVIRONMENT),
            "verification_mode": "signed",
            "as_of": None,
            "caller_reference": commitment,
            "row_count": len(objects),
            **changed,
        }
        if len(objects) == 1:
            data.setdefault("row", objects[0])
        else:
            data["rows_root"] = root_of([leaf_hash(row_bytes(row)) for row in objects]).hex()
            self.rows[leaf] = objects
        self.openings[leaf] = openings
        return self.add("prediction", data, key or self.keys[Role.PRODUCER], "desk")

    def outcome(self, prediction, value="0.5", key=None):
        leaf = len(self.entries)
        opening, _, committed = make_opening(0, {}, {"value": value}, self.random)
        self.openings[leaf] = [opening.to_json()]
        data = {
            "prediction_leaf": prediction,
            "row_index": 0,
            "value": committed["value"],
            "observed_at": "2026-11-26",
            "kind": "return_pct",
            "revises": None,
            "reason": None,
        }
        return self.add("outcome", data, key or self.keys[Role.OUTCOME_SOURCE], "market")

    def write(self, directory, *, openings=INCLUDED):
        """Write an export; returns the directory."""
        size = self.checkpoint()
        files = dict(self._tree(size))
        lines = [canonical_bytes({"note": note, "size": n}) for n, note in self.checkpoints]
        files["checkpoints.jsonl"] = b"".join(line + b"\n" for line in lines)
        files |= _beside(self.rows, "row", rows_path)
        if openings == INCLUDED:
            files |= _beside(self.openings, "opening", openings_path)
        for digest, data in self.blobs.items():
            files["blobs/" + digest.removeprefix("sha256:")] = data
        index = Index(ORIGIN, size, {path: sha(data) for path, data in files.items()}, openings)
        files["index.json"] = index.to_bytes()
        files["checkpoint"] = self.checkpoints[-1][1].encode()
        for path, data in files.items():
            place = Path(directory) / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        return Path(directory)

    def _tree(self, size):
        levels = [[leaf_hash(entry) for entry in self.entries]]
        while len(levels[-1]) >= TILE_WIDTH:
            below = levels[-1]
            full = len(below) - len(below) % TILE_WIDTH
            levels.append([root_of(below[i : i + TILE_WIDTH]) for i in range(0, full, TILE_WIDTH)])
        for tile in tiles_for(size):
            first = tile.n * TILE_WIDTH
            if tile.level is None:
                yield str(tile), encode_bundle(self.entries[first : first + tile.width])
            else:
                yield str(tile), b"".join(levels[tile.level][first : first + tile.width])


def _beside(kept, key, path):
    files = {}
    for leaf in sorted(kept):
        for value in kept[leaf]:
            line = canonical_bytes({"leaf_index": leaf, key: value}) + b"\n"
            files[path(leaf // TILE_WIDTH)] = files.get(path(leaf // TILE_WIDTH), b"") + line
    return files


@pytest.fixture
def log():
    """A log with its keys introduced and nothing else in it."""
    return PaperLog()


@pytest.fixture
def house():
    """A log in which everything was done as it should be: six predictions of eight rows."""
    paper = PaperLog()
    digest = paper.publish()
    paper.approve(digest)
    paper.digest = digest
    paper.predictions = [paper.predict(digest, (float(i), 1.0)) for i in range(4)]
    paper.predictions.append(paper.predict(digest, (1.0, 1.0), (2.0, 3.0), (-5.0, 0.25)))
    paper.predictions.append(paper.predict(digest, (0.0, 0.0), reference="order 7"))
    paper.halfway = paper.checkpoint()
    paper.outcome(paper.predictions[0])
    return paper


@pytest.fixture
def made():
    """Makes a manifest of the paper model."""
    return manifest


@pytest.fixture
def paper_blobs():
    """The paper model's artifact and its reference sample."""
    return ARTIFACT, b"reference sample"


@pytest.fixture
def audit(tmp_path):
    """Write a paper log and audit it; keywords go to `audit_directory`."""
    from service.cli.audit import audit_directory

    def run(paper, **options):
        where = paper.write(tmp_path / f"export-{len(list(tmp_path.iterdir()))}")
        return audit_directory(where, paper.vkey, **options)

    return run


def verdicts(report):
    """Verdict by check of an honesty report."""
    return {check["check"]: check["verdict"] for check in report.to_json()["checks"]}


@pytest.fixture
def failed():
    """The names of the checks that failed, and the first finding of each with its leaf."""

    def of(report):
        names = sorted(name for name, verdict in verdicts(report).items() if verdict == "FAILED")
        return names, {f.check: f for f in reversed(report.findings)}

    return of


@pytest.fixture
def as_json():
    return lambda report: json.loads(report.to_bytes())
