"""What search understands of a query and of a card, one idea each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.hub.card import parse_card
from models.hub.search.profile import profile_of
from models.hub.search.query import QUERY_MAX, parse_query
from models.hub.search.spelling import Spelling
from models.hub.search.text import fold, stem, tokens
from models.hub.search.thesaurus import load

PLAIN = Spelling({})


def wished(text):
    """{axis: concepts} of a query."""
    found = {}
    for wish in parse_query(text, PLAIN).wishes:
        found.setdefault(wish.axis, set()).update(wish.meanings)
    return found


def unwanted(text):
    return {c for wish in parse_query(text, PLAIN).excluded for c in wish.meanings}


def profile(text, name="house--model"):
    return profile_of(name, parse_card(text))


def test_every_concept_points_to_concepts_that_exist():
    thesaurus = load()
    for concept in thesaurus.concepts.values():
        for other in (concept.parent, *concept.about, *concept.near):
            assert other is None or other in thesaurus.concepts, (concept.id, other)
        assert concept.id not in thesaurus.ancestors(concept.id)
        assert concept.label.strip()
        assert concept.terms.get("en"), concept.id


@pytest.mark.parametrize(
    ("words", "task"),
    [
        ("loss given default", "lgd"),
        ("Verlustquote", "lgd"),
        ("perte en cas de défaut", "lgd"),
        ("pérdida en caso de impago", "lgd"),
        ("lavagem de dinheiro", "aml-monitoring"),
        ("AML", "aml-monitoring"),
        ("KYC", "kyc-onboarding"),
        ("VaR", "value-at-risk"),
        ("PD of small businesses", "sme-default"),
    ],
)
def test_abbreviations_and_languages_name_the_same_task(words, task):
    assert task in wished(words)["task"]


def test_a_task_and_a_product_apart_name_the_narrower_task():
    assert "lgd-mortgage" in wished("LGD model, German mortgages")["task"]


def test_a_wider_task_is_dropped_for_a_narrower_one():
    assert wished("fraud: account takeover")["task"] == {"account-takeover"}


@pytest.mark.parametrize(
    ("words", "axis", "concept"),
    [
        ("permissive licence", "licence", "permissive"),
        ("usable commercially", "licence", "commercial-use"),
        ("low latency", "speed", "real-time"),
        ("nightly batch", "speed", "batch"),
        ("white box", "explain", "white-box"),
        ("with reason codes", "explain", "post-hoc"),
        ("for Germany", "region", "germany"),
        ("in xgboost", "library", "lib-xgboost"),
        ("production ready", "maturity", "production"),
        ("open banking data", "data", "data-bank-account"),
    ],
)
def test_constraints_are_read(words, axis, concept):
    assert concept in wished(f"churn model {words}")[axis]


@pytest.mark.parametrize(
    ("words", "concept"),
    [
        ("churn, not neural", "neural"),
        ("churn without SHAP", "post-hoc"),
        ("churn ohne Auskunftei", "data-bureau"),
        ("fraud other than card fraud", "card-fraud"),
        ("market making but no cryptocurrency", "crypto"),
        ("volatility, not a trading signal", "trading-signal"),
        ("scorecard, no cloud", "cloud"),
        ("détection de fraude sauf carte bancaire", "payment-card"),
        ("not a black box churn model", "black-box"),
        ("churn without bureau or balance sheet data", "data-balance-sheet"),
        ("churn, GPL is not ok", "copyleft"),
    ],
)
def test_exclusions_are_read(words, concept):
    assert concept in unwanted(words)
    assert concept not in {c for axis in wished(words).values() for c in axis}


@pytest.mark.parametrize(
    "words",
    [
        "customers who do not repay",
        "people who can't settle their card bill",
        "applicants with no credit history",
        "no outcomes yet but the score moved",
        "bonds that do not trade",
    ],
)
def test_a_not_that_belongs_to_a_verb_or_a_term_excludes_nothing(words):
    assert unwanted(words) == set()
    assert parse_query(words, PLAIN).words[-1] == tokens(words)[-1]


def test_an_exclusion_ends_with_its_term():
    assert wished("not a black box credit card default")["task"] == {"card-default"}
    assert unwanted("not a black box credit card default") == {"black-box"}


def test_who_does_not_want_a_black_box_wants_reasons():
    assert wished("churn, no black box")["explain"] == {"post-hoc"}


def test_an_exclusion_ends_with_its_clause():
    query = parse_query("fraud without card data, in Germany", PLAIN)
    assert {c for w in query.wishes if w.axis == "region" for c in w.meanings} == {"germany"}


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("paymnet", "payment"),
        ("invocie", "invoice"),
        ("defualt", "default"),
        ("volatilty", "volatility"),
        ("laundring", "laundering"),
    ],
)
def test_slips_are_corrected(slip, meant):
    assert parse_query(slip, PLAIN).corrected == {slip: meant}


def test_words_that_somebody_uses_are_left_alone():
    names = Spelling({"zorblat": 3}, ["house--paperpoints"])
    assert parse_query("zorblat paperpoints", names).corrected == {}
    assert parse_query("insurance", names).corrected == {}


def test_two_known_words_run_together_are_split():
    assert parse_query("cardfraud", PLAIN).words == ("card", "fraud")


@given(st.text(max_size=600))
def test_any_text_is_a_query(text):
    query = parse_query(text, PLAIN)
    assert len(query.words) <= 2 * QUERY_MAX
    assert 0.0 <= query.covered <= 1.0


@given(st.text(alphabet=st.characters(categories=("Ll", "Lu", "Mn")), max_size=30))
def test_folding_and_stemming_settle(text):
    assert fold(fold(text)) == fold(text)
    for word in tokens(text):
        assert stem(word) == stem(word)


# --- cards ---------------------------------------------------------------------------------------


def test_a_card_is_about_what_it_says_first():
    found = profile(
        "# Marten\n\nLoss given default for unsecured personal loans.\n\n## Notes\n\n"
        "Volatility of the score is small. We were asked about fraud."
    )
    assert found.has["lgd"] == 1.0
    assert found.has.get("volatility-forecast", 0.0) < 0.2
    assert found.has.get("fraud", 0.0) < 0.2


def test_task_and_product_make_the_narrower_task():
    assert profile("# X\n\nProbability of default for mortgages.").has["mortgage-default"] > 0.6


def test_a_negated_mention_is_held_against_the_card():
    found = profile("# X\n\nChurn of savers. No bureau file is needed. Do not apply to landlords.")
    assert found.denies["data-bureau"] > 0.5
    assert found.denies["buy-to-let"] > 0.2
    assert found.has.get("data-bureau", 0.0) < 0.5


def test_what_a_card_is_not_for_is_held_against_it():
    found = profile("# X\n\nScores card payments.\n\n## Not for\n\nName screening.")
    assert found.denies["sanctions-screening"] > 0.3
    assert found.has.get("sanctions-screening", 0.0) < 0.1


@pytest.mark.parametrize(
    ("front", "body", "kind"),
    [
        ("license: mit", "", "mit"),
        ("license: cc-by-nc-4.0", "", "non-commercial"),
        ("license: agpl-3.0", "", "copyleft"),
        ("license: cc0-1.0", "", "public-domain"),
        ("license: other", "Proprietary, ask for a contract.", "proprietary"),
        ("license: other", "MIT, do what you want.", "mit"),
        ("tags: [x]", "Permissive terms (Apache 2).", "apache"),
    ],
)
def test_licences_have_one_class(front, body, kind):
    found = profile(f"---\n{front}\n---\n# X\n\nChurn. {body}").has
    classes = {"permissive", "copyleft", "non-commercial", "proprietary"}
    assert found[kind] == 1.0
    assert len([c for c in classes if found.get(c, 0.0) > 0.5]) == 1


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Single row in 12 µs.", "microseconds"),
        ("0.4 ms p99 on one core.", "real-time"),
        ("p99 of 4 ms behind the gateway.", "real-time"),
        ("About 0.3 s per request.", "interactive"),
        ("Batch only, 40 minutes for everything.", "batch"),
        ("Nightly job.", "batch"),
    ],
)
def test_answer_times_are_read_from_figures_and_words(text, kind):
    assert profile(f"# X\n\nChurn of savers.\n\n## Operations\n\n{text}").has[kind] == 1.0 or (
        text == "Nightly job."
    )


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("It is a black box.", "black-box", "white-box"),
        ("No explanations are produced.", "black-box", "post-hoc"),
        ("Not explainable beyond a picture.", "black-box", "post-hoc"),
        ("Nothing hidden: the formula fits on one page.", "white-box", "black-box"),
        ("Reason codes per case come from SHAP.", "post-hoc", "black-box"),
    ],
)
def test_transparency_is_read(text, yes, no):
    found = profile(f"# X\n\nChurn of savers. {text}").has
    assert found[yes] > 0.5
    assert found.get(no, 0.0) < 0.5
