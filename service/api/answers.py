"""The HTTP edge, outwards: what an answer looks like, units in the names.

These describe: answers are built where they are known, and a test holds them against this.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(examples=["urn:assay:problem:field-refused"])
    title: str
    status: int
    detail: str
    instance: str | None = None
    errors: list[dict[str, str]] | None = Field(
        default=None, description="field and message, for each field refused"
    )


class Receipt(BaseModel):
    """Checkable offline: the entry's bytes, its inclusion proof, the signed checkpoint."""

    format: str = Field(examples=["assay/receipt/v1"])
    state: str = Field(description="published; witnessed comes later", examples=["published"])
    leaf_index: int
    entry: str = Field(description="the entry's exact bytes as text")
    inclusion: dict[str, Any] = Field(description="tree_size and path, hex, lowest first")
    checkpoint: str = Field(description="C2SP signed note")


class ReceiptFile(Receipt):
    """A receipt, and for a request of many rows each row's bytes and path to its entry."""

    row_proofs: list[dict[str, Any]] | None = None


class Reason(BaseModel):
    """A principal reason, computed from the executed model."""

    code: str
    text: str
    contribution_q16: int = Field(description="units of 2^-16 of the margin")


class PredictionRow(BaseModel):
    """One row's answer."""

    prediction_id: str
    row_index: int
    decision: str
    outputs: dict[str, int] = Field(description="integers as recorded; _q16 are units of 2^-16")
    derived: dict[str, str] = Field(description="for display only; not recorded, not signed")
    reasons: list[Reason]
    inputs: dict[str, str | None] | None = Field(
        description="only for the auditor's scope; null otherwise or when erased"
    )
    outcome: dict[str, Any] | None


class PredictionAnswer(BaseModel):
    """A recorded prediction with its receipt."""

    prediction_id: str
    leaf_index: int
    event_time: str
    as_of: str | None
    model: dict[str, str]
    verification_mode: str
    rows: list[PredictionRow]
    receipt: Receipt
    row_proofs: list[dict[str, Any]] | None = Field(
        description="many rows: each row's bytes and its path to rows_root"
    )


class BatchAnswered(BaseModel):
    """A recorded batch: its rows by column, and one receipt for all of them."""

    prediction_id: str
    leaf_index: int
    event_time: str
    as_of: str | None
    model: dict[str, str]
    verification_mode: str
    row_count: int
    rows_root: str = Field(description="RFC 9162 root over the rows' leaves, hex")
    receipt: Receipt
    rows: dict[str, list[Any]] = Field(
        description="decision, each output, and salt in hex: a list each, in the order of rows"
    )


class OutcomesAnswer(BaseModel):
    """The recorded outcomes."""

    outcomes: list[dict[str, Any]] = Field(description="prediction_id, leaf_index, receipt")


class ModelsAnswer(BaseModel):
    """The catalog."""

    models: list[dict[str, Any]]


class ModelAnswer(BaseModel):
    """One model with its whole life; with `as_of` instead what was in production, and its proof."""

    name: str
    kind: str | None = None
    aliases: dict[str, str] | None = Field(default=None, description="digest by alias")
    versions: list[dict[str, Any]] | None = Field(
        default=None, description="each with status, leaves and its whole manifest"
    )
    history: list[dict[str, Any]] | None = Field(default=None, description="every lifecycle entry")
    as_of: str | None = Field(default=None, description="only when asked for; so are those below")
    model_digest: str | None = None
    leaf_index: int | None = Field(default=None, description="the promotion that put it there")
    receipt: Receipt | None = None


class HubAnswer(BaseModel):
    """A hub's index: entries about models and keys, each with its inclusion path."""

    format: str = Field(examples=["assay/hub/v1"])
    origin: str
    vkey: str
    checkpoint: str = Field(description="C2SP signed note that every entry is under")
    entries: list[dict[str, Any]] = Field(description="leaf_index, entry (text), path (hex)")


class RegisterAnswer(BaseModel):
    """The register of models."""

    as_of: str
    overdue: int = Field(description="how many models somebody should look at")
    models: list[dict[str, Any]] = Field(
        description="owner, purpose, materiality, validator, next_review, vendor, overdue, ..."
    )


class RelianceAnswer(BaseModel):
    """Who relied on a model."""

    name: str
    model_digest: str
    status: str
    withdrawn: dict[str, Any] | None = Field(description="who, when, why, in which entry")
    predictions: int = Field(description="prediction entries that name the digest")
    first_leaf: int | None
    last_leaf: int | None
    after_withdrawal: int | None = Field(description="0 unless somebody recorded past the service")
    callers: list[dict[str, Any]] = Field(description="of the newest predictions, by count")
    callers_of_newest: int
    page: list[dict[str, Any]]
    next: int | None = Field(description="the leaf the next page starts from; null on the last")


class HubSearchAnswer(BaseModel):
    """Models found, in order, each with the reasons for its place."""

    query: dict[str, Any] = Field(description="text; what was corrected, understood, excluded")
    total: int
    offset: int
    limit: int
    sort: str
    facets: dict[str, list[dict[str, Any]]] = Field(description="value and count, by facet")
    hits: list[dict[str, Any]] = Field(
        description="rank, name, title, summary, model_digest, status, facets, reasons; use: "
        "counts and one figure with its interval, from the newest correctness report"
    )
    does_not_say: str


class DriftAnswer(BaseModel):
    """Recorded drift measurements, newest first."""

    results: list[dict[str, Any]] = Field(
        description="leaf_index, event_time, range of leaves, digests, share_drifted, columns"
    )


class ActAnswer(BaseModel):
    """An act of the house and its receipt."""

    leaf_index: int
    receipt: Receipt


class StateAnswer(BaseModel):
    """How the process is."""

    status: str
    tree_size: int | None = Field(default=None, description="entries in the log")
    models_unavailable: list[str] | None = Field(
        default=None, description="digests of models whose files cannot be loaded, if there are any"
    )


class ReportAnswer(BaseModel):
    """The newest report of one kind, with the leaf it is recorded at."""

    leaf_index: int
    issued_at: str
    report: dict[str, Any]


class LedgerAnswer(BaseModel):
    """The log at a glance."""

    origin: str
    vkey: str
    tree_size: int
    root_hash: str
    checkpoint: str
    last_commit_at: str | None
    counts: dict[str, int]
    seals: list[dict[str, Any]]


class InclusionAnswer(BaseModel):
    """An inclusion proof (RFC 9162): 32-byte hashes in hex, lowest first."""

    leaf_index: int
    tree_size: int
    path: list[str]


class ConsistencyAnswer(BaseModel):
    """A consistency proof (RFC 9162): 32-byte hashes in hex, lowest first."""

    first: int
    second: int
    path: list[str]


class EntriesAnswer(BaseModel):
    """A page of entries."""

    tree_size: int
    entries: list[dict[str, Any]]


class EntryAnswer(BaseModel):
    """One entry and its receipt."""

    leaf_index: int
    leaf_hash: str
    entry: dict[str, Any]
    entry_text: str
    receipt: Receipt
