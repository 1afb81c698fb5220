"""Which kind of model file this is, by its bytes; files that run code when loaded are refused.

The suffix only helps to name what was recognised. Nothing is unpacked or loaded here: of a zip, the
directory is read, and what it claims to unpack to is bounded before anybody reads a member.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from models.errors import ArtifactRefused, ExecutableRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

XGBOOST_UBJSON: Final = "xgboost-ubjson"
XGBOOST_JSON: Final = "xgboost-json"
ONNX: Final = "onnx"
SKOPS: Final = "skops"

FILE_MAX: Final = 64 << 20  # bytes of a model file
UNPACKED_MAX: Final = 256 << 20  # bytes that a zip's members may claim together
MEMBERS_MAX: Final = 20_000  # a forest of 1,000 trees has about 6,000
RATIO_MAX: Final = 200  # unpacked over packed; arrays of a real forest stay below 20

_TO_SKOPS: Final = "skops convert {name}   # or: skops.io.dump(model, 'model.skops')"
_TO_ONNX: Final = "python -m tf2onnx.convert --keras {name} --output model.onnx"


@dataclass(frozen=True, slots=True)
class _Kind:
    """A recognised kind of file that is refused: what it is, why, and what to do instead."""

    what: str
    why: str
    instead: str


_PICKLE: Final = _Kind(
    "a Python pickle", "unpickling calls whatever functions the file names", _TO_SKOPS
)
_JOBLIB: Final = _Kind(
    "a joblib file", "joblib unpickles, which calls whatever functions the file names", _TO_SKOPS
)
_TORCH: Final = _Kind(
    "a PyTorch checkpoint",
    "it holds a pickle, and unpickling calls whatever functions the file names",
    "torch.onnx.export(model, example, 'model.onnx')   # then publish model.onnx",
)
_KERAS: Final = _Kind(
    "a Keras model", "its Lambda layers are Python code that runs when it is loaded", _TO_ONNX
)
_HDF5: Final = _Kind(
    "an HDF5 file, as Keras writes them",
    "its Lambda layers are Python code that runs when it is loaded",
    _TO_ONNX,
)
_RDATA: Final = _Kind(
    "an R workspace", "R objects hold functions that run when they are used", "export it to ONNX"
)
# First bytes of kinds that are told from those alone.
_STARTS: Final[Sequence[tuple[bytes, _Kind]]] = (
    (b"\x89HDF\r\n\x1a\n", _HDF5),
    (b"RDX", _RDATA),
    *((b"\x80" + bytes([protocol]), _PICKLE) for protocol in range(1, 6)),
)
_SUFFIXES: Final = {
    ".pkl": _PICKLE,
    ".pickle": _PICKLE,
    ".p": _PICKLE,
    ".joblib": _JOBLIB,
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".ckpt": _TORCH,
    ".h5": _HDF5,
    ".keras": _KERAS,
    ".rds": _RDATA,
}
_DATA_ONLY: Final = (
    (b"tree\nversion=", "a LightGBM text model", "onnxmltools.convert_lightgbm(model)"),
    (b"CBM1", "a CatBoost model", "model.save_model('model.onnx', format='onnx')"),
    (b"<?xml", "an XML file, perhaps PMML", "publish the model it was made from"),
    (b"<PMML", "a PMML file", "publish the model it was made from"),
    (b"GGUF", "a GGUF language model", "language models are not exact here"),
)
SUPPORTED: Final = "xgboost (UBJSON, JSON), scikit-learn (skops, ONNX) and ONNX are read"


def recognise(data: bytes, name: str) -> str:
    """One of the forms above. Raises ExecutableRefused, or ArtifactRefused for anything else."""
    if not 0 < len(data) <= FILE_MAX:
        raise ArtifactRefused("model file", f"{len(data)} bytes; 1 to {FILE_MAX}")
    for start, kind in _STARTS:
        if data.startswith(start):
            raise _executable(_SUFFIXES.get(_suffix(name), kind), name)
    if data.startswith(b"PK\x03\x04"):
        return _of_zip(data, name)
    if _suffix(name) in _SUFFIXES:  # compressed, or a pickle of protocol 0
        raise _executable(_SUFFIXES[_suffix(name)], name)
    if data.startswith(b"{"):
        return _of_braces(data)
    for start, what, instead in _DATA_ONLY:
        if data.startswith(start):
            raise ArtifactRefused("model file", f"{what} is not read here; instead: {instead}")
    if data.startswith((b"\x08", b"\x12", b"\x1a", b"\x22", b"\x3a")):  # a field of ModelProto
        return ONNX
    raise ArtifactRefused("model file", f"is none of the kinds that are known; {SUPPORTED}")


def check_zip(archive: zipfile.ZipFile) -> None:
    """Refuse a zip that unpacks to more than it may, or outside its own directory."""
    members = archive.infolist()
    if len(members) > MEMBERS_MAX:
        raise ArtifactRefused("zip", f"{len(members)} members; at most {MEMBERS_MAX}")
    total = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if total > UNPACKED_MAX or total > max(1, packed) * RATIO_MAX:
        raise ArtifactRefused("zip", f"{packed} bytes would unpack to {total}: a zip bomb")
    seen: set[str] = set()
    for member in members:
        parts = member.filename.replace("\\", "/").split("/")
        if member.filename.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
            raise ArtifactRefused("zip", f"{member.filename[:80]!r} leads out of the archive")
        if member.filename in seen:
            raise ArtifactRefused("zip", f"{member.filename[:80]!r} is there twice")
        seen.add(member.filename)


def _of_zip(data: bytes, name: str) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_zip(archive)
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ArtifactRefused("zip", f"cannot be read: {error}") from error
    if any(member.endswith("data.pkl") for member in names):
        raise _executable(_TORCH, name)
    if "config.json" in names and any(member.endswith(".h5") for member in names):
        raise _executable(_KERAS, name)
    if "schema.json" in names:
        return SKOPS
    if any(member.endswith((".pkl", ".pickle")) for member in names):
        raise _executable(_PICKLE, name)
    raise ArtifactRefused("zip", f"holds no model that is known; {SUPPORTED}")


def _of_braces(data: bytes) -> str:
    """JSON, or xgboost's UBJSON, whose first key is announced by a length marker."""
    if data[1:2] in {b"L", b"l", b"I", b"i", b"U", b"#", b"$"}:
        return XGBOOST_UBJSON
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ArtifactRefused("JSON", f"cannot be read ({type(error).__name__})") from error
    if not isinstance(document, dict) or "learner" not in document:
        raise ArtifactRefused("JSON", f"is no xgboost model; {SUPPORTED}")
    return XGBOOST_JSON


def _executable(kind: _Kind, name: str) -> ExecutableRefused:
    return ExecutableRefused(kind.what, kind.why, kind.instead.format(name=name))


def _suffix(name: str) -> str:
    return "." + name.lower().rpartition(".")[2] if "." in name else ""
