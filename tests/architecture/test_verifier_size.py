"""The verifier stays small enough to be read: its lines of code are counted and may only shrink.

Counted are lines that hold code: no blank lines, no comments, no docstrings. The aim was about 600
lines. The checks themselves (`verify*.py`) are near it; with the formats they read (entries, notes,
keys, tiles, tree), whose modules hold the writing side too, it is more than three times that.
"""

import ast
import io
import tokenize

from ledger.verifier_archive import modules

# Ratchets: lower them when the verifier shrinks, raise them only with a reason in the commit.
CHECKS_MOST = 720
WHOLE_MOST = 2540  # keys replaced and revoked are 70 of them, erasures 30, batches 60
SLACK = 60  # lines that may be gained before the figure above has to follow
QUIET = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def code_lines(source):
    """How many lines of a module hold code."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in QUIET:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            text = node.body[0]
            lines.difference_update(range(text.lineno, text.end_lineno + 1))
    return len(lines)


def sizes():
    files = [path for path in modules("verify") if path.stem != "__init__"]
    return {path.stem: code_lines(path.read_text("utf-8")) for path in files}


def test_lines_are_counted_without_blanks_comments_and_docstrings():
    source = '''"""A tour.

of two paragraphs"""

# a comment
A = (
    1,  # counted

    2,
)


def f():
    """What it does."""
    return """not
a docstring"""
'''
    assert code_lines(source) == 7


def checks():
    return {name: lines for name, lines in sizes().items() if name.startswith("verify")}


def test_the_checks_do_not_grow():
    assert CHECKS_MOST - SLACK < sum(checks().values()) <= CHECKS_MOST, checks()


def test_the_verifier_with_what_it_imports_does_not_grow():
    assert WHOLE_MOST - SLACK < sum(sizes().values()) <= WHOLE_MOST, sizes()


def test_what_is_counted_is_what_checks_a_log():
    assert {"verify", "verify_entries", "verify_tree", "note", "keys", "merkle"} <= sizes().keys()
    assert not {"log", "store", "vault", "seal", "export"} & sizes().keys()
