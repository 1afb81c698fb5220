"""Cards as people write them are read; what reads in two ways, or is a bomb, is refused by name."""

import itertools
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import CardRefused
from models.hub.card import CARD_MAX, Result, parse_card

COLLECTION = Path(__file__).parents[3] / "shared/search/cards"

USUAL = """---
language: [en, no]
license: apache-2.0
library_name: sklearn
pipeline_tag: tabular-classification
tags:
- tabular
- credit
unheard_of: {x: 1}
version: 1.10
released: 2026-11-01
model-index:
- name: gb
  results:
  - task: {type: tabular-classification, name: Default}
    dataset: {type: uci, name: UCI credit}
    metrics:
    - {type: auc, value: 0.750, name: AUC}
    - type: confusion
      value: [[1, 2], [3, 4]]
---
Intro.

# Credit *default* ##

Says **who** pays, see [the paper](https://x.example/a_b) and `code_name`.

Limits
------
| a | b |
|---|---|
| 1 | 2 |

<!-- hidden -->
```python
# not a heading
x = 1
```
"""


def card(front, body="# A\n"):
    return f"---\n{front}\n---\n{body}"


def bomb():
    names = "abcdefghij"
    lines = [f"a: &a [{','.join('x' * 9)}]"]
    lines += [f"{n}: &{n} [{','.join([f'*{o}'] * 9)}]" for o, n in itertools.pairwise(names)]
    return "\n".join(lines)


def test_a_usual_card():
    found = parse_card(USUAL)
    assert found.licence == "apache-2.0"
    assert (found.task, found.library) == ("tabular-classification", "sklearn")
    assert found.tags == ("tabular", "credit")
    assert found.languages == ("en", "no")  # not the boolean of YAML 1.1
    assert found.front["version"] == "1.10"  # not 1.1
    assert found.front["released"] == "2026-11-01"
    assert found.front["unheard_of"] == {"x": "1"}
    assert found.results == (
        Result("Default", "UCI credit", "auc", "0.750"),
        Result("Default", "UCI credit", "confusion", None),
    )


def test_sections_and_plain_text():
    found = parse_card(USUAL)
    assert [(s.level, s.title) for s in found.sections] == [
        (0, ""),
        (1, "Credit default"),
        (2, "Limits"),
    ]
    assert found.title == "Credit default"
    assert found.section("CREDIT DEFAULT") == "Says who pays, see the paper and code_name."
    assert found.section("limits") == "a b\n1 2\n\n# not a heading\nx = 1"
    assert found.section("other") is None
    assert "hidden" not in found.plain
    assert "Intro." in found.plain


@pytest.mark.parametrize(
    "text",
    [
        "# Only Markdown\n\nNo front matter at all.",
        "---\n---\nEmpty front matter.",
        "---\r\nlicense: mit\r\n---\r\nWindows newlines.",
        "\ufeff---\nlicense: mit\n---\nByte order mark.",
        "---\nlicense: mit\n---",
        "Text\n\n---\n\nwith a rule",
        "---\n\nA rule first, then words\n",
        card("tags: credit\nlanguage: de\ndatasets:\nmetrics: []"),
        card("license: [mit, apache-2.0]"),
        card("base: &b [1, 2]\nagain: *b"),
    ],
)
def test_people_s_cards_are_read(text):
    assert parse_card(text).body is not None


def test_one_text_where_a_list_is_usual():
    found = parse_card(card("tags: credit\nlanguage: de\nlicense: [MIT, Apache-2.0]"))
    assert (found.tags, found.languages) == (("credit",), ("de",))
    assert found.licence == "mit and apache-2.0"
    assert parse_card(card("license: other\nlicense_name: Our Terms")).licence == "our terms"
    assert parse_card(card('a: "null"\nb: null\nc: "true"\nd: true\ne: yes')).front == {
        "a": "null",
        "b": None,
        "c": "true",
        "d": True,
        "e": "yes",
    }


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        pytest.param("", "card", "is empty", id="empty"),
        pytest.param("x" * (CARD_MAX + 1), "card", "at most", id="huge"),
        pytest.param(b"\xff\xfe", "card", "not UTF-8", id="not-utf-8"),
        pytest.param("\ud800", "card", "not UTF-8", id="half-a-surrogate"),
        pytest.param("a\n\x1b[2J", "card", "line 2: control character U.001B", id="escape"),
        pytest.param("---\nlicense: mit\n", "front matter", "never closed", id="unclosed"),
        pytest.param(card("- a\n- b"), "front matter", "key: value", id="a-list"),
        pytest.param(card("a: [1"), "front matter", "line", id="not-yaml"),
        pytest.param(card("a: 1\na: 2"), "front matter", "line 3: 'a' is there twice", id="twice"),
        pytest.param(card(bomb()), "front matter", "aliases are written out", id="alias-bomb"),
        pytest.param(card("a: &x [*x]"), "front matter", "complete above", id="endless-alias"),
        pytest.param(card("a: &a {b: 1}\nc:\n  <<: *a"), "front matter", "merge", id="merge"),
        pytest.param(card("a: " + "[" * 5000), "front matter", "nest", id="deep"),
        pytest.param(card("a: " + "[" * 30 + "]" * 30), "front matter", "deeper", id="nested"),
        pytest.param(
            card("a: !!python/object/apply:os.system [true]"),
            "front matter",
            "names a type to build",
            id="python-tag",
        ),
        pytest.param(card("a: 1\n--- {b: 2}"), "front matter", "second", id="two-documents"),
        pytest.param(card("? [a]\n: 1"), "front matter", "a key is not text", id="list-as-key"),
        pytest.param(card("tags: [a, [b]]"), "tags.1", "expected text", id="tag-not-text"),
        pytest.param(card("pipeline_tag: [a, b]"), "pipeline_tag", "one text", id="two-tasks"),
        pytest.param(card("tags: [" + "a, " * 600 + "]"), "tags", "at most", id="many-tags"),
        pytest.param(card("license: " + "x" * 600), "license", "characters", id="long-licence"),
        pytest.param(card("model-index: 3"), "model-index", "a list", id="index-not-a-list"),
        pytest.param(
            card("model-index: [{results: [{metrics: [{value: 1}]}]}]"),
            "model-index.0.results.0.metrics.0.type",
            "missing",
            id="metric-without-type",
        ),
    ],
)
def test_refused_with_the_place(text, field, reason):
    with pytest.raises(CardRefused, match=reason) as refused:
        parse_card(text)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "line",
    ["# " + " " * 200_000 + "x", "-" * 200_000 + "x", "[" * 200_000, "<a" * 100_000, "*" * 200_000],
    ids=["spaces", "dashes", "brackets", "tags", "stars"],
)
def test_time_is_linear_in_the_text(line):
    started = time.process_time()
    parse_card(line)
    assert time.process_time() - started < 2


def test_every_card_of_the_collection_is_read():
    if not COLLECTION.is_dir():
        pytest.skip("the shared collection of cards is not here")
    cards = [parse_card(path.read_bytes()) for path in sorted(COLLECTION.glob("*.md"))]
    assert len(cards) == 420
    assert all(found.plain for found in cards)
    assert sum(found.licence is not None for found in cards) == 370


@given(st.text(max_size=400))
def test_any_text_is_read_or_refused(text):
    for shape in (text, card(text), "---\n" + text):
        try:
            found = parse_card(shape)
        except CardRefused:
            continue
        assert parse_card(found.text) == found
