"""The fast encoder gives the bytes of RFC 8785, or the refusal of the slow one."""

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger.encoding import encode_checked
from ledger.errors import LedgerError
from ledger.record import Draft, body_of_draft, check_draft, encode_body

ANY_TEXT = st.text(max_size=40)  # surrogates, controls and all
WHO = {"origin": "o.example/log", "producer": "0" * 32}
DIGEST = "sha256:" + "0" * 64
TIME = "2026-11-25T03:20:00.123Z"
FIELDS = st.dictionaries(
    st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.:\-]{0,12}\Z"), st.just("ab" * 32), max_size=6
)


@st.composite
def drafts(draw):
    row = {
        "schema": "assay/row/v1",
        "row_index": 0,
        "inputs": draw(FIELDS),
        "outputs": draw(FIELDS),
        "decision": draw(ANY_TEXT),
    }
    prediction = {
        "model_digest": DIGEST,
        "model_name": draw(ANY_TEXT),
        "policy_digest": DIGEST,
        "environment_digest": DIGEST,
        "verification_mode": "signed",
        "as_of": draw(st.none() | ANY_TEXT),
        "caller_reference": None,
        "row_count": draw(st.sampled_from([1, 1, 1, 1.0, True])),
        "row": row,
    }
    refusal = {"cause": draw(ANY_TEXT), "model_digest": None, "detail": draw(ANY_TEXT)}
    kind, data = draw(st.sampled_from([("prediction", prediction), ("refusal", refusal)]))
    return Draft(
        type=kind,
        actor_id=draw(ANY_TEXT),
        data=data,
        event_time=TIME,
        event_time_granularity_ms=draw(st.integers(-1, 2**54)),
        parents=tuple(draw(st.lists(st.integers(-1, 2**54), max_size=3))),
        regime_tags=tuple(draw(st.lists(ANY_TEXT, max_size=2))),
    )


def slowly(draft):
    check_draft(draft)
    return encode_body(draft, **WHO, seq=0)


@given(drafts())
def test_both_encoders_agree_on_bytes_or_refuse(draft):
    expected = told(slowly, draft)
    assert told(lambda made: encode_checked(made, **WHO), draft) == expected
    if isinstance(expected, bytes):
        assert expected == rfc8785.dumps(body_of_draft(draft, **WHO, seq=0))


def told(encode, draft):
    """The bytes, or the words of the refusal."""
    try:
        return encode(draft)
    except LedgerError as error:
        return str(error)
