"""A trading desk, its back office and the house's officers: clients of the HTTP API.

Every POST carries an idempotency key, so an answer lost on the way is asked for again and decides
nothing twice.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from service.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

RETRIES = 3
TIMEOUT_S = 120


class Client:
    """One caller with one key."""

    def __init__(self, address: str, key: str) -> None:
        self._http = httpx.Client(
            base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=TIMEOUT_S
        )

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST once, whatever the network does. Raises ServiceError for a refusal."""
        content = json.dumps(body, sort_keys=True).encode()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": hashlib.sha256(path.encode() + content).hexdigest(),
        }
        for attempt in range(RETRIES):
            try:
                answer = self._http.post(path, content=content, headers=headers)
            except httpx.TransportError:
                if attempt == RETRIES - 1:
                    raise
                continue
            if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                break
        return _json(answer)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str) -> dict[str, Any]:
        """GET JSON. Raises ServiceError for a refusal."""
        return _json(self._http.get(path))

    def download_export(self, directory: Path) -> None:
        """Fetch the export as a tar and unpack it."""
        directory.mkdir(parents=True, exist_ok=True)
        with self._http.stream("GET", "/v1/ledger/export") as answer:
            answer.raise_for_status()
            archive = directory.with_suffix(".tar")
            with archive.open("wb") as file:
                for piece in answer.iter_bytes():
                    file.write(piece)
        with tarfile.open(archive) as tar:
            tar.extractall(directory, filter="data")
        archive.unlink()

    def predict(
        self, model: str, rows: Sequence[Mapping[str, Any]], as_of: str | None
    ) -> dict[str, Any]:
        """Ask for one decision or many."""
        body: dict[str, Any] = {"model": model, "as_of": as_of}
        body |= {"features": rows[0]} if len(rows) == 1 else {"rows": list(rows)}
        return self.post("/v1/predictions", body)

    def report_outcomes(self, outcomes: Sequence[Mapping[str, Any]]) -> None:
        """Say what happened."""
        self.post("/v1/outcomes", {"outcomes": list(outcomes)})


def _json(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    if answer.status_code != HTTPStatus.OK:
        raise ServiceError(
            answer.status_code, "refused", f"{answer.request.url.path}: {body.get('detail', body)}"
        )
    return body
