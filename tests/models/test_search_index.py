"""The index: cards come and go, lists are narrowed, both engines agree, evil queries do nothing."""

from pathlib import Path

import psycopg
import pytest

from models.hub.card import parse_card
from models.hub.search import SearchIndex, Wanted
from models.hub.search.entry import VERSION, Entry, entry_of
from models.hub.search.fulltext import rarest
from models.hub.search.fulltext_postgres import PostgresText
from models.hub.search.fulltext_sqlite import SqliteText, sqlite

CARDS = {
    "north--cardpd": "---\nlicense: mit\nlibrary_name: xgboost\n---\n# Cardpd\n\n"
    "Probability of default of credit card holders, German book. SHAP reason codes. 4 ms.",
    "north--plain-points": "---\nlicense: apache-2.0\nlibrary_name: scikit-learn\n---\n"
    "# Plain Points\n\nCredit card default: a points table, nothing hidden. British book.",
    "south--deepcard": "---\nlicense: cc-by-nc-4.0\nlibrary_name: keras\n---\n# Deepcard\n\n"
    "Credit card default by a deep neural network. It is a black box. Nightly job.",
    "south--homes": "---\nlicense: mit\n---\n# Homes\n\nAutomated valuation of homes in Spain.",
    "west--swipes": "---\nlicense: mit\n---\n# Swipes\n\nStolen card fraud at authorisation time.",
    "west--haus": "---\nlicense: mit\nlanguage: de\n---\n# Haus\n\n"
    "Verlustquote nach Ausfall bei Immobilienkrediten in Deutschland.",
}


def fill(index, texts=CARDS):
    cards = {name: parse_card(text) for name, text in texts.items()}
    return index.sync(
        {name: (lambda card=card: card) for name, card in cards.items()},
        {name: card.digest for name, card in cards.items()},
    )


@pytest.fixture
def index():
    found = SearchIndex(SqliteText())
    fill(found)
    return found


def names(found):
    return [hit.name for hit in found.hits]


def test_the_right_task_comes_first_and_constraints_order_the_rest(index):
    found = names(index.search("card default explainable, permissive licence"))
    assert set(found[:2]) == {"north--cardpd", "north--plain-points"}
    assert found.index("south--deepcard") == 2


def test_an_exclusion_moves_a_card_down(index):
    assert names(index.search("credit card default, not neural"))[:3][-1] == "south--deepcard"


def test_another_language_finds_the_same_card(index):
    for words in (
        "loss given default mortgages Germany",
        "LGD Hypotheken",
        "pérdida en caso de impago",
    ):
        assert names(index.search(words))[0] == "west--haus"


def test_a_name_comes_first_even_with_a_slip(index):
    for words in ("deepcard", "south--deepcard", "Deepcrad", "plain points", "plain_points"):
        assert names(index.search(words))[0] in {"south--deepcard", "north--plain-points"}


def test_reasons_say_what_was_met_and_what_not(index):
    found = index.search("card default white box not neural")
    told = {hit.name: {(r.kind, r.text) for r in hit.reasons} for hit in found.hits}
    assert ("met", "says: interpretable by construction") in told["north--plain-points"]
    assert ("excluded", "says: neural network, which was excluded") in told["south--deepcard"]
    assert any(kind == "unmet" for kind, _ in told["south--deepcard"])


def test_facets_count_the_list_and_narrow_it(index):
    found = index.search("credit card default")
    assert found.facets["licence"]["permissive licence"] >= 2
    wanted = Wanted(filters={"framework": frozenset({"keras"})})
    narrowed = index.search("credit card default", wanted)
    assert names(narrowed) == ["south--deepcard"]
    assert narrowed.total == 1
    assert narrowed.facets["framework"] == {"keras": 1}


def test_facets_from_outside_narrow_too_and_stay_apart(index):
    outside = {
        "north--cardpd": {"honesty": ("nothing failed",), "correctness": ("not judged",)},
        "south--deepcard": {"honesty": ("failed",), "correctness": ("not judged",)},
    }
    wanted = Wanted(outside=outside, filters={"honesty": frozenset({"failed"})})
    found = index.search("credit card default", wanted)
    assert names(found) == ["south--deepcard"]
    assert found.facets["correctness"] == {"not judged": 1}


def test_an_order_from_outside_is_followed(index):
    used = {"north--plain-points": 40, "south--deepcard": 9}
    found = index.search("card default", Wanted(order=lambda name: (used.get(name, 0),)))
    assert names(found)[:2] == ["north--plain-points", "south--deepcard"]


def test_pages_follow_each_other(index):
    whole = names(index.search(""))
    assert whole == sorted(CARDS)
    pages = [names(index.search("", Wanted(offset=at, limit=2))) for at in (0, 2, 4, 6)]
    assert [name for page in pages for name in page] == whole


def test_only_changed_cards_are_read_again(index):
    read = []

    def reader(name):
        return lambda: read.append(name) or parse_card(changed[name])

    changed = {**CARDS, "south--homes": CARDS["south--homes"] + " And of flats."}
    del changed["west--haus"]
    digests = {name: parse_card(text).digest for name, text in changed.items()}
    assert index.sync({name: reader(name) for name in changed}, digests) == 2
    assert read == ["south--homes"]
    assert len(index) == len(CARDS) - 1
    assert "west--haus" not in names(index.search("LGD Hypotheken"))


def test_the_file_may_be_deleted_and_is_filled_again(tmp_path):
    path = tmp_path / "search.db"
    text = SqliteText(path)
    first = SearchIndex(text)
    assert fill(first) == len(CARDS)
    wanted = names(first.search("card default"))
    text.close()
    again = SqliteText(path)
    kept = SearchIndex(again)
    assert fill(kept) == 0
    assert names(kept.search("card default")) == wanted
    again.close()
    path.unlink()
    new = SqliteText(path)
    fresh = SearchIndex(new)
    assert fill(fresh) == len(CARDS)
    assert names(fresh.search("card default")) == wanted
    new.close()


def test_entries_of_another_analysis_are_made_again(tmp_path):
    path = tmp_path / "search.db"
    text = SqliteText(path)
    fill(SearchIndex(text))
    text.close()
    db = sqlite.connect(str(path))
    db.execute(f"PRAGMA user_version={VERSION + 1}")
    db.close()
    again = SqliteText(path)
    assert again.digests() == {}
    again.close()


def test_a_failed_batch_leaves_nothing_behind():
    text = SqliteText()
    entry = entry_of("a--b", parse_card(CARDS["north--cardpd"]))

    def broken():
        yield entry
        message = "the card cannot be read"
        raise ValueError(message)

    with pytest.raises(ValueError, match="cannot be read"):
        text.put(broken())
    assert text.digests() == {}
    text.put([entry])
    assert list(text.digests()) == ["a--b"]


def test_an_entry_comes_back_as_it_went_in():
    entry = entry_of("a--b", parse_card(CARDS["west--haus"]))
    text = SqliteText()
    text.put([entry])
    (back,) = text.entries()
    assert back.to_json() == entry.to_json()
    assert back.letters.tolist() == entry.letters.tolist()
    assert isinstance(back, Entry)


def test_the_rarer_words_are_looked_up():
    assert rarest(["card", "zorblat", "never"], {"card": 100_000, "zorblat": 2}) == ["zorblat"]
    assert rarest(["card"], {"card": 100_000}) == ["card"]
    assert rarest([], {}) == []


@pytest.mark.parametrize(
    "query",
    [
        '"',
        "' OR 1=1 --",
        "card AND (NOT NEAR(fraud))",
        "name:card body:*",
        "card\x00default",
        "; DROP TABLE hub_search_card",
        "\ud800 card",
        "card " * 400,
        "💳💥",
        "' | & ! :* \\",
        "%_%",
    ],
)
def test_evil_queries_are_only_words(index, query):
    found = index.search(query)
    assert found.total <= len(CARDS)
    assert len(index) == len(CARDS)


def test_nothing_is_found_in_an_empty_hub():
    found = SearchIndex(SqliteText()).search("card default")
    assert (found.total, found.hits, dict(found.facets)) == (0, (), {})


def test_search_does_not_import_training_or_the_service():
    folder = Path(__file__).parents[2] / "models/hub/search"
    for path in folder.glob("*.py"):
        text = path.read_text("utf-8")
        assert "models.reference" not in text, path
        assert "import service" not in text, path


# --- PostgreSQL ----------------------------------------------------------------------------------


@pytest.fixture
def connect(postgres_server):
    with postgres_server.database() as url:
        yield lambda: psycopg.connect(url)


def test_both_engines_give_the_same_first_hits(connect, index):
    text = PostgresText(connect)
    other = SearchIndex(text)
    assert fill(other) == len(CARDS)
    assert fill(other) == 0
    for words in ("card default explainable", "LGD Hypotheken", "home valuation Spain", "swipes"):
        assert names(other.search(words))[0] == names(index.search(words))[0]
    assert len(SearchIndex(PostgresText(connect))) == len(CARDS)
    for query in ("' | & ! :* \\", "card\x00default", "x' OR 1=1 --"):
        other.search(query)
    text.drop(["south--homes"])
    assert "south--homes" not in text.digests()


HOSTILE_STEMS = [
    'z" OR card',
    'z" OR body:card*',
    "z* OR card",
    "z | card",
    "z OR NOT q",
    "''",
    "\\",
]


def test_stems_are_words_to_both_engines_and_never_operators(connect):
    entry = entry_of("a--b", parse_card(CARDS["north--cardpd"]))
    for text in (SqliteText(), PostgresText(connect)):
        text.put([entry])
        assert list(text.matching(["card"])) == ["a--b"]
        for stem in HOSTILE_STEMS:
            assert text.matching([stem, "zorblat"]) == {}, stem
