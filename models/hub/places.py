"""Where blobs lie: any file system that fsspec knows, or a house's own HTTP routes.

    DIRECTORY  file://…  s3://bucket/prefix  gs://…  memory://x (tests)  https://house/v1/hub

A place answers for one file at a time, whole or from a byte on, and nothing it says is believed:
whoever reads checks the digest. fsspec is wrapped here only (of this package). Its quirks, kept in
here: listings are cached per process unless told otherwise; file systems that are no object stores
may show a file half written, hence a draft beside its place and a move; what is missing is told as
FileNotFoundError, and what cannot be reached in as many ways as there are file systems.
"""

from __future__ import annotations

import contextlib
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

from models.errors import PlaceRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

PIECE_BYTES: Final = 1 << 16  # read at a time: what a pull that is cut off may fetch again
TIMEOUT_S: Final = 30.0  # of an HTTP place, between two pieces
# Here an upload shows whole or not at all, and a move would be a copy and a deletion.
WHOLE_UPLOADS: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"})


class Place(Protocol):
    """Files by relative path, with forward slashes."""

    def __str__(self) -> str:
        """How errors call it."""

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        """A file's pieces from a byte on. Raises FileNotFoundError or PlaceRefused."""

    def size(self, path: str) -> int | None:
        """How long a file is; None when it is not there."""

    def write(self, path: str, data: bytes) -> None:
        """Keep a file, whole or not at all. Raises PlaceRefused."""

    def close(self) -> None:
        """Close what is open."""


class FilePlace:
    """A directory of an fsspec file system."""

    def __init__(self, name: str, filesystem: Any, root: str) -> None:  # noqa: ANN401 - untyped package
        self._name = name
        self._fs = filesystem
        self._root = root.rstrip("/")
        protocol = filesystem.protocol
        names = {protocol} if isinstance(protocol, str) else set(protocol)
        self._whole = bool(names & WHOLE_UPLOADS)

    def __str__(self) -> str:
        return self._name

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        """Open, seek, and give piece after piece."""
        try:
            with self._fs.open(self._at(path), "rb", cache_type="none") as file:
                file.seek(start)
                while piece := file.read(PIECE_BYTES):
                    yield piece
        except FileNotFoundError:
            raise
        except OSError as error:
            raise PlaceRefused(self._name, f"{path} cannot be read: {error}") from error

    def size(self, path: str) -> int | None:
        """Ask the file system, past its cache."""
        self._fs.invalidate_cache()
        try:
            return int(self._fs.size(self._at(path)))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PlaceRefused(self._name, f"{path} cannot be looked at: {error}") from error

    def write(self, path: str, data: bytes) -> None:
        """Upload whole; elsewhere write beside the place and move."""
        place = self._at(path)
        try:
            if self._whole:
                self._fs.pipe_file(place, data)
                return
            self._fs.makedirs(place.rpartition("/")[0], exist_ok=True)
            draft = f"{place}.{secrets.token_hex(4)}.part"
            try:
                self._fs.pipe_file(draft, data)
                self._fs.mv(draft, place)
            except BaseException:
                with contextlib.suppress(OSError):
                    self._fs.rm_file(draft)
                raise
        except OSError as error:
            raise PlaceRefused(self._name, f"{path} cannot be written: {error}") from error

    def close(self) -> None:
        """Nothing is open between two calls."""

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"


class HttpPlace:
    """A house's `/v1/hub`, or a mirror behind any web server. Reading only."""

    def __init__(self, address: str, key: str | None) -> None:
        import httpx  # noqa: PLC0415 - a local hub needs no network

        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._address = address.rstrip("/")
        self._http = httpx.Client(headers=headers, timeout=TIMEOUT_S, follow_redirects=False)

    def __str__(self) -> str:
        return self._address

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        """GET, with a range when it goes on from somewhere."""
        import httpx  # noqa: PLC0415

        headers = {"Range": f"bytes={start}-"} if start else {}
        try:
            with self._http.stream("GET", f"{self._address}/{path}", headers=headers) as answer:
                if start and answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return
                self._check(answer, path)
                pieces = answer.iter_bytes(PIECE_BYTES)
                if start and answer.status_code == HTTPStatus.OK:  # the range was not looked at
                    pieces = _after(pieces, start)
                yield from pieces
        except httpx.HTTPError as error:
            raise PlaceRefused(self._address, f"{path}: {type(error).__name__} {error}") from error

    def size(self, path: str) -> int | None:
        """HEAD."""
        import httpx  # noqa: PLC0415

        try:
            answer = self._http.head(f"{self._address}/{path}")
            if answer.status_code == HTTPStatus.NOT_FOUND:
                return None
            self._check(answer, path)
        except httpx.HTTPError as error:
            raise PlaceRefused(self._address, f"{path}: {type(error).__name__} {error}") from error
        length = answer.headers.get("Content-Length")
        return None if length is None else int(length)

    def write(self, path: str, data: bytes) -> None:  # noqa: ARG002 - never
        """Refused: a hub over HTTP is read only."""
        raise PlaceRefused(self._address, f"{path} cannot be written over HTTP")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _check(self, answer: httpx.Response, path: str) -> None:
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise FileNotFoundError(path)
        if answer.status_code not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            hint = {401: "; give a key with --api-key", 403: "; this key may not"}
            code = answer.status_code
            raise PlaceRefused(self._address, f"{path}: answered {code}{hint.get(code, '')}")


def open_place(name: str, *, key: str | None = None) -> FilePlace | HttpPlace:
    """The place a directory or URL names. Raises PlaceRefused."""
    if name.startswith(("http://", "https://")):
        return HttpPlace(name, key)
    from fsspec.core import url_to_fs  # type: ignore[import-untyped] # noqa: PLC0415 - seldom needed

    try:
        filesystem, root = url_to_fs(name, use_listings_cache=False)
    except ImportError as error:
        raise PlaceRefused(name, f"{error} (install the package for it)") from error
    except ValueError as error:
        raise PlaceRefused(name, str(error)) from error
    return FilePlace(name, filesystem, root)


def read_whole(place: Place, path: str, limit: int) -> bytes:
    """A small file. Raises FileNotFoundError, or PlaceRefused past the limit."""
    data = bytearray()
    for piece in place.read(path):
        data += piece
        if len(data) > limit:
            raise PlaceRefused(str(place), f"{path} is longer than {limit} bytes")
    return bytes(data)


def _after(pieces: Iterator[bytes], start: int) -> Iterator[bytes]:
    """What comes after the first `start` bytes."""
    left = start
    for piece in pieces:
        if len(piece) > left:
            yield piece[left:]
            left = 0
        else:
            left -= len(piece)
