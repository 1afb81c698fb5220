"""Search over the models of a house: their cards, and beside each what the log shows of its use.

The index (`models.hub.search`) is derived from the catalog: a file `search.db` in the data
directory, or tables in PostgreSQL, made again when lost. What is narrowed and sorted by beyond a
card comes from three places that stay apart: the register (tier, status, validation), the newest
honesty report and the newest correctness report. A caller who may not read the reports gets neither
of their facets.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from ledger.dialect import is_sqlite
from models.hub.card import parse_card
from models.hub.search import SearchIndex, Wanted
from models.hub.search.thesaurus import load
from service.describing import card_of
from service.hub_search_card import card_text
from service.hub_search_honesty import honesty_facet, honesty_verdicts
from service.hub_search_use import Use, correctness_facet, proved_use
from service.register import register

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from models.hub.card import Card
    from models.hub.catalog import Catalog
    from models.hub.search import Found, Hit
    from models.hub.search.fulltext import FullText
    from models.hub.search.query import Wish
    from service.assembly import Assembly
    from service.register import Line

SORTS: Final = ("relevance", "inferences", "labels", "metric", "validated", "name")
MODE: Final = "signed"  # how predictions are attested (service.predict)
SILENT: Final = (
    "A place in this list does not say that a model is right: hits are ordered by what their "
    "authors wrote. Use and figures are those of the newest correctness report; the state of "
    "honesty is the newest honesty report's."
)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a caller wants of the list."""

    text: str = ""
    filters: Mapping[str, frozenset[str]] | None = None
    sort: str = "relevance"
    offset: int = 0
    limit: int = 20
    reports: bool = False  # whether the caller may read the reports


class HubSearch:
    """The searchable models of one house."""

    def __init__(self, house: Assembly) -> None:
        self._house = house
        self._refreshing = threading.Lock()
        self._index = SearchIndex(_full_text(house))
        self._seen: Catalog | None = None
        self._register: tuple[tuple[Catalog | None, str], dict[str, Line]] | None = None

    def search(self, ask: Ask) -> dict[str, Any]:
        """Answer in plain JSON."""
        self._refresh()
        house = self._house
        lines = self._lines()
        use = proved_use(house) if ask.reports else {}
        verdicts = honesty_verdicts(house) if ask.reports else {}
        outside = {name: _facets(line) for name, line in lines.items()}
        if ask.reports:
            for facet, values in (
                ("honesty", honesty_facet(verdicts, lines.values())),
                ("correctness", correctness_facet(use, lines.values())),
            ):
                for name, value in values.items():
                    outside[name][facet] = (value,)
        wanted = Wanted(
            filters=ask.filters or {},
            outside=outside,
            order=_order(ask.sort, lines, use),
            offset=ask.offset,
            limit=ask.limit,
        )
        found = self._index.search(ask.text, wanted)
        today = house.now()[:10]
        return {
            "query": _query(found),
            "total": found.total,
            "offset": ask.offset,
            "limit": ask.limit,
            "sort": ask.sort,
            "facets": {
                key: [{"value": value, "count": count} for value, count in values.items()]
                for key, values in found.facets.items()
            },
            "hits": [
                _hit(hit, ask.offset + place, lines[hit.name], use.get(hit.name), today)
                | {"honesty_verdict": verdicts.get(lines[hit.name].model_digest)}
                for place, hit in enumerate(found.hits, start=1)
                if hit.name in lines
            ],
            "does_not_say": SILENT,
        }

    def _lines(self) -> dict[str, Line]:
        """The register by name, folded once for a catalog and a day."""
        key = (self._seen, self._house.now()[:10])
        if self._register is None or self._register[0] != key:
            found = {line.name: line for line in register(self._house)}
            self._register = (key, found)
        return self._register[1]

    def _refresh(self) -> None:
        """Bring the index up to the catalog. What is returned by the inventory never changes."""
        catalog = self._house.inventory.catalog(fresh=True)
        if catalog is self._seen:
            return
        with self._refreshing:
            digests = {
                model.name: model.aliases.get("champion", model.latest_digest)
                for model in catalog.models()
            }
            readers = {name: self._reader(digest) for name, digest in digests.items()}
            self._index.sync(readers, digests)
            self._seen = catalog

    def _reader(self, digest: str) -> Callable[[], Card]:
        def read() -> Card:
            found = card_of(self._house, digest)
            return found or parse_card(card_text(self._house.inventory.manifest(digest)))

        return read


def _full_text(house: Assembly) -> FullText:
    """The engine that goes with the house's database."""
    if is_sqlite(house.engine):
        from models.hub.search.fulltext_sqlite import SqliteText  # noqa: PLC0415

        return SqliteText(house.settings.data_dir / "search.db")
    from models.hub.search.fulltext_postgres import PostgresText  # noqa: PLC0415

    @contextmanager
    def connect() -> Iterator[Any]:
        with house.engine.begin() as connection:
            yield connection.connection.driver_connection

    return PostgresText(connect)


def _facets(line: Line) -> dict[str, tuple[str, ...]]:
    return {
        "tier": (f"tier {line.materiality}" if line.materiality else "no tier yet",),
        "status": (line.status,),
        "verification": (MODE,) if line.aliases else ("not in use",),
    }


def _order(
    sort: str, lines: Mapping[str, Line], use: Mapping[str, Use]
) -> Callable[[str], tuple[float, ...]] | None:
    """A key whose larger values come first; None leaves the order of relevance."""
    if sort == "inferences":
        return lambda name: (use[name].predictions if name in use else -1,)
    if sort == "labels":
        return lambda name: (use[name].labelled if name in use else -1,)
    if sort == "metric":
        return _by_metric(use)
    if sort == "validated":
        return lambda name: (_day(lines[name].validated_at) if name in lines else 0,)
    if sort == "name":
        order = {name: -place for place, name in enumerate(sorted(lines))}
        return lambda name: (order.get(name, -len(order)),)
    return None


def _by_metric(use: Mapping[str, Use]) -> Callable[[str], tuple[float, ...]]:
    """Models of the commonest metric first, by the end of its interval that says least for them.

    Figures of different metrics are never compared.
    """
    metrics = [found.metric.name for found in use.values() if found.metric is not None]
    common = max(sorted(set(metrics)), key=metrics.count) if metrics else None

    def key(name: str) -> tuple[float, ...]:
        metric = use[name].metric if name in use else None
        if metric is None:
            return (0.0, 0.0)
        return (2.0 if metric.name == common else 1.0, metric.cautious)

    return key


def _day(moment: str | None) -> int:
    return date.fromisoformat(moment[:10]).toordinal() if moment else 0


def _query(found: Found) -> dict[str, Any]:
    query = found.query
    return {
        "text": query.text,
        "corrected": dict(query.corrected),
        "understood": [_wish(wish) for wish in query.wishes],
        "excluded": [_wish(wish) for wish in query.excluded],
    }


def _wish(wish: Wish) -> dict[str, Any]:
    thesaurus = load()
    return {
        "words": wish.words,
        "about": wish.axis,
        "means": [thesaurus[concept].label for concept in wish.meanings],
    }


def _hit(hit: Hit, rank: int, line: Line, used: Use | None, today: str) -> dict[str, Any]:
    validated = line.validated_at
    return {
        "rank": rank,
        "name": hit.name,
        "title": hit.title,
        "summary": hit.summary,
        "model_digest": line.model_digest,
        "version": line.version,
        "status": line.status,
        "aliases": list(line.aliases),
        "owner": line.owner,
        "facets": {key: list(values) for key, values in hit.facets.items()},
        "reasons": [{"kind": reason.kind, "text": reason.text} for reason in hit.reasons],
        "use": used.to_json() if used else None,
        "validated_at": validated,
        "days_since_validation": _day(today) - _day(validated) if validated else None,
    }
