"""The parts of a model card by how much they say about what the model is for.

A title, the tags and the first sentences say what a card is about; limits, governance and annexes
mention other things in passing. Headings are known in five languages, as headings or as a first
bold word ("**Data.** ..."). Without headings the first sentences after the title are the lead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from models.hub.search.text import fold, sentences

if TYPE_CHECKING:
    from models.hub.card import Card

HEADING_MOST: Final = 40  # characters; a longer sentence is no heading
LEAD_WORDS: Final = 34  # the first sentences, up to about this many words

# How much a mention counts, by part. The order of magnitude matters, not the second digit.
WEIGHTS: Final = {
    "name": 0.5,
    "title": 0.8,
    "tags": 0.8,
    "first": 1.0,
    "lead": 0.55,
    "use": 0.45,
    "body": 0.3,
    "data": 0.25,
    "method": 0.2,
    "limits": 0.1,
    "results": 0.1,
    "notes": 0.05,
    "against": 0.5,
}

_HEADINGS: Final = {
    "lead": "purpose, scope, overview, what it does, abstract, summary, description, task, why, "
    "model description, model summary, model details, about, introduction, zweck, aufgabe, "
    "uberblick, ziel, objet, objectif, resume, proposito, objetivo, resumen, finalidade, resumo",
    "use": "intended use, use, uses, application, direct use, intended uses, intended uses & "
    "limitations, usage, how to use, downstream use, einsatz, verwendung, anwendung, utilisation, "
    "uso, uso previsto, aplicacion, aplicacao, uso pretendido",
    "data": "inputs, data, data requirements, training data, development sample, features, input, "
    "variables, what goes in, how, sample, dataset, datasets, eingaben, daten, donnees, datos, "
    "dados, variaveis",
    "method": "method, methodology, approach, model, architecture, training, training procedure, "
    "methode, verfahren, modell, metodo, modelo, explanations",
    "limits": "limitations, known weaknesses, limits, bias, risks, and limitations, weaknesses, "
    "where it fails, weak spots, caveats, known problem, known "
    "problems, grenzen, einschrankungen, limites, limitaciones, limitacoes",
    "against": "not for, out-of-scope use, out of scope, do not use, do not use for, nicht "
    "geeignet fur, hors perimetre, fuera de alcance, fora do escopo",
    "results": "performance, results, evaluation, metrics, how good, ergebnisse, resultats, "
    "resultados",
    "operations": "operations, implementation, deployment, serving, latency, betrieb",
    "notes": "governance, control, notes, annex, further remarks, background, citation, changelog, "
    "change history, contact, maintainers, license, licence, acknowledgements, references, "
    "anhang, annexe, anexo, authors, funded by, glossary",
}
_PART_OF: Final = {
    heading.strip(): part for part, names in _HEADINGS.items() for heading in names.split(",")
}
_EDGE: Final = re.compile(r"^[\W\d_]+|[\W_]+$")


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence or line of a card, and the part it stands in."""

    part: str
    text: str


def parts_of(name: str, card: Card) -> list[Line]:
    """Every sentence of a card with its part, the name and the tags first."""
    found = [Line("name", _unslug(name.rsplit("--", 1)[-1]))]
    found += [Line("tags", tag.replace("-", " ")) for tag in card.tags]
    if card.title:
        found.append(Line("title", _unslug(card.title)))
    lead = LEAD_WORDS
    first = True
    for section in card.sections:
        part = _PART_OF.get(_heading(section.title))
        here = part or ("lead" if lead > 0 else "body")
        for sentence in sentences(section.text):
            run_in = _PART_OF.get(_heading(sentence))
            if run_in is not None:
                part = here = run_in
                continue
            found.append(Line("first" if first and here == "lead" else here, sentence))
            first = first and here != "lead"
            if part is None:
                lead -= len(sentence.split())
                here = "lead" if lead > 0 else "body"
            elif part == "lead":
                lead = 0
    return found


def _heading(text: str) -> str:
    return _EDGE.sub("", fold(text)) if len(text) <= HEADING_MOST else ""


def _unslug(text: str) -> str:
    return re.sub(r"[-_]+", " ", text)
