"""Search the models of a house from the command line."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any, Final

import click

from service.cli.common import data_dir_option, open_house, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SORTS: Final = ("relevance", "inferences", "labels", "metric", "validated", "name")
FACETS: Final = (
    *("task", "asset_class", "framework", "licence", "transparency", "region"),
    *("tier", "status", "verification", "honesty", "correctness"),
)
SIGNS: Final = {"met": "+", "named": "+", "close": "~", "unsaid": "?", "words": " "}
WIDTH: Final = 96
VALUES_SHOWN: Final = 8


@click.command(
    epilog="""\b
Examples:
  assay models search "credit default tabular low latency" --data-dir house
  assay models search "LGD Hypotheken, not neural" --where licence="permissive licence"
  assay models search "" --sort inferences --where status=approved"""
)
@click.argument("words", metavar="WORDS")
@click.option(
    "--where", "wheres", metavar="FACET=VALUE", multiple=True, help="Only these; may be repeated."
)
@click.option(
    "--sort",
    type=click.Choice(SORTS),
    default="relevance",
    show_default=True,
    help="What comes first: what fits best, or a kind of proved use.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 100),
    default=10,
    show_default=True,
    help="How many hits to print.",
)
@click.option("--facets", is_flag=True, help="Also list what the hits can be narrowed by.")
@click.option("--json", "as_json", is_flag=True, help="As the API gives it.")
@data_dir_option
@told
def search(
    *,
    words: str,
    wheres: tuple[str, ...],
    sort: str,
    limit: int,
    facets: bool,
    as_json: bool,
    data_dir: Path | None,
) -> None:
    """Find models by what their cards say, and say why each stands where it stands."""
    from service.hub_search import Ask, HubSearch

    filters = _filters(wheres)
    index = HubSearch(open_house(data_dir))
    found = index.search(Ask(words, filters, sort=sort, limit=limit, reports=True))
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for slip, meant in found["query"]["corrected"].items():
        click.echo(f"{slip} read as {meant}")
    for hit in found["hits"]:
        click.echo("\n".join(_lines(hit)))
    if not found["hits"]:
        click.echo("no model fits; all of them: assay models list")
    elif found["total"] > limit:
        click.echo(f"{found['total'] - limit} more: --limit {min(100, found['total'])}")
    if facets:
        for name, values in found["facets"].items():
            shown = ", ".join(f"{v['value']} ({v['count']})" for v in values[:VALUES_SHOWN])
            click.echo(f"{name}: {shown}")


def _filters(wheres: tuple[str, ...]) -> Mapping[str, frozenset[str]]:
    """`licence=permissive licence` twice means either."""
    found: dict[str, set[str]] = {}
    for where in wheres:
        facet, sign, value = where.partition("=")
        if not sign or facet not in FACETS:
            raise click.BadParameter(f"{where!r}: expected FACET=VALUE, with {', '.join(FACETS)}")
        found.setdefault(facet, set()).add(value)
    return {facet: frozenset(values) for facet, values in found.items()}


def _lines(hit: Mapping[str, Any]) -> Iterator[str]:
    aliases = f" [{', '.join(hit['aliases'])}]" if hit["aliases"] else ""
    yield f"{hit['rank']}. {hit['name']} {hit['version']} {hit['status']}{aliases}"
    yield from textwrap.wrap(hit["summary"], WIDTH, initial_indent="   ", subsequent_indent="   ")
    for reason in hit["reasons"]:
        yield f"   {SIGNS.get(reason['kind'], '-')} {reason['text']}"
    if hit["use"] is not None:
        yield f"   {_use(hit['use'])}"
    if hit["days_since_validation"] is not None:
        yield f"   validated {hit['days_since_validation']} days ago"


def _use(use: Mapping[str, Any]) -> str:
    """Counts and one figure, with the entry they come from."""
    text = f"{use['predictions']} predictions, {use['labelled']} of {use['matured']} due labels"
    metric = use["metric"]
    if metric is not None:
        text += f"; {metric['title']} {metric['value']}"
        if metric["low"] is not None:
            text += f" ({metric['low']} to {metric['high']})"
    return f"{text}; report at leaf {use['leaf']}"
