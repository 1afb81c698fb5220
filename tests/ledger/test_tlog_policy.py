"""Witness policies: the standard's example, its rules one by one, and quorums against an oracle."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.cosignature import Cosigner
from ledger.errors import NoteError, QuorumMissed, TlogPolicyError
from ledger.keys import SigningKey
from ledger.note import Checkpoint, NoteSigner, VerifierKey, sign_checkpoint
from ledger.tlog_policy import LINES_MAX, POLICY_MAX, load_policy, parse_policy

LOG = NoteSigner("log.example/1", SigningKey(bytes(range(32))))
OTHER = NoteSigner("log.example/2", SigningKey(bytes(range(1, 33))))
KEY = VerifierKey.parse(LOG.vkey)
CHECKPOINT = Checkpoint(LOG.name, 7, sha256(b"root").digest())
NOTE = sign_checkpoint(CHECKPOINT, LOG)
TIME = 1_795_000_000
NAMES = ("X1", "X2", "X3", "Y1", "Y2", "Y3")


def cosigner(name):
    return Cosigner(f"{name}.example/w", SigningKey(sha256(name.encode()).digest()))


WITNESSES = {name: cosigner(name) for name in NAMES}
LINES = "".join(f"witness {name} {made.vkey}\n" for name, made in WITNESSES.items())
# The example of C2SP tlog-policy, its elided keys filled in (CC BY 4.0).
EXAMPLE = f"""\
log {LOG.vkey}

witness X1 {WITNESSES["X1"].vkey}
witness X2 {WITNESSES["X2"].vkey}
witness X3 {WITNESSES["X3"].vkey}
group X-witnesses 2 X1 X2 X3

witness Y1 {WITNESSES["Y1"].vkey}
witness Y2 {WITNESSES["Y2"].vkey}
witness Y3 {WITNESSES["Y3"].vkey}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def note_by(names):
    text = CHECKPOINT.to_text()
    return NOTE + "".join(WITNESSES[name].cosign(text, TIME) for name in names)


def read(text):
    return parse_policy(text.encode())


@pytest.mark.parametrize(
    ("names", "met"),
    [
        ("", False),
        ("X1", False),
        ("X1 X2", False),
        ("X1 Y1", False),
        ("X1 X2 Y3", True),
        ("X2 X3 Y1 Y2", True),
        ("Y1 Y2 Y3", False),
        ("X1 X2 X3 Y1 Y2 Y3", True),
    ],
)
def test_the_standards_example(names, met):
    policy = read(EXAMPLE)
    quorum = policy.judge(note_by(names.split()))
    assert quorum.met is met
    assert set(quorum.missing) == set(NAMES) - set(names.split())
    if met:
        policy.require(note_by(names.split()), KEY)
    else:
        with pytest.raises(QuorumMissed, match="not met, no cosignature of"):
            policy.require(note_by(names.split()), KEY)


def test_one_witness_may_be_the_quorum_and_cosign_twice():
    policy = read(LINES + "quorum X1\n")
    assert policy.judge(note_by(["X1", "X1"])).met
    assert not policy.judge(note_by(["X2", "X3"])).met


def test_one_witness_cosigning_often_counts_once():
    policy = read(LINES + "group g 2 X1 X2\nquorum g\n")
    assert not policy.judge(note_by(["X1"] * 5)).met


def test_a_quorum_of_nobody_is_met_and_says_so():
    quorum = read("quorum none\n").require(NOTE, KEY)
    assert (quorum.met, quorum.asked) == (True, False)
    assert str(quorum) == "the policy asks for no witness"


def test_a_bad_cosignature_of_a_witness_of_the_policy_refuses_the_checkpoint():
    text = CHECKPOINT.to_text().replace("7", "8")
    forged = note_by(["X1", "X2", "Y1"]) + WITNESSES["X3"].cosign(text, TIME)
    with pytest.raises(NoteError, match="X3"):
        read(EXAMPLE).judge(forged)


def test_only_logs_of_the_policy_are_accepted():
    policy = read(f"log {LOG.vkey} https://log.example\nquorum none\n")
    assert policy.names_log(KEY)
    assert policy.logs[0].url == "https://log.example"
    with pytest.raises(QuorumMissed, match=r"does not name the log log\.example/2"):
        policy.require(NOTE, VerifierKey.parse(OTHER.vkey))
    assert read("quorum none").names_log(VerifierKey.parse(OTHER.vkey))  # no log listed: any


def test_white_space_comments_and_urls():
    text = f"\t# note\n\n  log\t{LOG.vkey}  \n witness w\t{WITNESSES['X1'].vkey} http://w\n#\n\tquorum  w"
    policy = read(text)
    assert [(w.name, w.url) for w in policy.witnesses] == [("w", "http://w")]
    assert policy.quorum == "w"


def test_names_are_octets_and_not_normalised():
    kelvin = "\N{KELVIN SIGN}"
    policy = read(
        f"witness K {WITNESSES['X1'].vkey}\nwitness {kelvin} {WITNESSES['X2'].vkey}\nquorum K\n"
    )
    assert not policy.judge(note_by(["X2"])).met
    raw = b"witness \xff\xfe " + WITNESSES["X1"].vkey.encode() + b"\nquorum \xff\xfe\n# \x80\n"
    quorum = parse_policy(raw).judge(NOTE)
    assert (
        str(quorum).encode()
        == b"cosigned by nobody; quorum not met, no cosignature of \\udcff\\udcfe"
    )


MANY = "".join(
    f"witness w{n} {Cosigner('w', SigningKey(n.to_bytes(32, 'big'))).vkey}\n"
    for n in range(LINES_MAX + 1)
)
REFUSED = {
    "no quorum": (LINES, "no quorum"),
    "two quorums": ("quorum none\nquorum none\n", "line 2: a second quorum"),
    "quorum of nobody known": (LINES + "quorum Z\n", "line 7: Z is not defined"),
    "quorum before its witness": ("quorum X1\n" + LINES, "line 1: X1 is not defined"),
    "group before its member": (f"group g any X1\n{LINES}quorum g\n", "line 1: X1 is not defined"),
    "group of itself": (LINES + "group g any g\nquorum g\n", "g is not defined"),
    "none as a member": (LINES + "group g any none\nquorum g\n", "none is not defined"),
    "a witness called none": (f"witness none {WITNESSES['X1'].vkey}\nquorum none", "none is taken"),
    "a group called none": (LINES + "group none any X1\nquorum none\n", "none is taken"),
    "one name twice": (LINES + "group X1 any X2\nquorum X1\n", "X1 is taken"),
    "a member of two groups": (
        LINES + "group a any X1\ngroup b any X1\nquorum a",
        "X1 is a member",
    ),
    "a member twice": (LINES + "group a 2 X1 X1\nquorum a", "X1 is a member already"),
    "no members": (LINES + "group a any\nquorum X1", "no line of a policy"),
    "threshold 0": (LINES + "group a 0 X1\nquorum a", "threshold 0 of 1"),
    "threshold too high": (LINES + "group a 3 X1 X2\nquorum a", "threshold 3 of 2"),
    "threshold in words": (LINES + "group a two X1 X2\nquorum a", "threshold two"),
    "threshold with a sign": (LINES + "group a +1 X1 X2\nquorum a", "threshold"),
    "threshold padded": (LINES + "group a 01 X1 X2\nquorum a", "threshold 01"),
    "threshold in other digits": (
        LINES + "group a \N{ARABIC-INDIC DIGIT ONE} X1 X2\nquorum a",
        "threshold",
    ),
    "one witness's key twice": (
        LINES + f"witness Z {WITNESSES['X1'].vkey}\nquorum Z",
        "listed already",
    ),
    "one key under two names": (
        LINES + f"witness Z {Cosigner('z', WITNESSES['X1'].key).vkey}\nquorum Z",
        "listed already",
    ),
    "one log twice": (f"log {LOG.vkey}\nlog {LOG.vkey}\nquorum none", "listed already"),
    "a witness's key for a log": (f"log {WITNESSES['X1'].vkey}\nquorum none", "line 1: key X1"),
    "a log's key for a witness": (f"witness a {LOG.vkey}\nquorum a", "type 4"),
    "a word too many": (f"log {LOG.vkey} http://a b\nquorum none", "no line of a policy"),
    "an unknown line": ("policy v2\nquorum none", "begins `policy`"),
    "a carriage return": ("quorum none\r\n", "control character"),
    "a zero byte": ("quorum none\0\n", "control character"),
    "too many lines": (MANY + "quorum none\n", f"line {LINES_MAX + 1}: more than {LINES_MAX}"),
    "too long": ("#" * (POLICY_MAX + 1), "longer than"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_policy_that_breaks_a_rule_is_refused(name):
    text, told = REFUSED[name]
    with pytest.raises(TlogPolicyError, match=told):
        read(text)


def test_a_policy_is_read_from_a_file(tmp_path):
    (tmp_path / "p").write_text(EXAMPLE, encoding="utf-8")
    policy = load_policy(tmp_path / "p")
    assert [w.name for w in policy.witnesses] == list(NAMES)
    assert policy.groups == read(EXAMPLE).groups


def test_groups_nest_as_deep_as_a_policy_has_lines():
    lines = [f"witness w {WITNESSES['X1'].vkey}", "group g0 any w"]
    lines += [f"group g{n} any g{n - 1}" for n in range(1, LINES_MAX - 2)]
    policy = read("\n".join([*lines, f"quorum g{LINES_MAX - 3}"]))
    assert policy.judge(note_by(["X1"])).met


@given(st.data())
def test_quorums_agree_with_an_oracle(data):
    """Random groups; the oracle evaluates the nested tuples they were drawn as."""
    free = list(NAMES)
    trees = {name: name for name in NAMES}
    lines = []
    for number in range(data.draw(st.integers(0, 4))):
        members = data.draw(st.lists(st.sampled_from(free), min_size=1, unique=True))
        threshold = data.draw(st.integers(1, len(members)))
        name = f"g{number}"
        lines.append(f"group {name} {threshold} {' '.join(members)}\n")
        trees[name] = (threshold, [trees[member] for member in members])
        free = [item for item in free if item not in members] + [name]
    chosen = data.draw(st.sampled_from(sorted(trees)))
    cosigned = data.draw(st.sets(st.sampled_from(NAMES)))

    def holds(tree):
        if isinstance(tree, str):
            return tree in cosigned
        threshold, members = tree
        return len([m for m in members if holds(m)]) >= threshold

    policy = read(LINES + "".join(lines) + f"quorum {chosen}\n")
    assert policy.judge(note_by(sorted(cosigned))).met is holds(trees[chosen])
