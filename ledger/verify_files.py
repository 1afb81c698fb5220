"""The files of an export under check: each read once, held against the index, none left over.

Part of `verify`. The index is signed by nobody, so agreeing with it proves nothing about the log;
disagreeing with it says that the export is not the one that was written.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from ledger.layout import BLOBS, CHECKPOINT, INDEX, Index, is_blob
from ledger.refusals import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.checkpoint import Checkpoint
    from ledger.findings import Tally
    from ledger.layout import Source


class Files:
    """The export's files, and which of them a check has asked for."""

    def __init__(self, source: Source, tally: Tally) -> None:
        self._source = source
        self._tally = tally
        self.names = set(source.list())
        self._asked: set[str] = set()
        self.index: Index | None = None
        data = self.read(INDEX)
        if data is not None:
            try:
                self.index = Index.parse(data)
            except RecordError as error:
                tally.fail("file", None, "an index", error.reason, INDEX)

    def read(self, path: str) -> bytes | None:
        """A file's bytes, or None after a finding."""
        self._asked.add(path)
        if path not in self.names:
            self._tally.fail("file", None, "the file", "none", path)
            return None
        try:
            data = self._source.read(path)
        except OSError as error:
            self._tally.fail("file", None, "a readable file", error, path)
            return None
        self._compare(path, sha256(data).hexdigest())
        return data

    def stream_lines(self, path: str) -> Iterator[bytes]:
        """As `read_lines`, of a file that may not fit into memory; judged when it was read."""
        self._asked.add(path)
        if path not in self.names:
            self._tally.fail("file", None, "the file", "none", path)
            return
        hashed, line = sha256(), b"\n"
        try:
            for line in self._source.lines(path):
                hashed.update(line)
                yield line.removesuffix(b"\n")
        except OSError as error:
            self._tally.fail("file", None, "a readable file", error, path)
            return
        if not line.endswith(b"\n"):
            self._tally.fail("file", None, "a last line feed", "none", path)
        self._compare(path, hashed.hexdigest())

    def _compare(self, path: str, digest: str) -> None:
        listed = None if self.index is None else self.index.files.get(path)
        if listed is not None:
            self._tally.compare("file", None, listed, "sha256:" + digest, path)

    def read_lines(self, path: str) -> list[bytes]:
        """The lines of a file in which every line, the last too, ends in a line feed."""
        data = self.read(path)
        if not data:
            return []
        if not data.endswith(b"\n"):
            self._tally.fail("file", None, "a last line feed", "none", path)
        return data.removesuffix(b"\n").split(b"\n")

    def check_index(self, checkpoint: Checkpoint) -> None:
        """Hold the index's origin and size against the checkpoint."""
        if self.index is None:
            return
        told = f"{self.index.origin} at size {self.index.tree_size}"
        expected = f"{checkpoint.origin} at size {checkpoint.size}"
        if told != expected:
            self._tally.fail("file", None, expected, told, INDEX)

    def check_rest(self) -> None:
        """No file that no check asked for, none that the index lacks, none that only it has."""
        listed = {INDEX, CHECKPOINT} | set(self.index.files if self.index else self.names)
        for path in sorted(self.names):
            if path not in self._asked:
                self._tally.fail("file", None, "no such file", "one", path)
            elif path not in listed:
                self._tally.fail("file", None, "a file that the index lists", path, path)
        for path in sorted(listed - self.names - self._asked):
            self._tally.fail("file", None, "the file", "none", path)


def check_blobs(files: Files, tally: Tally) -> None:
    """Hash every blob and compare it with its name."""
    for path in sorted(filter(is_blob, files.names)):
        data = files.read(path)
        if data is None:
            continue
        tally.compare("blob", None, path.removeprefix(BLOBS), sha256(data).hexdigest(), path)
