"""A receipt checked by the reader's own browser: real keys, a real tree, a real Chromium.

Whatever is done to a receipt, the browser passes it exactly when `ledger.receipt` does.
"""

import base64
import copy
import hashlib
import json
import random

import pytest

from ledger.errors import LedgerError
from ledger.keys import SigningKey
from ledger.merkle import inclusion_path, leaf_hash, root_of
from ledger.note import Checkpoint, NoteSigner, VerifierKey, sign_checkpoint
from ledger.receipt import Receipt, verify_receipt
from ledger.record import Draft, assemble, encode_body, row_bytes, row_object, signed_message

pytestmark = pytest.mark.browser

ORIGIN = "bank.example/decisions"
PRODUCER = SigningKey(bytes(range(32)))
LOG = NoteSigner(ORIGIN, SigningKey(bytes(range(1, 33))))
ROWS = [row_object(n, {"x": "1" * 64}, {"margin_q16": "2" * 64}, f"limit {n}") for n in range(3)]
DIGEST = "sha256:" + "0" * 64
STEPS = [
    "Your key is a verifier key",
    "The receipt has its form",
    "The checkpoint is signed with your key",
    "The entry is in the signed tree",
    "The entry is of this log",
]


def entry(n, *, origin=ORIGIN):
    leaves = [leaf_hash(row_bytes(row)) for row in ROWS]
    data = {
        "model_digest": DIGEST,
        "model_name": "credit-default",
        "policy_digest": DIGEST,
        "environment_digest": DIGEST,
        "verification_mode": "signed",
        "as_of": None,
        "caller_reference": None,
    }
    data |= {"row_count": 3, "rows_root": root_of(leaves).hex()} if n == 4 else {}
    data |= {"row_count": 1, "row": ROWS[0]} if n != 4 else {}
    time = "2026-11-25T03:20:00.000Z"
    draft = Draft(type="prediction", actor_id="Zürich, 東京", data=data, event_time=time)
    body = encode_body(draft, origin=origin, producer=PRODUCER.key_id, seq=n)
    return assemble(body, PRODUCER.sign(signed_message(body)))


def receipt(leaf=2, size=11, signer=LOG, **changed):
    entries = [entry(n, **changed) for n in range(size)]
    hashes = [leaf_hash(data) for data in entries]
    note = sign_checkpoint(Checkpoint(signer.name, size, root_of(hashes)), signer)
    return Receipt(leaf, entries[leaf], size, tuple(inclusion_path(hashes, leaf)), note).to_json()


@pytest.fixture
def open_receipt(browser, address, site):
    """The page of a prediction with a receipt, and what the browser says of it."""
    contexts = []

    def go(value, path="/predictions/64.0", script=None, proof=None):
        found = site.house.answers[path.replace("/predictions", "/v1/predictions")]
        found["receipt"] = value
        if proof is not None:
            found["row_proofs"] = [proof]
        context = browser.new_context(base_url=address)
        contexts.append(context)
        if script:
            context.add_init_script(script)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.trouble, page.requests = [], []
        page.on("console", lambda m: page.trouble.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: page.trouble.append(str(error)))
        page.goto(path)
        # The browser fetches the page's icon whenever it likes; that tells the server nothing.
        page.on(
            "request",
            lambda request: "/favicon." in request.url or page.requests.append(request.url),
        )
        return page

    yield go
    for context in contexts:
        context.close()


def ask(page, key=LOG.vkey):
    """Press the button; returns the states of the steps, and the verdict."""
    page.fill("#verifier-key", key)
    page.evaluate("document.querySelector('[data-part=end]').className = ''")
    page.click("text=Check the receipt")
    page.wait_for_selector(".end[class*=' ']")
    states = page.eval_on_selector_all(".proof-steps li", "items => items.map(i => i.className)")
    return states, page.locator("[data-part=end]").inner_text()


JUDGE = """async ([text, key]) => {
  if (text !== null) document.querySelector('#receipt-json').textContent = text;
  document.querySelector('#verifier-key').value = key;
  const end = document.querySelector('[data-part=end]');
  end.className = '';
  document.querySelector('[data-part=form]').requestSubmit();
  while (!end.className) await new Promise((next) => setTimeout(next, 1));
  const states = [...document.querySelectorAll('.proof-steps li')].map((item) => item.className);
  return [states, end.textContent]; }"""


def judged(page, value, key=LOG.vkey):
    """States and verdict for another receipt on the same page; a text is taken as it is."""
    text = value if isinstance(value, str) else json.dumps(value)
    return page.evaluate(JUDGE, [text, key])


def details(page):
    return page.eval_on_selector_all(".proof-steps .fine", "items => items.map(i => i.textContent)")


def test_a_good_receipt_passes_every_step_and_the_bytes_are_told(open_receipt):
    page = open_receipt(receipt())
    states, end = ask(page)
    assert states == ["passed"] * 5, details(page)
    assert end.startswith("Every step passed")
    titles = page.eval_on_selector_all(
        ".proof-steps li > span:nth-child(2)", "items => items.map(i => i.textContent)"
    )
    assert titles == STEPS
    told = page.locator("[data-part=facts]").inner_text()
    for text in ("prediction", "credit-default", DIGEST, "limit 0"):
        assert text in told
    assert page.trouble == []
    assert page.requests == [], "nothing is sent"


@pytest.mark.parametrize(
    ("leaf", "size"), [(0, 1), (0, 2), (6, 7), (7, 8), (8, 9), (5, 11), (10, 11)]
)
def test_paths_of_every_shape(open_receipt, leaf, size):
    assert ask(open_receipt(receipt(leaf, size)))[0] == ["passed"] * 5


def test_without_scripts_nothing_is_offered(browser, address, site):
    context = browser.new_context(base_url=address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/predictions/64.0")
    assert not page.locator(".in-browser").is_visible()
    context.close()


def changed(**changes):
    return {**receipt(), **changes}


def inclusion(**changes):
    value = receipt()
    return {**value, "inclusion": {**value["inclusion"], **changes}}


def flipped(path, at=0):
    digit = "0" if path[at] != "0" else "1"
    return path[:at] + digit + path[at + 1 :]


PATH = receipt()["inclusion"]["path"]
NOTE = receipt()["checkpoint"]


def respelled(note):
    """The same signature in base64 with a spare bit set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body, end = note[:-3], note[-3:]
    assert end.endswith("=\n")
    return body + alphabet[alphabet.index(end[0]) | 1] + end[1:]


def weakly_signed(note):
    """A signature whose R is the neutral point: libraries accept it, the rules do not."""
    order = 2**252 + 27742317777372353535851937790883648493
    seed = bytes(range(1, 33))
    scalar = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little")
    scalar = (scalar & ((1 << 254) - 8)) | (1 << 254)
    neutral = (1).to_bytes(32, "little")
    text = note.split("\n\n")[0] + "\n"
    hashed = hashlib.sha512(neutral + LOG.key.public + text.encode()).digest()
    s = int.from_bytes(hashed, "little") * scalar % order
    made = LOG.hash + neutral + s.to_bytes(32, "little")
    return f"{text}\n\u2014 {ORIGIN} {base64.b64encode(made).decode()}\n"


def test_the_weak_signature_would_pass_without_the_rules():
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    text, line = weakly_signed(NOTE).split("\n\n")
    signature = base64.b64decode(line.split(" ")[2])[4:]
    Ed25519PublicKey.from_public_bytes(LOG.key.public).verify(signature, (text + "\n").encode())


STRANGER = NoteSigner(ORIGIN, SigningKey(b"s" * 32))
TAMPERED = {
    "a value in the entry": (3, changed(entry=receipt()["entry"].replace("limit 0", "limit 9"))),
    "a space in the entry": (3, changed(entry=receipt()["entry"] + " ")),
    "another leaf": (3, changed(leaf_index=3)),
    "a negative leaf": (3, changed(leaf_index=-1)),
    "a leaf past the tree": (3, changed(leaf_index=11)),
    "a fraction of a leaf": (3, changed(leaf_index=2.5)),
    "a flipped hash": (3, inclusion(path=[flipped(PATH[0]), *PATH[1:]])),
    "a hash too few": (3, inclusion(path=PATH[:-1])),
    "a hash too many": (3, inclusion(path=[*PATH, PATH[0]])),
    "hashes swapped": (3, inclusion(path=PATH[::-1])),
    "a hash cut short": (3, inclusion(path=[PATH[0][:62], *PATH[1:]])),
    "no list of hashes": (3, inclusion(path="x")),
    "another size beside the path": (3, inclusion(tree_size=12)),
    "another size in the checkpoint": (2, changed(checkpoint=NOTE.replace("\n11\n", "\n12\n"))),
    "another root in the checkpoint": (
        2,
        changed(checkpoint=NOTE.replace(NOTE.split("\n")[2], "A" * 43 + "=")),
    ),
    "a signature cut off": (2, changed(checkpoint=NOTE[: NOTE.index("\u2014")])),
    "a signature in another spelling": (2, changed(checkpoint=respelled(NOTE))),
    "a signature with a weak point": (2, changed(checkpoint=weakly_signed(NOTE))),
    "a signature by a stranger": (2, receipt(signer=STRANGER)),
    "an entry of another log": (4, receipt(origin="other.example/log")),
    "another format": (1, changed(format="assay/receipt/v0")),
    "no receipt": (1, {"colour": "blue"}),
}


def test_a_tampered_receipt_fails_at_the_step_that_shows_it(open_receipt):
    page = open_receipt(receipt())
    for name, (at, value) in TAMPERED.items():
        with pytest.raises(LedgerError):
            verify_receipt(Receipt.from_json(value), LOG.vkey)
        states, end = judged(page, value)
        assert states == ["passed"] * at + ["failed"] + ["skipped"] * (4 - at), name
        assert end.startswith("Failed")
        assert not page.locator("[data-part=facts]").is_visible()
    assert page.trouble == []


def test_a_receipt_tampered_on_the_server_fails_under_the_readers_key(open_receipt):
    value = receipt()
    value["entry"] = value["entry"].replace("limit 0", "limit 1")
    states, end = ask(open_receipt(value))
    assert states[3] == "failed"
    assert end.startswith("Failed")


def test_the_browser_and_the_library_agree_on_random_damage(open_receipt):
    """Each receipt loses, gains or changes characters somewhere in its JSON."""
    page = open_receipt(receipt())
    chance = random.Random(5)
    whole, passed = json.dumps(receipt(4, 11), ensure_ascii=False), 0
    for round_ in range(150):
        at = chance.randrange(len(whole))
        put = chance.choice(["", whole[at] * 2, chance.choice('0aA+/=\n —"1')])
        text = whole if round_ % 30 == 0 else whole[:at] + put + whole[at + 1 :]
        try:
            verify_receipt(Receipt.from_json(json.loads(text)), LOG.vkey)
            wanted, passed = "Every", passed + 1
        except (LedgerError, ValueError):
            wanted = "Failed"
        assert judged(page, text)[1].startswith(wanted), text
    assert passed >= 5


# Keys.


def vkey(point, name=ORIGIN, kind=1):
    from hashlib import sha256

    material = bytes([kind]) + point
    hashed = sha256(name.encode() + b"\n" + material).digest()[:4].hex()
    return f"{name}+{hashed}+{base64.b64encode(material).decode()}"


P = 2**255 - 19
GOOD = LOG.key.public
BAD_KEYS = {
    "nothing": "x",
    "another hash": LOG.vkey.replace(LOG.vkey.split("+")[1], "00000000"),
    "another type": vkey(GOOD, kind=4),
    "too short": vkey(GOOD[:31]),
    "small order": vkey(bytes(32)),
    "small order, signed": vkey(bytes(31) + b"\x80"),
    "order eight": vkey(
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
    ),
    "not canonical": vkey((P + 2).to_bytes(32, "little")),
    "base64 with spare bits": LOG.vkey[:-1] + ("B" if LOG.vkey[-1] != "B" else "C"),
    "a space in the name": vkey(GOOD, name="bank example"),
}


def test_a_key_that_cannot_be_used_fails_first(open_receipt):
    page = open_receipt(receipt())
    for name, key in BAD_KEYS.items():
        with pytest.raises(LedgerError):
            VerifierKey.parse(key)
        states, end = judged(page, receipt(), key)
        assert states == ["failed"] + ["skipped"] * 4, name
        assert end.startswith("Failed")


def test_the_key_of_another_log_fails_at_the_checkpoint(open_receipt):
    other = NoteSigner("other.example/log", SigningKey(b"o" * 32)).vkey
    states, _ = ask(open_receipt(receipt()), other)
    assert states == ["passed", "passed", "failed", "skipped", "skipped"]


def test_cosignatures_of_others_are_passed_over(open_receipt):
    value = receipt()
    other = NoteSigner("witness.example", SigningKey(b"w" * 32))
    line = sign_checkpoint(Checkpoint(other.name, 11, bytes(32)), other).split("\n\n")[1]
    value["checkpoint"] += line
    assert ask(open_receipt(value))[0] == ["passed"] * 5


def test_the_key_is_kept_only_when_asked(open_receipt):
    page = open_receipt(receipt())
    ask(page)
    assert page.evaluate("localStorage.length") == 0
    page.check("[data-part=keep]")
    ask(page)
    page.reload()
    assert page.input_value("#verifier-key") == LOG.vkey
    assert page.is_checked("[data-part=keep]")
    page.uncheck("[data-part=keep]")
    ask(page)
    page.reload()
    assert page.input_value("#verifier-key") == ""


def test_the_page_names_no_key_of_its_own(site):
    assert LOG.vkey.split("+")[2] not in site.page("/predictions/64.0").source
    assert not any(
        attrs.get("value")
        for attrs in site.page("/predictions/64.0").all("input", id="verifier-key")
    )


# What a browser may lack.

NO_ED25519 = """
const real = SubtleCrypto.prototype.importKey;
SubtleCrypto.prototype.importKey = function (format, key, algorithm, ...rest) {
  if (algorithm.name === 'Ed25519') return Promise.reject(new DOMException('no', 'NotSupportedError'));
  return real.call(this, format, key, algorithm, ...rest);
};"""
NO_SUBTLE = "Object.defineProperty(Crypto.prototype, 'subtle', { get: () => undefined });"


def test_a_browser_without_ed25519_says_so_and_passes_nothing(open_receipt):
    page = open_receipt(receipt(), script=NO_ED25519)
    states, end = ask(page)
    assert states == ["passed", "passed", "cannot", "skipped", "skipped"]
    assert "has no Ed25519" in details(page)[2]
    assert end.startswith("Not checked: this browser cannot.")


def test_a_page_without_webcrypto_says_so(open_receipt):
    page = open_receipt(receipt(), script=NO_SUBTLE)
    states, end = ask(page)
    assert states == ["cannot"] + ["skipped"] * 4
    assert "not loaded over https" in details(page)[0]
    assert end.startswith("Not checked")


# A row of many.


def row_proof(index=1):
    rows = [row_bytes(row) for row in ROWS]
    path = inclusion_path([leaf_hash(row) for row in rows], index)
    return {
        "row": rows[index].decode(),
        "row_index": index,
        "row_count": 3,
        "path": [node.hex() for node in path],
    }


def test_a_row_is_checked_to_be_in_its_entry(open_receipt):
    page = open_receipt(receipt(4), path="/predictions/40.1", proof=row_proof())
    states, _ = ask(page)
    assert states == ["passed"] * 6, details(page)
    assert "limit 1" in page.locator("[data-part=facts]").inner_text()


@pytest.mark.parametrize("field", ["row", "row_index", "row_count", "path"])
def test_a_row_of_another_place_or_text_fails(open_receipt, field):
    proof = copy.deepcopy(row_proof())
    proof[field] = {
        "row": proof["row"].replace("limit 1", "limit 2"),
        "row_index": 2,
        "row_count": 4,
        "path": proof["path"][:1],
    }[field]
    states, _ = ask(open_receipt(receipt(4), path="/predictions/40.1", proof=proof))
    assert states == ["passed"] * 5 + ["failed"]


# Reading it.


def test_the_check_can_be_done_from_the_keyboard_and_is_announced(open_receipt):
    page = open_receipt(receipt())
    page.focus("#verifier-key")
    page.keyboard.type(LOG.vkey)
    page.keyboard.press("Enter")
    page.wait_for_selector(".end.passed")
    assert page.get_attribute("[data-part=end]", "role") == "status"


@pytest.mark.parametrize("width", [320, 768])
def test_the_steps_fit_a_narrow_window(open_receipt, width):
    page = open_receipt(receipt())
    page.set_viewport_size({"width": width, "height": 800})
    ask(page)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) <= 0
