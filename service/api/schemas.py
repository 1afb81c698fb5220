"""The HTTP edge, inwards: what a request may hold. What an answer looks like is in `answers.py`.

pydantic at the edge only; inside, frozen dataclasses. Unknown fields are refused, so a misspelt
option never passes for an absent one.
"""

from __future__ import annotations

from typing import Annotated

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


class DriftPagePath(NamePath):
    """A model's name, and the leaf of a drift measurement."""

    leaf: int = Field(ge=0, lt=1 << 43, description="leaf index of the `drift` entry")


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


class PredictionHeaders(IdempotencyHeader):
    """Optional headers of a POST that decides."""

    deadline_ms: int | None = Field(
        default=None,
        alias="Assay-Deadline-Ms",
        ge=1,
        le=600_000,
        description="milliseconds from now; what is not being recorded by then is refused (503)",
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
