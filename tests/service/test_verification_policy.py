"""The appraisal policy: one digest, strict reading, errors that name the place."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.verification.policy import (
    DEFAULT_POLICY,
    SCHEMA,
    Policy,
    PolicyError,
    Rule,
    load_policy,
    parse_policy,
)

RULE = {"modes": ["signed"], "environments": [], "tolerances": {}}
GOOD = {"schema": SCHEMA, "name": "house", "default": RULE, "models": {}}
# A constant of the release: entries name it, so changing it orphans every recorded prediction.
DEFAULT_DIGEST = (
    "sha256:"
    + hashlib.sha256(
        b'{"default":{"environments":[],"modes":["signed"],"tolerances":{}},"models":{},'
        b'"name":"default","schema":"assay/appraisal-policy/v1"}'
    ).hexdigest()
)


def test_the_default_policy_keeps_its_digest():
    assert DEFAULT_POLICY.digest == DEFAULT_DIGEST


def test_indented_text_and_canonical_text_are_one_policy():
    loose = json.dumps(GOOD, indent=2).encode()
    assert parse_policy(loose) == parse_policy(parse_policy(loose).to_bytes())
    assert parse_policy(loose).digest == Policy(name="house").digest


names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=12)
rules = st.builds(
    Rule,
    modes=st.lists(names, min_size=1, max_size=3, unique=True).map(tuple),
    environments=st.lists(names, max_size=3, unique=True).map(tuple),
    tolerances=st.dictionaries(names, st.integers(0, 2**53 - 1), max_size=3),
)


@given(name=names, default=rules, models=st.dictionaries(names, rules, max_size=3))
def test_a_policy_survives_its_own_bytes(name, default, models):
    policy = Policy(name, default, models)
    again = parse_policy(policy.to_bytes())
    assert again.to_bytes() == policy.to_bytes()
    assert again.digest == policy.digest


def test_the_order_of_a_list_is_no_part_of_a_policy():
    one = Policy("p", Rule(modes=("a", "b"), environments=("x", "y")))
    other = Policy("p", Rule(modes=("b", "a"), environments=("y", "x")))
    assert one.digest == other.digest


def test_a_model_has_its_own_rule_or_the_default():
    strict = Rule(environments=("sha256:" + "0" * 64,))
    policy = Policy("p", models={"value-at-risk": strict})
    assert policy.rule_for("value-at-risk") is strict
    assert policy.rule_for("credit-default") is policy.default


def _with(**changes):
    return json.dumps({**GOOD, **changes}).encode()


REFUSED = {
    "not json": (b"{", "the file"),
    "not utf-8": (b"\xff\xfe", "the file"),
    "a float": (_with(default={**RULE, "tolerances": {"m": 0.5}}), "the file"),
    "an integer beyond 2^53": (_with(default={**RULE, "tolerances": {"m": 2**53}}), "the file"),
    "not a number": (b'{"a":NaN}', "the file"),
    "a key given twice": (b'{"schema":"a","schema":"b"}', "the file"),
    "nested a hundred thousand deep": (b"[" * 100_000, "the file"),
    "a lone surrogate": (b'{"name":"\\ud800"}', "the file"),
    "a list": (b"[]", "top level"),
    "a missing key": (json.dumps({"schema": SCHEMA}).encode(), "top level"),
    "an unknown key": (_with(accuracy="high"), "top level"),
    "another schema": (_with(schema="assay/appraisal-policy/v2"), "schema"),
    "an empty name": (_with(name=""), "name"),
    "models as a list": (_with(models=[]), "models"),
    "a rule as text": (_with(models={"m": "any"}), "models.m"),
    "no mode accepted": (_with(default={**RULE, "modes": []}), "default.modes"),
    "modes as text": (_with(default={**RULE, "modes": "signed"}), "default.modes"),
    "a mode twice": (_with(default={**RULE, "modes": ["signed", "signed"]}), "default.modes"),
    "a number for a mode": (_with(default={**RULE, "modes": [1]}), "default.modes"),
    "a negative tolerance": (
        _with(default={**RULE, "tolerances": {"m": -1}}),
        "default.tolerances.m",
    ),
    "true for a tolerance": (
        _with(default={**RULE, "tolerances": {"m": True}}),
        "default.tolerances.m",
    ),
    "tolerances as a list": (_with(default={**RULE, "tolerances": []}), "default.tolerances"),
}


@pytest.mark.parametrize(("data", "where"), REFUSED.values(), ids=REFUSED.keys())
def test_a_policy_that_cannot_be_used_is_refused_by_place(data, where):
    with pytest.raises(PolicyError) as refused:
        parse_policy(data)
    assert refused.value.where == where


def test_a_rule_made_in_code_accepts_some_mode_too():
    with pytest.raises(PolicyError, match="accepts no mode"):
        Rule(modes=())


def test_a_policy_file_that_is_missing_says_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_policy(tmp_path / "none.json")


def test_a_policy_file_is_read(tmp_path):
    (tmp_path / "policy.json").write_bytes(_with())
    assert load_policy(tmp_path / "policy.json").name == "house"
