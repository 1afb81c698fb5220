"""A model card: YAML front matter and Markdown, as people write them for the Hugging Face hub.

`parse_card` takes cards as they are: no front matter, keys of somebody else, one text where a list
is usual, evaluation results under `model-index`. It refuses what cannot be read in one way only,
and says where. Nothing in a card is believed: it is what its author says, shown as such, and the
manifest (docs/formats/manifest.md) holds what the house checked.

Figures stay the text they were written as. Source: "Model Cards" and the model card metadata
specification of huggingface_hub (modelcard.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from models.errors import CardRefused
from models.hub.canonical import digest_of
from models.hub.front_matter import Value, parse_front_matter
from models.hub.markdown import Section, plain_text, sections_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Card", "Result", "Section", "parse_card"]

CARD_MAX: Final = 256 << 10  # bytes
LIST_MAX: Final = 512  # items of one list in the front matter
ITEM_MAX: Final = 512  # characters of one such item
RESULTS_MAX: Final = 512
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FRONT: Final = re.compile(
    r"\A\s*---[ \t]*\n(.*?)(?:^---[ \t]*(?:\n|\Z))", re.DOTALL | re.MULTILINE
)
_OPENED: Final = re.compile(r"\A\s*---[ \t]*\n\s*[\w\"'-]+[ \t]*:")


@dataclass(frozen=True, slots=True)
class Result:
    """One figure that the author reports. `value` is text as written, or None."""

    task: str | None
    dataset: str | None
    metric: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Card:
    """A card that was read. `front` holds every key, known or not; texts are as written."""

    text: str
    front: Mapping[str, Value]
    body: str
    title: str | None
    sections: tuple[Section, ...]
    plain: str
    licence: str | None
    task: str | None
    library: str | None
    tags: tuple[str, ...]
    languages: tuple[str, ...]
    datasets: tuple[str, ...]
    metrics: tuple[str, ...]
    base_models: tuple[str, ...]
    results: tuple[Result, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the text, newlines as they are kept."""
        return digest_of(self.text.encode())

    def section(self, title: str) -> str | None:
        """The plain text under a heading of these words, in any case; None when there is none."""
        wanted = title.casefold()
        return next((s.text for s in self.sections if s.title.casefold() == wanted), None)


def parse_card(text: str | bytes) -> Card:
    """Read a card. Raises CardRefused, naming the field and the reason."""
    text = _cleaned(text)
    front_text, body = _split(text)
    front = parse_front_matter(front_text)
    sections = sections_of(body)
    title = next((s.title for s in sections if s.level == 1 and s.title), None)
    return Card(
        text=text,
        front=front,
        body=body,
        title=title or _one(front, "model_name"),
        sections=sections,
        plain=plain_text(body),
        licence=_licence(front),
        task=_one(front, "pipeline_tag"),
        library=_one(front, "library_name"),
        tags=_several(front, "tags"),
        languages=_several(front, "language"),
        datasets=_several(front, "datasets"),
        metrics=_several(front, "metrics"),
        base_models=_several(front, "base_model"),
        results=_results(front),
    )


def _cleaned(text: str | bytes) -> str:
    """Text with one kind of newline, no byte order mark and no control characters."""
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > CARD_MAX:
        raise CardRefused("card", f"{size} bytes; at most {CARD_MAX}")
    try:
        found = text.decode() if isinstance(text, bytes) else text.encode().decode()
    except UnicodeError as error:
        raise CardRefused("card", "is not UTF-8 text") from error
    found = found.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    control = _CONTROL.search(found)
    if control:
        line = found.count("\n", 0, control.start()) + 1
        raise CardRefused("card", f"line {line}: control character U+{ord(control[0]):04X}")
    if not found.strip():
        raise CardRefused("card", "is empty")
    return found


def _split(text: str) -> tuple[str, str]:
    found = _FRONT.match(text)
    if found:
        return found[1], text[found.end() :]
    if _OPENED.match(text):
        raise CardRefused("front matter", "is opened by --- on the first line and never closed")
    return "", text


# --- fields of the front matter ----------------------------------------------------------------


def _one(front: Mapping[str, Value], key: str) -> str | None:
    """The text of a key; a list of one is that one. None when absent, null or blank."""
    found = _several(front, key)
    if len(found) > 1:
        raise CardRefused(key, f"expected one text, got {len(found)}")
    return found[0] if found else None


def _several(front: Mapping[str, Value], key: str) -> tuple[str, ...]:
    """The texts of a key that may be one text or a list of them; blanks and repeats are dropped."""
    value = front.get(key)
    items = value if isinstance(value, list) else [value]
    if len(items) > LIST_MAX:
        raise CardRefused(key, f"{len(items)} items; at most {LIST_MAX}")
    found: dict[str, None] = {}
    for index, item in enumerate(items):
        place = f"{key}.{index}" if isinstance(value, list) else key
        if isinstance(item, list | dict):
            raise CardRefused(place, "expected text")
        text = _scalar(item)
        if len(text) > ITEM_MAX:
            raise CardRefused(place, f"{len(text)} characters; at most {ITEM_MAX}")
        if text:
            found[text] = None
    return tuple(found)


def _scalar(item: Value) -> str:
    if item is None:
        return ""
    return str(item).lower() if isinstance(item, bool) else str(item).strip()


def _licence(front: Mapping[str, Value]) -> str | None:
    """The licence's id in lower case, several joined by `and`; for `other` the name it is given."""
    found = _several(front, "license") or _several(front, "licence")
    name = _one(front, "license_name")
    if name and found in {(), ("other",)}:
        return name.lower()
    return " and ".join(found).lower() or None


def _results(front: Mapping[str, Value]) -> tuple[Result, ...]:
    index = front.get("model-index")
    if index is None:
        return ()
    found: list[Result] = []
    for place, model in _objects(index, "model-index"):
        for where, result in _objects(model.get("results", []), f"{place}.results"):
            task, dataset = _named(result, "task", where), _named(result, "dataset", where)
            for at, metric in _objects(result.get("metrics", []), f"{where}.metrics"):
                kind = _one(metric, "type") or _one(metric, "name")
                if kind is None:
                    raise CardRefused(f"{at}.type", "missing")
                found.append(Result(task, dataset, kind, _figure(metric.get("value"))))
            if len(found) > RESULTS_MAX:
                raise CardRefused("model-index", f"more than {RESULTS_MAX} figures")
    return tuple(found)


def _objects(value: Value, place: str) -> list[tuple[str, dict[str, Value]]]:
    """The objects of a list, each with its place."""
    if not isinstance(value, list):
        raise CardRefused(place, "expected a list")
    found: list[tuple[str, dict[str, Value]]] = []
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise CardRefused(f"{place}.{index}", "expected `key: value` lines")
        found.append((f"{place}.{index}", item))
    return found


def _named(result: Mapping[str, Value], key: str, place: str) -> str | None:
    """The name, else the type, of a task or data set."""
    value = result.get(key)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise CardRefused(f"{place}.{key}", "expected `key: value` lines")
    return _one(value, "name") or _one(value, "type")


def _figure(value: Value) -> str | None:
    """A figure as written; what is no single figure (a table, a list) is left to its author."""
    return None if isinstance(value, list | dict) else _scalar(value) or None
