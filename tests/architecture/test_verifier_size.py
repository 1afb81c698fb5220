"""The verifier stays small enough to be read: its lines of code are counted and may only shrink.

Counted are lines that hold code: no blank lines, no comments, no docstrings. The aim was about 600.
What decides whether an entry is in the tree that the log signed is near it; the whole is more than
three times that (docs/adr/0017-verifier-size.md says what the rest is for).
"""

import ast
import io
import tokenize

from ledger.verifier_archive import modules

# Ratchets: lower them when the verifier shrinks, raise them only with a reason in the commit.
CORE_MOST = 623  # bytes to leaf hashes, tiles, root, and every checkpoint under the log's keys
CHECKS_MOST = 787
WHOLE_MOST = 2185
# What is left when nothing of what entries say is looked at.
CORE = (
    "checkpoint",
    "public_keys",
    "refusals",
    "tile_paths",
    "tree",
    "verify_history",
    "verify_tree",
)
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
    return {path.stem: code_lines(path.read_text("utf-8")) for path in modules("verify")}


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


def test_what_settles_the_tree_and_its_signatures_does_not_grow():
    core = {name: lines for name, lines in sizes().items() if name in CORE}
    assert CORE_MOST - SLACK < sum(core.values()) <= CORE_MOST, core


def test_the_verifier_with_what_it_imports_does_not_grow():
    assert WHOLE_MOST - SLACK < sum(sizes().values()) <= WHOLE_MOST, sizes()


def test_what_is_counted_is_what_checks_a_log():
    assert {"verify", "verify_entries", "grammar", *CORE} <= sizes().keys()
    # No writing half of a format, and nothing of the log at work.
    assert not {"note", "keys", "merkle", "record", "commitment", "signing"} & sizes().keys()
    assert not {"log", "store", "vault", "seal", "export"} & sizes().keys()
