"""Models at work: one answer for one input, on every machine, whatever the batch.

1. `encoding`   a request's values, or recorded texts, as float32; refused by name when unfit.
2. `ubjson`     a bounded reader of xgboost's files. `trees`, `linear`: the two formats, exact.
3. `engines`    each model in two engines, and which is faster for so many rows: `onnx_session` is
                ONNX Runtime, fed by `onnx_trees` and `onnx_file`; `bit_trees` is numpy alone.
4. `reasons`    principal reasons, computed from the executed model in the same integers.
5. `predictor`  a loaded model. `load` checks digests and the manifest's own test vectors first.

Needs numpy, and ONNX Runtime once trees are loaded: no training library, no pickle, no network.
"""

from models.runtime.predictor import Executed, Output, Predictor, Reason, ReasonText, load

__all__ = ["Executed", "Output", "Predictor", "Reason", "ReasonText", "load"]
