"""The HTTP edge: what a request may hold and what an answer looks like, units in the names.

pydantic at the edge only; inside, frozen dataclasses. Unknown fields are refused, so a misspelt
option never passes for an absent one.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from service.clock import DATE, parse_utc, utc_ms

REFERENCE_MAX = 200  # characters of a caller's own reference
ROWS_MAX = 10_000  # rows of one request, whatever the settings say
OUTCOMES_MAX = 1_000  # outcomes of one request: they are one commit
FEATURES_MAX = 256  # names in one row; no model has more (models.hub.manifest)


def _time(text: str) -> str:
    moment = parse_utc(text)
    return text if DATE.fullmatch(text) else utc_ms(moment)


Time = Annotated[
    str,
    AfterValidator(_time),
    Field(description="RFC 3339 with a zone, or a plain date such as 2008-09-15"),
]
# One spelling each: 017.0 would be another text for the same row, and outcomes are kept by text.
_LEAF = "(0|[1-9][0-9]{0,14})"
_ROW = "(0|[1-9][0-9]{0,4})"
RowId = Annotated[
    str,
    Field(pattern=rf"^{_LEAF}\.{_ROW}$", examples=["17.0"], description="leaf.row"),
]
Features = Annotated[dict[str, float | None], Field(max_length=FEATURES_MAX)]


def _example(**body: object) -> ConfigDict:
    """A request body that the API page shows; other settings are inherited from `Strict`."""
    return ConfigDict(openapi_extra={"example": body})  # type: ignore[typeddict-unknown-key]


class Strict(BaseModel):
    """Base of every request body: JSON's types as they are, nothing read into them.

    Without `strict` the text "5" and the value true would pass for numbers.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class PredictionRequest(Strict):
    """One row (`features`) or many (`rows`) for one model."""

    model_config = _example(
        model="value-at-risk-baseline",
        features={"hs_990_250d_pct": 3.1, "hs_975_250d_pct": 2.6},
        as_of="2008-09-12",
    )

    model: str = Field(
        max_length=200,
        description="name, name@alias (champion when no alias is given) or sha256 digest",
        examples=["credit-default", "value-at-risk@champion"],
    )
    features: Features | None = Field(default=None, description="one row, by feature name")
    rows: list[Features] | None = Field(
        default=None, min_length=1, max_length=ROWS_MAX, description="many rows"
    )
    as_of: Time | None = Field(default=None, description="the instant the features describe")
    caller_reference: str | None = Field(
        default=None,
        max_length=REFERENCE_MAX,
        description="your own reference; the log holds a salted commitment to it",
    )
    subject: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.:-]{1,64}$",
        description="pseudonym of the person the rows are about; erasure works by it",
    )

    @model_validator(mode="after")
    def _one_form(self) -> PredictionRequest:
        if (self.features is None) == (self.rows is None):
            message = "give either features (one row) or rows (many)"
            raise ValueError(message)
        return self

    def all_rows(self) -> list[Features]:
        """The rows in order, however they were given."""
        return self.rows if self.rows is not None else [self.features or {}]


class Outcome(Strict):
    """What happened after one prediction."""

    prediction_id: RowId
    value: str = Field(
        pattern=r"^-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,12})?$",
        description="decimal text: 1 or 0 for a default, percent for a return",
        examples=["1", "-2.35"],
    )
    observed_at: Time
    revises: int | None = Field(
        default=None, ge=0, description="leaf of the outcome this one replaces; nothing is erased"
    )
    reason: str | None = Field(
        default=None, min_length=3, max_length=500, description="owed by a revision, in clear"
    )


class OutcomesRequest(Strict):
    """Outcomes, all recorded or none."""

    model_config = _example(
        outcomes=[{"prediction_id": "17.0", "value": "-4.71", "observed_at": "2008-09-15"}]
    )

    outcomes: list[Outcome] = Field(min_length=1, max_length=OUTCOMES_MAX)


class PredictionPath(BaseModel):
    """A prediction request (leaf) or one row of it (leaf.row)."""

    prediction_id: str = Field(
        pattern=rf"^{_LEAF}(\.{_ROW})?$", description="a leaf such as 17, or 17.0"
    )


class NamePath(BaseModel):
    """A model's name."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$", description="such as credit-default")


class LeafPath(BaseModel):
    """A place in the log."""

    leaf_index: int = Field(ge=0)


class TileRest(BaseModel):
    """The path of a tile below `tile/`."""

    rest: str = Field(max_length=100, description="such as 0/000.p/17 or entries/x001/067")


class AsOfQuery(BaseModel):
    """What was in production at a time."""

    model_config = ConfigDict(extra="forbid")
    as_of: Time | None = None


class IdempotencyHeader(BaseModel):
    """Optional headers of a POST."""

    idempotency_key: str | None = Field(
        default=None,
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="the same key and body give the same receipt; another body is refused (409)",
    )


class InclusionQuery(BaseModel):
    """Which leaf, under which tree."""

    model_config = ConfigDict(extra="forbid")
    leaf_index: int = Field(ge=0)
    tree_size: int | None = Field(default=None, ge=1, description="the newest when absent")


class ConsistencyQuery(BaseModel):
    """Two tree sizes, the older first."""

    model_config = ConfigDict(extra="forbid")
    first: int = Field(ge=1)
    second: int | None = Field(default=None, ge=1, description="the newest when absent")


class EntriesQuery(BaseModel):
    """A page of the log."""

    model_config = ConfigDict(extra="forbid")
    first: int | None = Field(default=None, ge=0, description="lowest leaf of the page")
    limit: int = Field(default=50, ge=1, le=500)
    newest: bool = Field(default=False, description="newest first, ending below `first`")


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
