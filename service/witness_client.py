"""One question to one witness over HTTP (C2SP tlog-witness, `add-checkpoint`), and its answer.

Redirects are not followed, answers are bounded in size and time, and what a refusal says is the
witness's own text. Nothing here knows the log.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import httpx

ANSWER_TIMEOUT_S: Final = 5  # a witness answers after one fsync; longer and it is down
ANSWER_MAX: Final = 1 << 16  # bytes; a cosignature line has about 150
SIZE_TYPE: Final = "text/x.tlog.size"
SIZE_DIGITS: Final = 19  # of 2^63 - 1


class WitnessFailed(Exception):
    """One witness gave no cosignature, and why."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The witness cosigned this size last; growth is to be proved from there."""

    held: int


def open_client() -> httpx.Client:
    """A client for one round of questions; may be shared by threads."""
    return httpx.Client(timeout=ANSWER_TIMEOUT_S, follow_redirects=False)


def ask(client: httpx.Client, prefix: str, body: bytes) -> str | Stale:
    """The signature lines of an answer, or where the witness stands. Raises WitnessFailed."""
    try:
        status, kind, answer = _post(client, f"{prefix.rstrip('/')}/add-checkpoint", body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise WitnessFailed(str(error) or type(error).__name__) from error
    if status == httpx.codes.OK:
        return answer
    if status == httpx.codes.CONFLICT and kind == SIZE_TYPE:
        number = answer.removesuffix("\n")
        if number.isascii() and number.isdecimal() and len(number) <= SIZE_DIGITS:
            return Stale(int(number))
        raise WitnessFailed("answered 409 without its size")
    raise WitnessFailed(_told(status, answer))


def _post(client: httpx.Client, url: str, body: bytes) -> tuple[int, str, str]:
    """Status, content type and text of an answer."""
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    with client.stream("POST", url, content=body) as response:
        data = b""
        for chunk in response.iter_bytes():
            data += chunk
            if len(data) > ANSWER_MAX:
                raise WitnessFailed(f"answered with more than {ANSWER_MAX} bytes")
            if time.monotonic() > deadline:
                raise WitnessFailed(f"took longer than {ANSWER_TIMEOUT_S} seconds to answer")
        kind = response.headers.get("Content-Type", "")
        return response.status_code, kind, data.decode("utf-8", "replace")


def _told(status: int, answer: str) -> str:
    """A refusal in words."""
    meaning = {
        403: "does not accept our log's key",
        404: "does not know this log; its operator adds it with: assay witness add-log",
        409: "saw another root for this size: the log forked, or two logs sign under this key",
        422: "was not convinced that the log only grew since it last looked",
    }.get(status, "gave no cosignature")
    shown = "".join(c if c.isprintable() else " " for c in answer[:200]).strip()
    return f"{meaning} (status {status}: {shown})"
