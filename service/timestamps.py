"""RFC 3161 time-stamps on seals: an outside clock says when a seal was there at the latest.

A time-stamp authority signs the digest of a seal's entry and its own time. The answer is kept as a
blob and named by a `timestamp` entry, so it travels with the export; `assay verify-timestamps`
checks it there against the authority's certificates. The entry's own `event_time` is this house's
clock; a time-stamp bounds it from the side that a house could backdate.

The one file that imports `rfc3161_client` (1.0, extra `timestamps`). Its quirks: a response is
decoded without checking anything; the verifier wants the whole message; it knows root certificates
and never a system store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx

from ledger.keys import Role
from ledger.record import Draft, parse_entry
from service.errors import Missing, ServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.x509 import Certificate

    from service.assembly import Assembly

QUERY: Final = "application/timestamp-query"  # RFC 3161, section 3.4
REPLY_MAX: Final = 64 << 10  # bytes; a reply with a chain of certificates has about 6 KiB
TIMEOUT_S: Final = 20.0  # an authority that takes longer will be asked again


@dataclass(frozen=True, slots=True)
class Stamped:
    """A time-stamp that was checked: what it is of, and the authority's time."""

    leaf: int
    stamped_leaf: int
    time: str


def stamp(
    house: Assembly, leaf: int, *, url: str, roots: Sequence[Certificate], actor_id: str
) -> int:
    """Have a seal time-stamped, check the answer, keep and record it; returns the entry's leaf.

    Raises ServiceError when the leaf is no seal, or the authority does not answer as it should;
    nothing is recorded then.
    """
    if leaf >= house.ledger.size:
        raise Missing(f"no entry {leaf}", f"the log has {house.ledger.size}")
    entry = house.ledger.entry(leaf).entry
    if parse_entry(entry).type != "seal":
        raise ServiceError(422, "not-a-seal", f"entry {leaf} is no seal; seals are time-stamped")
    query = _library().TimestampRequestBuilder().data(entry).build()
    reply = _ask(url, query.as_bytes())
    check(reply, entry, roots, query=query)
    draft = Draft(
        type="timestamp",
        actor_id=actor_id,
        data={
            "leaf": leaf,
            "token_digest": house.blobs.put(reply),
            "authority": url,
        },
        event_time=house.now(),
        parents=(leaf,),
        ref=str(leaf),
    )
    return house.ledger.append(draft, house.signers[Role.REPORTER]).index


def check(
    reply: bytes,
    entry: bytes,
    roots: Sequence[Certificate],
    *,
    query: Any = None,  # noqa: ANN401
) -> str:
    """Check an authority's reply over an entry's exact bytes; returns its time, in UTC.

    With `query` the reply must answer that very request. Raises ServiceError.
    """
    library = _library()
    try:
        answer = library.decode_timestamp_response(reply)
        builder = library.VerifierBuilder()
        if query is not None:
            builder = library.VerifierBuilder.from_request(query)
        for root in roots:
            builder = builder.add_root_certificate(root)
        builder.build().verify_message(answer, entry)
    except (library.VerificationError, ValueError) as error:
        raise ServiceError(
            502, "timestamp-refused", f"the time-stamp does not hold: {error}"
        ) from (error)
    return str(answer.tst_info.gen_time.strftime("%Y-%m-%dT%H:%M:%SZ"))


def load_roots(pem: bytes) -> list[Certificate]:
    """Certificates of the authorities that are trusted. Raises ServiceError for none."""
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415 - one use

    try:
        return load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ServiceError(422, "no-certificates", f"not PEM certificates: {error}") from error


def _ask(url: str, query: bytes) -> bytes:
    try:
        answer = httpx.post(url, content=query, headers={"Content-Type": QUERY}, timeout=TIMEOUT_S)
    except httpx.HTTPError as error:
        raise ServiceError(502, "timestamp-unavailable", f"{url}: {error}") from error
    if answer.status_code != httpx.codes.OK or len(answer.content) > REPLY_MAX:
        told = f"status {answer.status_code}, {len(answer.content)} bytes"
        raise ServiceError(502, "timestamp-unavailable", f"{url}: {told}")
    return answer.content


def _library() -> Any:  # noqa: ANN401 - the module
    try:
        import rfc3161_client  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ServiceError(
            500, "extra-missing", "time-stamps need: pip install 'assay[timestamps]'"
        ) from error
    return rfc3161_client
