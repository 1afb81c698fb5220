"""One audit put together: the log, what its entries say, the models run again, what is held beside.

The one place where the auditor meets the model runtime: a model is loaded from the export by the
digest the log names, after its bytes were hashed, and handed to replay as a plain callable.

With the state of an earlier audit, growth is shown first; a log that did not only grow is looked at
no further. Then only what is new is read, unless the earlier audit asked for less than this one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ledger.bound_tiles import BoundTiles
from ledger.errors import LedgerError, NoteError, TileError
from ledger.findings import LogFindings, Tally
from ledger.layout import CHECKPOINT, LOG_KEYS, DirectorySource
from ledger.log_keys import follow, parse_lines
from ledger.note import Checkpoint, KeyHistory, VerifierKey, open_checkpoint
from ledger.verify import verify_export
from ledger.verify_since import Opened, verify_since
from service.auditor import honesty
from service.auditor.bundle import Bundle, Carried, read_bundle
from service.auditor.continuity import check_growth, check_seen
from service.auditor.prefix import PrefixSource
from service.auditor.receipts import CHECK as RECEIPT
from service.auditor.receipts import CLAIM as RECEIPT_CLAIM
from service.auditor.receipts import check_receipts, find_receipts
from service.auditor.recorded import blob_of
from service.auditor.replay import ModelRefused, ModelUnavailable, replay_bundle
from service.auditor.state import AuditState, StateRefused
from service.auditor.verify import Check, Findings, verify_bundle
from service.auditor.witnessed import check_second, check_witnesses
from service.cli.audit_parts import KeptParts, in_order, program_digest, run_part, run_parts
from service.verification.policy import DEFAULT_POLICY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ledger.columnar import Columns
    from ledger.layout import Source
    from ledger.post_quantum import SecondKey
    from ledger.tlog_policy import TlogPolicy
    from models.runtime import Predictor
    from service.auditor.comparing import Executed, Load, Rerun
    from service.auditor.honesty import HonestyReport
    from service.auditor.replay import Engine
    from service.cli.audit_parts import Workers
    from service.verification.policy import Policy

NO_FINDINGS = Findings((), ())


@dataclass(frozen=True, slots=True)
class Progress:
    """Told how far each step is: done and total."""

    log: Callable[[int, int], None] | None = None
    replay: Callable[[int, int], None] | None = None
    receipts: Callable[[int], None] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What an audit is to do. `full` reads the whole log also where an earlier audit is known.

    `since` is a checkpoint seen before, which this log must have grown from; as a note it is opened
    with the log's keys first. `workers` run parts of
    the replay elsewhere; in `work` finished parts are kept, so that the audit can be gone on with.
    """

    policy: Policy = DEFAULT_POLICY
    size: int | None = None
    replay: bool = True
    earlier: AuditState | None = None
    full: bool = False
    receipts: Path | None = None
    since: Checkpoint | str | None = None
    witnesses: TlogPolicy | None = None
    workers: Workers | None = None
    work: Path | None = None
    second: SecondKey | None = None

    @property
    def reads_all(self) -> str:
        """Why the whole log has to be read; empty when an earlier audit can be gone on from."""
        if self.earlier is None:
            return "there is no earlier audit"
        if self.full:
            return "so asked"
        if self.earlier.policy_digest != self.policy.digest:
            return "the earlier audit held executions against another policy"
        if self.replay and not self.earlier.replayed:
            return "the earlier audit did not run the models again"
        return ""


@dataclass(frozen=True, slots=True)
class Audit:
    """The report, and what to keep for the next audit; that only when all was checked and held."""

    report: HonestyReport
    state: AuditState | None


def audit_directory(
    directory: Path,
    vkey: str,
    *,
    policy: Policy | None = None,
    size: int | None = None,
    replay: bool = True,
    progress: Progress | None = None,
) -> HonestyReport:
    """Check the export in a directory; at an older checkpoint of its own when `size` is given.

    A pure function of the export up to that checkpoint, the policy and the key. Raises LedgerError,
    NoSuchCheckpoint or OSError when there is nothing that can be checked.
    """
    asked = Asked(policy=policy or DEFAULT_POLICY, size=size, replay=replay)
    return audit_source(DirectorySource(directory), vkey, asked, progress=progress).report


def audit_source(
    source: Source, vkey: str, asked: Asked, *, progress: Progress | None = None
) -> Audit:
    """Check an export, wherever it lies. Raises like `audit_directory`, and StateRefused."""
    key = VerifierKey.parse(vkey)
    if asked.earlier is not None and asked.earlier.checkpoint.origin != key.name:
        raise StateRefused(f"is of the log {asked.earlier.checkpoint.origin}, not {key.name}")
    view = source if asked.size is None else PrefixSource(source, asked.size)
    keys = _followed(view, key)
    if isinstance(asked.since, str):
        asked = replace(asked, since=open_checkpoint(asked.since, keys))
    return _Auditor(view, key, keys, asked, progress or Progress()).audit()


@dataclass(slots=True)
class _Auditor:
    source: Source
    key: VerifierKey  # the one that was given
    keys: KeyHistory  # all that it leads to
    asked: Asked
    told: Progress

    def audit(self) -> Audit:
        newest, growth, seen = self._newest(), NO_FINDINGS, NO_FINDINGS
        tiles: BoundTiles | None = None
        if newest is not None and isinstance(self.asked.since, Checkpoint):
            seen, tiles = check_seen(self.source, self.asked.since, newest.checkpoint)
            if seen.findings:
                return self._stopped(newest, seen)
        if newest is not None and self.asked.earlier is not None:
            growth, tiles = check_growth(
                self.source, self.asked.earlier.checkpoint, newest.checkpoint
            )
            if growth.findings:
                return self._stopped(newest, growth)
        before = Carried()
        if newest is None or tiles is None or self.asked.earlier is None or self.asked.reads_all:
            log = verify_export(self.source, self.key, progress=self.told.log)
        else:
            before = self.asked.earlier.carried
            opened = Opened(self.keys, newest.note, newest.checkpoint, tiles)
            earlier = self.asked.earlier.earlier
            log = verify_since(self.source, opened, earlier, progress=self.told.log)
        bundle = read_bundle(self.source, log, before)
        findings = verify_bundle(bundle, self.asked.policy)
        beside = _joined([seen, growth, *self._witnesses(newest), *self._receipts(newest, tiles)])
        report = self._report(log, bundle, findings, beside)
        return Audit(report, self._state(bundle, report))

    def _newest(self) -> _Newest | None:
        """The newest checkpoint; None where the log's own check will say what is wrong with it."""
        try:
            note = self.source.read(CHECKPOINT).decode()
            return _Newest(note, open_checkpoint(note, self.keys))
        except (OSError, UnicodeDecodeError, NoteError):
            return None

    def _witnesses(self, newest: _Newest | None) -> Sequence[Findings]:
        found: list[Findings] = []
        if self.asked.witnesses is not None and newest is not None:
            found.append(check_witnesses(newest.note, self.keys, self.asked.witnesses))
        if self.asked.second is not None and newest is not None:
            found.append(check_second(newest.note, self.asked.second))
        return found

    def _receipts(self, newest: _Newest | None, tiles: BoundTiles | None) -> Sequence[Findings]:
        if self.asked.receipts is None:
            return ()
        try:
            if newest is None:
                raise TileError(CHECKPOINT, "there is no signed tree")
            tiles = tiles or BoundTiles(newest.checkpoint, self.source.read)
        except (OSError, LedgerError) as error:
            told = f"the export cannot settle it: {error}"
            return (Findings((Check(RECEIPT, RECEIPT_CLAIM, 0, 0, 1, detail=told),), ()),)
        kept = find_receipts(self.asked.receipts)
        to_end = self.asked.size is None
        return (check_receipts(kept, self.keys, tiles, to_end=to_end, progress=self.told.receipts),)

    def _report(
        self, log: LogFindings, bundle: Bundle, findings: Findings, beside: Findings
    ) -> HonestyReport:
        replayed = None
        if self.asked.replay:
            progress = _counted(self.told.replay, bundle.row_count)
            replayed = replay_bundle(
                bundle,
                loader(self.source),
                policy=self.asked.policy,
                progress=progress,
                engine=self._engine(bundle, progress),
            )
        earlier = self.asked.earlier
        return honesty.build(
            log,
            findings,
            replayed,
            log_key=str(self.key),
            policy_digest=self.asked.policy.digest,
            published_as=bundle.published_as,
            beside=beside,
            since=earlier.checkpoint if earlier is not None and bundle.before.size else None,
        )

    def _engine(self, bundle: Bundle, progress: Callable[[int], None] | None) -> Engine | None:
        """What runs the parts, when they are not simply run here one after the other."""
        if self.asked.workers is None and self.asked.work is None:
            return None
        log, policy = bundle.log, self.asked.policy
        task = partial(run_part, policy=policy)
        run = in_order if self.asked.workers is None else self.asked.workers
        kept = None
        if self.asked.work is not None:
            told = {
                "log_key": str(self.keys.newest),
                "tree_size": str(log.tree_size),
                "root_hash": log.root.hex(),
                "from": str(bundle.before.size),
                "policy_digest": policy.digest,
                "program": program_digest(),
            }
            kept = KeptParts(self.asked.work, told)
        return partial(run_parts, task, run, kept, progress)

    def _stopped(self, newest: _Newest, growth: Findings) -> Audit:
        """The log is not the one that was audited: nothing else of it is looked at."""
        tally = Tally()
        tally.passed("checkpoint")
        log = LogFindings(
            origin=newest.checkpoint.origin,
            tree_size=newest.checkpoint.size,
            root=newest.checkpoint.root,
            checkpoint=newest.note,
            keys={},
            entry_counts={},
            checks=tally.checks(),
            findings=(),
        )
        report = honesty.build(
            log,
            NO_FINDINGS,
            None,
            log_key=str(self.key),
            policy_digest=self.asked.policy.digest,
            published_as={},
            beside=growth,
        )
        return Audit(report, None)

    def _state(self, bundle: Bundle, report: HonestyReport) -> AuditState | None:
        if report.failed or report.unchecked or self.asked.size is not None:
            return None
        return AuditState(
            log_key=str(self.keys.newest),
            note=bundle.log.checkpoint,
            checkpoint=Checkpoint(report.origin, report.tree_size, bundle.log.root),
            policy_digest=self.asked.policy.digest,
            replayed=self.asked.replay,
            checked=tuple(check.check for check in report.checks if check.asked),
            keys=tuple(bundle.log.keys.values()),
            carried=bundle.after,
        )


@dataclass(frozen=True, slots=True)
class _Newest:
    note: str
    checkpoint: Checkpoint


def _followed(source: Source, key: VerifierKey) -> KeyHistory:
    """All keys of the log; where they cannot be followed, its own check says what is wrong."""
    try:
        if LOG_KEYS in source.list():
            return follow(key, parse_lines(source.read(LOG_KEYS)))
    except (OSError, LedgerError):
        pass
    return KeyHistory.of(key)


def _joined(parts: Sequence[Findings]) -> Findings:
    return Findings(
        tuple(check for part in parts for check in part.checks),
        tuple(finding for part in parts for finding in part.findings),
    )


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model of the runtime as replay calls it."""

    predictor: Predictor

    def __call__(self, rows: Sequence[Mapping[str, str]], /) -> Sequence[Executed]:
        """Run rows of texts again."""
        return self.predictor.rerun(rows)

    def records(
        self, columns: Columns, records: bytes, *, served: int
    ) -> tuple[bytes, Mapping[int, str]]:
        """Run a batch's records again."""
        from service.batch_rows import again

        return again(self.predictor, columns, records, served=served)


def loader(source: Source) -> Load:
    """Loads a model out of the export: the manifest under its digest, then each artifact."""

    def read_blob(digest: str) -> bytes:
        data = blob_of(source, digest)
        if data is None:
            raise ModelUnavailable(f"{digest} is not in the export")
        return data

    def load(digest: str) -> Rerun:
        from models import runtime
        from models.errors import ModelError
        from models.hub.manifest import Manifest

        data = read_blob(digest)
        try:
            manifest = Manifest.parse(data)
            if manifest.digest != digest:
                raise ModelRefused(f"manifest: its bytes have digest {manifest.digest}")
            return LoadedModel(runtime.load(manifest, read_blob))
        except ModelError as error:
            raise ModelRefused(str(error)) from error

    return load


def _counted(report: Callable[[int, int], None] | None, total: int) -> Callable[[int], None] | None:
    if report is None:
        return None
    done = 0

    def settled(rows: int) -> None:
        nonlocal done
        done += rows
        report(done, total)

    return settled
