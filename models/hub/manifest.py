"""A model's manifest: everything a reader must know of it, in one signed, canonical document.

The SHA-256 of these bytes is the model's digest; the artifacts it names by digest hold the numbers.
Bytes and meaning of each key: docs/formats/manifest.md. There are no floats: thresholds and outputs
are integers in units of 2^-16 (`_q16`), inputs are float32 bit patterns of 8 hex digits, and
figures for people are decimal text.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from models.errors import ManifestRefused
from models.hub.canonical import DIGEST, canonical_bytes, digest_of, parse_canonical
from models.hub.reading import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA: Final = "assay/model-manifest/v1"
SCHEMA_2: Final = "assay/model-manifest/v2"  # v1 and the three keys of `_SINCE_2`
SCHEMAS: Final = (SCHEMA, SCHEMA_2)
MANIFEST_MAX: Final = 256 << 10  # bytes; the reference manifests are under 16 KiB
FEATURES_MAX: Final = 256
OUTPUTS_MAX: Final = 8
VECTORS_MAX: Final = 64
REASONS_MAX: Final = 4  # official commentary to 12 CFR 1002.9(b)(2): more than four is not helpful
VALUE_MAX: Final = 1 << 24  # largest feature bound: float32 holds every integer up to here
Q16_MAX: Final = 1 << 40  # largest output or threshold, in units of 2^-16

KINDS: Final = ("credit", "value_at_risk", "signal")
FORMATS: Final = ("tree-ensemble-q16/v1", "linear-q16/v1")
NAME: Final = r"[a-z][a-z0-9-]{0,63}"
FIELD: Final = r"[a-z][a-z0-9_]{0,63}"
_SINCE_2: Final = ("card_digest", "source", "vendor")
DATE: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"


@dataclass(frozen=True, slots=True)
class Feature:
    """One input: its type, whole-number bounds (both included), and whether it may be missing."""

    name: str
    type: str  # "integer" or "decimal"
    minimum: int
    maximum: int
    missing: bool
    description: str


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One output: an integer in units of 2^-16 of `unit`, computed by the artifact."""

    name: str
    artifact: str
    unit: str
    description: str


@dataclass(frozen=True, slots=True)
class Decision:
    """`at_or_above` when the output is at least the threshold, `below` when it is not."""

    output: str
    threshold_q16: int
    at_or_above: str
    below: str


@dataclass(frozen=True, slots=True)
class ReasonGroup:
    """Features that one stated reason speaks for."""

    code: str
    text: str
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReasonCodes:
    """How principal reasons are computed: by putting `reference` in place of a group's features."""

    method: str
    output: str
    most: int
    reference: tuple[str, ...]  # one float32 pattern per feature, in the manifest's order
    groups: tuple[ReasonGroup, ...]


@dataclass(frozen=True, slots=True)
class Training:
    """What the model learnt from. `first` and `last` bound the data in time, where it has dates."""

    data: str
    data_digest: str
    data_licence: str
    rows: int
    first: str | None
    last: str | None
    seed: int
    recipe: Mapping[str, str]
    held_out: Mapping[str, str]
    reference_digest: str


@dataclass(frozen=True, slots=True)
class Vector:
    """Inputs with outputs that were not computed by `models.runtime`."""

    inputs: tuple[str, ...]
    outputs: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Source:
    """The file that a publisher gave, whose exact form the artifacts are."""

    form: str  # as recognised by its bytes, such as skops
    digest: str
    library: str  # that answered for it when the two were compared
    kind: str  # the class, operator or objective


@dataclass(frozen=True)
class Manifest:
    """One published model. Build it whole; `to_bytes` gives the document, `digest` its name."""

    name: str
    version: str
    kind: str
    task: str
    intended_use: str
    licence: str
    owner: str
    format: str
    features: tuple[Feature, ...]
    preprocessing: str
    outputs: tuple[OutputSpec, ...]
    decision: Decision | None
    reason_codes: ReasonCodes | None
    training: Training
    environment_digest: str
    rounding: Mapping[str, Mapping[str, str]]
    vectors: tuple[Vector, ...]
    schema: str = field(default=SCHEMA)
    card_digest: str | None = None
    source: Source | None = None
    vendor: str | None = None  # who made it, when that was not the house

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Read canonical bytes. Raises ManifestRefused, naming the field."""
        return _read(Reader(parse_canonical(data, limit=MANIFEST_MAX), ""))

    def to_bytes(self) -> bytes:
        """The canonical document; what `parse` accepts."""
        return self._bytes

    @property
    def digest(self) -> str:
        """The model's digest."""
        return digest_of(self._bytes)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the inputs, in the order of the matrix."""
        return tuple(feature.name for feature in self.features)

    @property
    def blobs(self) -> tuple[str, ...]:
        """Every blob it names, once each: what a copy of the model needs beside the manifest."""
        found = [output.artifact for output in self.outputs]
        found += [self.training.reference_digest, self.environment_digest]
        found += [self.card_digest] if self.card_digest else []
        found += [self.source.digest] if self.source else []
        return tuple(dict.fromkeys(found))

    @cached_property
    def _bytes(self) -> bytes:
        value = asdict(self)
        if self.schema == SCHEMA:
            for key in _SINCE_2:
                del value[key]
        return canonical_bytes(value, "manifest")


def _read(top: Reader) -> Manifest:
    schema = top.choice("schema", SCHEMAS)
    features = tuple(_feature(item) for item in top.readers("features", most=FEATURES_MAX))
    names = _distinct("features", [feature.name for feature in features])
    outputs = tuple(_output(item) for item in top.readers("outputs", most=OUTPUTS_MAX))
    produced = _distinct("outputs", [output.name for output in outputs])
    manifest = Manifest(
        name=top.text("name", pattern=NAME),
        version=top.text("version", pattern=r"[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}"),
        kind=top.choice("kind", KINDS),
        task=top.text("task"),
        intended_use=top.text("intended_use"),
        licence=top.text("licence"),
        owner=top.text("owner"),
        format=top.choice("format", FORMATS),
        features=features,
        preprocessing=top.text("preprocessing"),
        outputs=outputs,
        decision=_decision(top.inner_or_none("decision"), produced),
        reason_codes=_reasons(top.inner_or_none("reason_codes"), names, produced),
        training=_training(top.inner("training")),
        environment_digest=top.digest("environment_digest"),
        rounding=_rounding(top.inner("rounding"), produced),
        vectors=tuple(
            _vector(item, len(names), produced) for item in top.readers("vectors", most=VECTORS_MAX)
        ),
        schema=schema,
        **(_since_2(top) if schema == SCHEMA_2 else {}),
    )
    top.done()
    return manifest


def _since_2(top: Reader) -> dict[str, Any]:
    card = top.take("card_digest")
    source = top.inner_or_none("source")
    found = None
    if source is not None:
        found = Source(
            form=source.text("form"),
            digest=source.digest("digest"),
            library=source.text("library"),
            kind=source.text("kind"),
        )
        source.done()
    if card is not None and not (isinstance(card, str) and DIGEST.fullmatch(card)):
        raise ManifestRefused("card_digest", "expected sha256: and 64 hex digits, or null")
    return {
        "card_digest": card,
        "source": found,
        "vendor": top.text_or_none("vendor", pattern=r"[^\x00-\x1f]{1,200}"),
    }


def _feature(item: Reader) -> Feature:
    feature = Feature(
        name=item.text("name", pattern=FIELD),
        type=item.choice("type", ("integer", "decimal")),
        minimum=item.integer("minimum", -VALUE_MAX, VALUE_MAX),
        maximum=item.integer("maximum", -VALUE_MAX, VALUE_MAX),
        missing=item.flag("missing"),
        description=item.text("description"),
    )
    item.done()
    if feature.minimum > feature.maximum:
        raise ManifestRefused(item.name("minimum"), "is above the maximum")
    return feature


def _output(item: Reader) -> OutputSpec:
    output = OutputSpec(
        name=item.text("name", pattern=FIELD + "_q16"),
        artifact=item.digest("artifact"),
        unit=item.text("unit"),
        description=item.text("description"),
    )
    item.done()
    return output


def _decision(item: Reader | None, outputs: tuple[str, ...]) -> Decision | None:
    if item is None:
        return None
    decision = Decision(
        output=item.choice("output", outputs),
        threshold_q16=item.integer("threshold_q16", -Q16_MAX, Q16_MAX),
        at_or_above=item.text("at_or_above", pattern=FIELD),
        below=item.text("below", pattern=FIELD),
    )
    item.done()
    if decision.at_or_above == decision.below:
        raise ManifestRefused(item.name("below"), "both sides decide the same")
    return decision


def _reasons(
    item: Reader | None, features: tuple[str, ...], outputs: tuple[str, ...]
) -> ReasonCodes | None:
    if item is None:
        return None
    groups = tuple(_group(group, features) for group in item.readers("groups", most=FEATURES_MAX))
    _distinct("reason_codes.groups", [group.code for group in groups])
    _distinct("reason_codes.groups", [name for group in groups for name in group.features])
    reasons = ReasonCodes(
        method=item.choice("method", ("reference-replacement/v1",)),
        output=item.choice("output", outputs),
        most=item.integer("most", 1, REASONS_MAX),
        reference=item.patterns("reference", len(features)),
        groups=groups,
    )
    item.done()
    return reasons


def _group(item: Reader, features: tuple[str, ...]) -> ReasonGroup:
    named = item.items("features", most=FEATURES_MAX)
    for name in named:
        if name not in features:
            raise ManifestRefused(item.name("features"), "names something that is not a feature")
    group = ReasonGroup(
        code=item.text("code", pattern=r"[A-Z][A-Z0-9_]{0,31}"),
        text=item.text("text"),
        features=tuple(str(name) for name in named),
    )
    item.done()
    return group


def _training(item: Reader) -> Training:
    training = Training(
        data=item.text("data"),
        data_digest=item.digest("data_digest"),
        data_licence=item.text("data_licence"),
        rows=item.integer("rows", 1, 2**40),
        first=item.text_or_none("first", pattern=DATE),
        last=item.text_or_none("last", pattern=DATE),
        seed=item.integer("seed", 0, 2**31 - 1),
        recipe=item.texts("recipe"),
        held_out=item.texts("held_out"),
        reference_digest=item.digest("reference_digest"),
    )
    item.done()
    return training


def _rounding(item: Reader, outputs: tuple[str, ...]) -> dict[str, dict[str, str]]:
    found = {name: item.texts(name) for name in outputs}
    item.done()
    return found


def _vector(item: Reader, width: int, outputs: tuple[str, ...]) -> Vector:
    inputs = item.patterns("inputs", width)
    inner = item.inner("outputs")
    expected = {name: inner.integer(name, -Q16_MAX, Q16_MAX) for name in outputs}
    inner.done()
    item.done()
    return Vector(inputs=inputs, outputs=expected)


def _distinct(where: str, names: list[str]) -> tuple[str, ...]:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ManifestRefused(where, f"{name} is named twice")
    return tuple(names)
