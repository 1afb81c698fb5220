"""Search against judged queries, ours and an outside collection's, with and without word vectors."""

import math
from collections import defaultdict
from pathlib import Path

import pytest

from models.hub.card import parse_card
from models.hub.search import SearchIndex, Wanted, meaning, topics
from models.hub.search.fulltext_sqlite import SqliteText

COLLECTION = Path(__file__).parents[3] / "shared" / "search"
OURS = Path(__file__).parent / "search_tasks.tsv"
ABOUT = 0.6  # weight from which a card counts as being about a task


@pytest.fixture(scope="module")
def cards():
    if not COLLECTION.is_dir():
        pytest.skip("no outside search collection here")
    return {
        path.stem: parse_card(path.read_bytes())
        for path in sorted((COLLECTION / "cards").glob("*.md"))
    }


def filled(cards):
    index = SearchIndex(SqliteText())
    index.sync(
        {name: (lambda card=card: card) for name, card in cards.items()},
        {name: card.digest for name, card in cards.items()},
    )
    return index


@pytest.fixture(scope="module")
def index(cards):
    return filled(cards)


@pytest.fixture
def without_vectors(monkeypatch):
    monkeypatch.setattr(meaning, "find_spec", lambda _: None)
    meaning.load_meaning.cache_clear()
    topics.load_topics.cache_clear()
    yield
    monkeypatch.undo()
    meaning.load_meaning.cache_clear()
    topics.load_topics.cache_clear()


def judged():
    queries = (COLLECTION / "queries-dev.tsv").read_text("utf-8").splitlines()
    grades = defaultdict(dict)
    for line in (COLLECTION / "qrels-dev.txt").read_text("utf-8").splitlines():
        qid, _, name, grade = line.split()
        grades[qid][name] = int(grade)
    return [(line.split("\t")[1], grades[line.split("\t")[0]]) for line in queries]


def ndcg(found, grades):
    def gain(row):
        return sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(row[:10]))

    return gain([grades.get(name, 0) for name in found]) / gain(
        sorted(grades.values(), reverse=True)
    )


def scored(index):
    rows = judged()
    found = [[hit.name for hit in index.search(text, Wanted(limit=10)).hits] for text, _ in rows]
    scores = [ndcg(names, grades) for names, (_, grades) in zip(found, rows, strict=True)]
    hits = [
        any(grades.get(name, 0) >= 2 for name in names[:3])
        for names, (_, grades) in zip(found, rows, strict=True)
    ]
    return sum(scores) / len(scores), sum(hits) / len(hits)


def test_the_goals_on_the_outside_collection_are_met(index):
    quality, first_three = scored(index)
    assert quality >= 0.85
    assert first_three >= 0.9


def test_search_works_without_word_vectors(cards, without_vectors):
    quality, first_three = scored(filled(cards))
    assert quality >= 0.8
    assert first_three >= 0.9


@pytest.mark.parametrize(("number", "least"), [("1", 0.93), ("2", 0.93), ("3", 0.8)])
def test_queries_of_our_own_find_their_task(index, number, least):
    lines = [line.split("\t") for line in OURS.read_text("utf-8").splitlines() if line[:1] != "#"]
    rows = [(text, task) for own, text, task in lines if own == number]
    entries = {entry.name: entry for entry in index.entries()}
    missed = [
        text
        for text, task in rows
        if not any(
            entries[hit.name].profile.has.get(task, 0.0) > ABOUT
            for hit in index.search(text, Wanted(limit=3)).hits
        )
    ]
    assert len(rows) >= 100
    assert len(missed) <= (1 - least) * len(rows), missed
