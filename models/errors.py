"""Every error of this package. The constructor takes the facts and writes the sentence.

One root, `ModelError`. Nothing here knows HTTP or exit codes.
"""

from __future__ import annotations


class ModelError(Exception):
    """Root of every error of this package."""


# --- which model -----------------------------------------------------------------------------


class UnknownModel(ModelError):
    """No such name, alias or digest was published."""

    def __init__(self, ref: str, reason: str = "nothing was published under it") -> None:
        super().__init__(f"model {ref}: {reason}")
        self.ref = ref
        self.reason = reason


class BlobMissing(UnknownModel):
    """The store holds no bytes under a digest."""

    def __init__(self, digest: str) -> None:
        super().__init__(digest, "the store holds no such blob")


class NotApproved(ModelError):
    """A model was published, and nobody else has approved it."""

    def __init__(self, name: str, digest: str) -> None:
        super().__init__(f"model {name}: {digest} is published but not approved")
        self.name = name
        self.digest = digest


class Withdrawn(ModelError):
    """A model was taken out of use."""

    def __init__(self, name: str, digest: str, leaf: int) -> None:
        super().__init__(f"model {name}: {digest} was withdrawn by entry {leaf}")
        self.name = name
        self.digest = digest
        self.leaf = leaf


# --- its bytes -------------------------------------------------------------------------------


class DigestMismatch(ModelError):
    """Bytes do not hash to the digest they were asked for by."""

    def __init__(self, what: str, *, expected: str, got: str) -> None:
        super().__init__(f"{what}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got


class ManifestRefused(ModelError):
    """A manifest breaks its grammar."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"manifest, {field}: {reason}")
        self.field = field
        self.reason = reason


class CardRefused(ModelError):
    """A model card cannot be read."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"model card, {field}: {reason}")
        self.field = field
        self.reason = reason


class ArtifactRefused(ModelError):
    """A model's bytes are malformed, or of a kind whose arithmetic is not exact here."""

    def __init__(self, form: str, reason: str) -> None:
        super().__init__(f"{form} artifact: {reason}")
        self.form = form
        self.reason = reason


class TableRefused(ModelError):
    """A training table cannot be used. The message repeats at most one cell that is no number."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"training data, {column}: {reason}")
        self.column = column
        self.reason = reason


class NameRefused(ModelError):
    """A model's name is not one, or is too like the name of another model."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"model name {name[:80]!r}: {reason}")
        self.name = name
        self.reason = reason


class ExecutableRefused(ArtifactRefused):
    """A file that runs code when it is loaded, so it is not loaded."""

    def __init__(self, what: str, why: str, instead: str) -> None:
        super().__init__("model file", f"is {what}: {why}. Convert it first: {instead}")
        self.what = what
        self.instead = instead


class UnlikeItsSource(ArtifactRefused):
    """The exact form of a model does not answer as the file that it was made from."""

    def __init__(self, *, row: int, given: float, exact: float, tolerance: float) -> None:
        super().__init__(
            "model",
            f"row {row} of the training data: the file answers {given:.6f} and its exact form "
            f"{exact:.6f}, further apart than {tolerance}: it cannot be replayed bit for bit here",
        )
        self.row = row


class SelfTestFailed(ModelError):
    """A loaded model does not repeat a vector of its own manifest."""

    def __init__(self, vector: int, output: str, *, expected: object, got: object) -> None:
        super().__init__(f"self-test vector {vector}, {output}: expected {expected}, got {got}")
        self.vector = vector
        self.output = output
        self.expected = expected
        self.got = got


class ProvenanceRefused(ModelError):
    """A provenance envelope is malformed, unsigned, or about something else."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"provenance: {reason}")
        self.reason = reason


class SignatureMissing(ProvenanceRefused):
    """No OpenSSF model signature was recorded."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"signature missing: {reason}")


class SignatureWrong(ProvenanceRefused):
    """An OpenSSF model signature is by another key, of other files, or malformed."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"signature wrong ({part}): {reason}")
        self.part = part


class SignatureExpired(ProvenanceRefused):
    """A model was signed with a key outside the time that it counts for."""

    def __init__(self, holder: str, reason: str, at: str) -> None:
        super().__init__(f"signature expired: by {holder}'s key at {at}; {reason}")
        self.holder = holder


# --- copies of it ---------------------------------------------------------------------------


class PlaceRefused(ModelError):
    """A hub or store cannot be opened, reached or read."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


class TamperedCopy(ModelError):
    """A place sent other bytes than the ones that a digest or a signed log names."""

    def __init__(self, place: str, subject: str, got: str) -> None:
        super().__init__(f"{place} altered {subject}: got {got}; nothing of it was kept")
        self.place = place
        self.subject = subject


class NowhereToBeHad(ModelError):
    """No place could give a blob; each with its answer."""

    def __init__(self, digest: str, told: list[str]) -> None:
        super().__init__(f"{digest} could not be had: {'; '.join(told) or 'no place was named'}")
        self.digest = digest
        self.told = tuple(told)


# --- its inputs ------------------------------------------------------------------------------


class InputRefused(ModelError):
    """A feature's value cannot be used. The message never repeats the value: it may be personal.

    `row` is the row's number where values came by columns.
    """

    def __init__(self, field: str, reason: str, row: int | None = None) -> None:
        super().__init__(f"{field}: {reason}" if row is None else f"row {row}, {field}: {reason}")
        self.field = field
        self.reason = reason
        self.row = row


# --- training --------------------------------------------------------------------------------


class DataUnavailable(ModelError):
    """A training data set is missing, or is not the one that was expected."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"data set {name}: {reason}")
        self.name = name
        self.reason = reason
