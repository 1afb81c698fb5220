"""An export read over HTTP, from any static file server: fetched once, held against its index.

A web server has no directory to list, so `index.json` is the list; files it leaves out are not
looked for. Every file is fetched once into a spool on disk: an audit reads a bundle up to three
times, and no server should answer the second time with other bytes than the first. Memory holds one
file at a time.

An export may be refreshed while it is read. Whole tiles and bundles never change, so the files that
do (checkpoint, index, history, the right edge) are fetched at the start, as of one checkpoint.

Refused rather than followed: redirects to another host, content encodings, files beyond their size,
answers slower than `FILE_SECONDS_MAX`. A file that is not there (404, 410) is a finding of whoever
asked for it. A server that cannot be reached says nothing about the log: `Unreachable`, no finding.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import time
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import quote, urljoin, urlsplit

from ledger.errors import LedgerError
from ledger.layout import (
    CHECKPOINT,
    HISTORY,
    INDEX,
    LINE_MAX,
    LOG_KEYS,
    Index,
    batch_of,
    bundle_beside,
    is_blob,
)
from ledger.log_keys import LOG_KEYS_MAX
from ledger.note import NOTE_MAX, parse_checkpoint
from ledger.tiles import ENTRY_MAX, TILE_WIDTH, TilePath, parse_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_SECONDS: Final = 30  # without a byte
FILE_SECONDS_MAX: Final = 600  # a whole file; 64 MiB at 1 Mbit/s take as long
TRIES: Final = 3
PAUSE_SECONDS: Final = 0.5  # before the second try; doubled before the third
HOPS_MAX: Final = 3
CHUNK: Final = 1 << 18
MIB: Final = 1 << 20
BUNDLE_MAX: Final = TILE_WIDTH * (ENTRY_MAX + 2)
TILE_MAX: Final = TILE_WIDTH * 32
INDEX_MAX: Final = 64 * MIB  # 100 bytes a file, four files per 256 entries: 40 million entries
BESIDE_MAX: Final = 512 * MIB  # rows or openings of 256 entries; a row has about 1 KiB
HISTORY_MAX: Final = 2048 * MIB  # 300 bytes per checkpoint
BLOB_MAX: Final = 256 * MIB
MOVED: Final = (301, 302, 303, 307, 308)
GONE: Final = (404, 410)
BUSY: Final = (429, 500, 502, 503, 504)


class Unreachable(Exception):
    """The export could not be read: no connection, no permission, or an answer that is refused."""

    def __init__(self, url: str, reason: object) -> None:
        self.url, self.reason = url, str(reason)
        super().__init__(f"{url}: {reason}")


class ExportMoved(Exception):
    """The export was refreshed while it was read, and what was read does not belong together."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{path} changed while the export was read; run the audit again")


class WebSource:
    """A `ledger.layout.Source` over an address; opened as of the checkpoint that is there now."""

    def __init__(self, url: str, spool: Path) -> None:
        """Read the checkpoint, the index and what belongs to this checkpoint alone.

        `spool` is an empty directory for as long as the source is used. Raises Unreachable, or
        ExportMoved when the export is refreshed faster than it can be read.
        """
        self._fetch = Fetcher(url)
        self._spool = spool
        self._index: Index | None = None
        self._names: set[str] = set()
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def list(self) -> list[str]:
        """The files that the index lists, and those two that it cannot list."""
        return sorted(self._names)

    def read(self, path: str) -> bytes:
        """A file, the same bytes every time. Raises OSError when it is not there."""
        return self._place(path).read_bytes()

    def lines(self, path: str) -> Iterator[bytes]:
        """A file's lines, the same every time. Raises OSError when it is not there."""
        with self._place(path).open("rb") as file:
            while line := file.readline(LINE_MAX):
                yield line

    def _place(self, path: str) -> Path:
        """Where the copy of a file is; fetched first where there is none."""
        place = self._spool / sha256(path.encode()).hexdigest()
        if not place.exists():
            draft = place.with_suffix(".part")
            with draft.open("w+b") as file:
                there = self._fetch.save(path, limit_of(path), file)
                self._check(path, file)
                if not there:
                    raise FileNotFoundError(path)
            draft.replace(place)
        return place

    def _open(self) -> None:
        for attempt in range(TRIES):
            try:
                self._pin()
            except ExportMoved:
                if attempt == TRIES - 1:
                    raise
                for file in self._spool.iterdir():
                    file.unlink()
            else:
                return

    def close(self) -> None:
        """Let go of the connection; what was read stays readable."""
        self._fetch.close()

    def _pin(self) -> None:
        self._names = {INDEX, CHECKPOINT}
        self._index = None
        note = self.read(CHECKPOINT)
        try:
            index = Index.parse(self.read(INDEX))
            size = parse_checkpoint(note.decode().partition("\n\n")[0] + "\n").size
        except (OSError, LedgerError, UnicodeDecodeError):
            return  # whoever checks the export names what is wrong with it
        if index.tree_size != size and self._is_refreshed():
            raise ExportMoved(INDEX)
        self._index = index
        self._names |= index.files.keys()
        for path in filter(lambda path: _changes(path, size), index.files):
            with contextlib.suppress(FileNotFoundError):  # a finding of whoever asks for it
                self._place(path)

    def _check(self, path: str, file: BinaryIO) -> None:
        """Keep, of a file that grew since it was listed, the part that the index lists."""
        listed = None if self._index is None else self._index.files.get(path)
        if listed is None:
            return
        hashed, end = sha256(), 0
        file.seek(0)
        while line := file.readline(LINE_MAX):
            hashed.update(line)
            if path.endswith(".jsonl") and "sha256:" + hashed.hexdigest() == listed:
                end = file.tell()
        if "sha256:" + hashed.hexdigest() == listed:
            return
        if end:
            file.truncate(end)
        elif self._is_refreshed():
            raise ExportMoved(path)

    def _is_refreshed(self) -> bool:
        return self._fetch.get(CHECKPOINT, NOTE_MAX) != self.read(CHECKPOINT)


def _changes(path: str, size: int) -> bool:
    """Whether a later export replaces or removes a file: the history, and the tree's right edge."""
    bundle = bundle_beside(path)
    if bundle is not None:
        return bundle == size // TILE_WIDTH
    tile = tile_of(path)
    return path in {HISTORY, LOG_KEYS} or (tile is not None and tile.width < TILE_WIDTH)


def tile_of(path: str) -> TilePath | None:
    """The tile or bundle that a path names; None for any other."""
    try:
        return parse_path(path)
    except LedgerError:
        return None


def limit_of(path: str) -> int:
    """How long a file may be; 0 for a path that no export has, which is never asked for."""
    tile = tile_of(path)
    if tile is not None:
        return BUNDLE_MAX if tile.level is None else TILE_MAX
    if is_blob(path):
        return BLOB_MAX
    if bundle_beside(path) is not None or batch_of(path) is not None:
        return BESIDE_MAX
    return {
        CHECKPOINT: NOTE_MAX,
        INDEX: INDEX_MAX,
        HISTORY: HISTORY_MAX,
        LOG_KEYS: LOG_KEYS_MAX,
    }.get(path, 0)


class Fetcher:
    """GET below one address, over one connection that is kept open."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Unreachable(url, "is no http or https address")
        if parts.username or parts.query or parts.fragment:
            raise Unreachable(url, "an address of an export has no user, query or fragment")
        self.url = url.rstrip("/") + "/"
        self._origin = (parts.scheme, parts.hostname, parts.port)
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)

    def get(self, path: str, limit: int) -> bytes | None:
        """A file of at most `limit` bytes; None when the server has none. Raises Unreachable."""
        into = io.BytesIO()
        return into.getvalue() if self.save(path, limit, into) else None

    def save(self, path: str, limit: int, into: BinaryIO) -> bool:
        """Write a file of at most `limit` bytes; False when the server has none. As `get`."""
        if not limit:
            return False
        url = urljoin(self.url, quote(path))
        for attempt in range(TRIES):
            into.seek(0)
            into.truncate()
            try:
                status = self._follow(url, limit, into)
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                told: object = error or type(error).__name__
            else:
                if status not in BUSY:
                    return self._told(url, status)
                told = f"status {status}"
            if attempt < TRIES - 1:
                time.sleep(PAUSE_SECONDS * 2**attempt)
        raise Unreachable(url, told)

    def close(self) -> None:
        """Close the connection; the next `get` opens another."""
        self._connection.close()

    def _told(self, url: str, status: int) -> bool:
        if status in GONE:
            return False
        if status != http.client.OK:
            raise Unreachable(url, f"status {status}")
        return True

    def _follow(self, url: str, limit: int, into: BinaryIO) -> int:
        """The status, the body written, redirects within the same host followed."""
        for _ in range(HOPS_MAX + 1):
            parts = urlsplit(url)
            if (parts.scheme, parts.hostname, parts.port) != self._origin:
                raise Unreachable(self.url, f"redirects to another host, {parts.netloc}")
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            self._connection.request("GET", target, headers={"Accept-Encoding": "identity"})
            response = self._connection.getresponse()
            if response.status not in MOVED:
                self._body(url, response, limit, into)
                return response.status
            response.read(CHUNK)
            self._connection.close()
            url = urljoin(url, response.headers.get("Location", ""))
        raise Unreachable(self.url, f"more than {HOPS_MAX} redirects")

    def _body(
        self, url: str, response: http.client.HTTPResponse, limit: int, into: BinaryIO
    ) -> None:
        """Write the whole body, within its size and time; of an error, read a part."""
        if response.status != http.client.OK:
            response.read(CHUNK)
            self._connection.close()
            return
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise Unreachable(url, f"answers with content encoding {encoding}")
        deadline = time.monotonic() + FILE_SECONDS_MAX
        size = 0
        while chunk := response.read1(CHUNK):
            size += into.write(chunk)
            if size > limit:
                raise Unreachable(url, f"is longer than {limit:,} bytes")
            if time.monotonic() > deadline:
                raise Unreachable(url, f"takes longer than {FILE_SECONDS_MAX} seconds")
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        response.close()  # read to its end, it would still hold the connection
