"""ONNX Runtime, wrapped: the only file that imports it. The engine for few rows.

What to know about it (1.32):

- it takes as many threads as there are cores, and they spin; one row is then slower by far. Here
  one thread, no spinning, no arena that keeps memory;
- a call costs 5 us whatever it does, and a row of 150 trees 3 to 5 us more;
- it must be made after a fork, since threads and handles do not survive one;
- it releases the interpreter while it runs, and may be called by several threads at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from models.errors import ArtifactRefused
from models.runtime.onnx_trees import INPUT, OUTPUT

if TYPE_CHECKING:
    from numpy.typing import NDArray

_QUIET: Final = 3  # errors only; it warns about the machine it finds


class Session:
    """One ONNX file ready to run: float32 rows in, integers in units of 2^-16 out."""

    def __init__(self, data: bytes) -> None:
        import onnxruntime  # noqa: PLC0415 - 0.2 s, and nothing else in this package needs it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False
        options.log_severity_level = _QUIET
        try:
            self._session = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # it raises types of its own that share no base
            raise ArtifactRefused("ONNX Runtime", str(error)[:200]) from error
        self._names = [OUTPUT]

    def run(self, matrix: NDArray[np.float32]) -> NDArray[np.int64]:
        """The output of each row. Its float32 sums are exact, so nothing is rounded here."""
        found: NDArray[np.float32] = self._session.run(self._names, {INPUT: matrix})[0]
        return found.reshape(len(matrix)).astype(np.int64)
