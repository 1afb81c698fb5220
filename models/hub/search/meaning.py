"""Word meanings as vectors: "turbulence" lies near "volatility". Optional (`assay[semantic]`).

The vectors come with the package `wordllama` (MIT): 256 numbers for each of 32,000 pieces of words,
averaged over a text and scaled to length 1. English only, on the CPU, no network. Without the
package `load_meaning` returns None and search works on words and concepts alone.

Quirks of wordllama 0.4, the reason why only its data are used: importing it configures the root
logger, and it looks for its own tokenizer in a folder that its wheel does not have, then asks a
server. `safetensors` and `tokenizers` read the two files.
"""

from __future__ import annotations

from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WEIGHTS: Final = "weights/l2_supercat_256.safetensors"
PIECES: Final = "tokenizers/l2_supercat_tokenizer_config.json"
DIMENSIONS: Final = 256
_WORD_START: Final = "\u2581"  # marks a piece that begins a word
_SHORTEST: Final = 4
_LONGEST: Final = 2000  # characters of one text; a lead is far shorter


class Meaning:
    """Texts as vectors of length 1; the product of two is their likeness, -1 to 1."""

    def __init__(self, vectors: NDArray[np.float32], pieces: Any) -> None:  # noqa: ANN401 - a tokenizer, which has no types
        self._vectors = vectors
        self._pieces = pieces

    @cached_property
    def whole_words(self) -> frozenset[str]:
        """Common English words: the pieces that are words by themselves."""
        return frozenset(
            piece[1:].lower()
            for piece in self._pieces.get_vocab()
            if piece[0] == _WORD_START and len(piece) > _SHORTEST and piece[1:].isalpha()
        )

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row per text; a text without words is all zeros."""
        found = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in enumerate(texts):
            ids = self._pieces.encode(text[:_LONGEST], add_special_tokens=False).ids
            if ids:
                mean = self._vectors[ids].mean(axis=0)
                found[row] = mean / (float(np.linalg.norm(mean)) or 1.0)
        return found


@cache
def load_meaning() -> Meaning | None:
    """The vectors, or None where the package is not installed."""
    spec = find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        return None
    from safetensors.numpy import load_file  # noqa: PLC0415  # comes with wordllama
    from tokenizers import Tokenizer  # noqa: PLC0415  # comes with wordllama

    folder = Path(spec.submodule_search_locations[0])
    weights = load_file(folder / WEIGHTS)["embedding.weight"]
    pieces = Tokenizer.from_file(str(folder / PIECES))
    pieces.no_truncation()
    return Meaning(np.ascontiguousarray(weights, dtype=np.float32), pieces)
