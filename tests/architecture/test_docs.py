"""The documentation against the program: links, help, settings, limits, names, words.

`python tests/architecture/test_docs.py` writes the help blocks of docs/cli.md anew, and adds and
drops rows of docs/limits.md; a reason that the code does not give is left as `?` for a person.
"""

import ast
import importlib
import re
from datetime import timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from service.cli import COMMANDS, main
from service.settings import Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CLI = DOCS / "cli.md"
LIMITS = DOCS / "limits.md"
PAGES = sorted(
    [
        *DOCS.rglob("*.md"),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    ]
)
PACKAGES = ("service", "models", "ledger", "monitoring", "dashboards")
COLUMNS = 78  # what click leaves of a terminal of 80
BLOCK = re.compile(r"```console\n\$ assay ((?:[a-z-]+ )*)--help\n(.*?)```", re.DOTALL)
# Constants that bound something; sizes that a standard fixes are not among them.
LIMIT = re.compile(
    r"[A-Z][A-Z0-9_]*_(MAX|KEPT|SHOWN|S|MS|SECONDS|LIFE|ITEMS|EVERY|ENTRIES)|MINIMUM\w*"
    r"|CHUNK|PAGE|BACKLOG|RETRIES|TRIES|POOL_SIZE|(BATCH|MEMORY)_BYTES|(BATCH|SAMPLE|WINDOW|MINIMUM)_ROWS"
)
NO_LIMITS = ("service/demo",)  # its waits are for the machine it runs on, not for callers
# Said of a product, these claim what nobody checked. Where a page says so, it quotes them.
BANNED = re.compile(
    r"tamper-?proof|immutable|compliant|certified|regulator-approved|bullet-?proof|unhackable"
    r"|trust score|proven correct|100 ?% (safe|secure|accurate)|military-grade|guaranteed",
    re.IGNORECASE,
)


def prose(page):
    """A page without its fenced blocks."""
    return re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_resolves(page):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or (anchor and anchor not in anchors(place)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_named_in_a_page_exists(page):
    names = re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|md|toml|html|css|js|json))`", prose(page))
    missing = [name for name in names if not (ROOT / name).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_named_in_a_page_exists(page):
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    named = set(re.findall(r"`(test_\w+)`", prose(page)))
    assert not named - defined


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_claims_what_nobody_checked(page):
    assert BANNED.findall(prose(page)) == []


def test_every_page_is_on_the_map():
    pages = set(DOCS.rglob("*.md")) - {DOCS / "README.md"}
    linked = {
        (DOCS / target.partition("#")[0]).resolve()
        for target in re.findall(r"\]\(([^)\s:]+)\)", prose(DOCS / "README.md"))
    }
    assert not {str(page.relative_to(DOCS)) for page in pages - linked}


# --- the command line --------------------------------------------------------------------------


def subcommands(command=main, path=()):
    """Every command and group, as the words one types."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from subcommands(command.get_command(context, name), (*path, name))


def help_of(path):
    result = CliRunner().invoke(main, [*path, "--help"], prog_name="assay", terminal_width=COLUMNS)
    assert result.exit_code == 0, result.output
    return result.output


def test_help_in_the_docs_is_the_programs():
    shown = {tuple(words.split()): text for words, text in BLOCK.findall(CLI.read_text("utf-8"))}
    assert set(shown) == set(subcommands())
    for path, text in shown.items():
        assert text == help_of(path), f"assay {' '.join(path)}: run python {__file__}"


def test_a_commands_line_in_the_list_is_what_it_does():
    for name, (_, line) in COMMANDS.items():
        assert line in help_of(()), name


def rewrite_help():
    """Put the program's own help into each help block; commands without one go to the end."""
    text = CLI.read_text("utf-8")
    for path in subcommands():
        line = f"$ assay {' '.join(path)} --help\n"
        if path and line not in text:
            text += f"\n### assay {' '.join(path)}\n\n```console\n{line}```\n"
    for words, shown in BLOCK.findall(text):
        head = f"$ assay {words}--help\n"
        text = text.replace(head + shown + "```", head + help_of(tuple(words.split())) + "```")
    CLI.write_text(text, "utf-8")


# --- settings and limits -----------------------------------------------------------------------


def test_every_setting_is_in_operations_with_its_default():
    table = dict(
        re.findall(
            r"^\| `ASSAY_(\w+)` \| `?([^`|]*?)`? \|",
            (DOCS / "operations.md").read_text("utf-8"),
            re.MULTILINE,
        )
    )
    expected = {
        name.upper(): "none" if field.default is None else str(field.default) or "empty"
        for name, field in Settings.model_fields.items()
    }
    assert table == expected


def limits_in_code():
    """Module and name of every constant that bounds something, with its value."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name.startswith(NO_LIMITS):
                continue
            for node in ast.parse(path.read_text("utf-8")).body:
                target = node.targets[0] if isinstance(node, ast.Assign) else None
                target = node.target if isinstance(node, ast.AnnAssign) else target
                if isinstance(target, ast.Name) and LIMIT.fullmatch(target.id):
                    module = name.removesuffix(".py").replace("/", ".")
                    value = getattr(importlib.import_module(module), target.id)
                    if isinstance(value, int | float | timedelta):
                        yield f"{module}.{target.id}", value


def limits_on_the_page():
    """Name, value and reason of each row about a constant."""
    rows = re.findall(
        r"^\| `(\w+\.[\w.]+)` \| ([\d,.]+)[^|]*\| *([^|]*?) *\|$",
        LIMITS.read_text("utf-8"),
        re.MULTILINE,
    )
    return {name: (float(value.replace(",", "")), reason) for name, value, reason in rows}


def number(value):
    return value.total_seconds() / 60 if isinstance(value, timedelta) else value


def test_every_limit_is_on_its_page_with_its_value_and_a_reason():
    documented = limits_on_the_page()
    code = {name: number(value) for name, value in limits_in_code()}
    without_a_row = sorted(code.keys() - documented.keys())
    no_longer_there = sorted(documented.keys() - code.keys())
    assert (without_a_row, no_longer_there) == ([], [])
    assert {name: value for name, (value, _) in documented.items()} == pytest.approx(code)
    assert [name for name, (_, reason) in documented.items() if reason in {"", "?"}] == []


def section_of(name):
    """The part of the page that a constant belongs to."""
    if name.startswith(("service.auditor", "service.cli", "ledger.findings", "ledger.verify")):
        return "Audit"
    package = name.partition(".")[0]
    return "Pages" if package == "dashboards" else package.capitalize()


def rewrite_limits():
    """Drop rows of what is gone, add rows of what is new, with the code's own reason."""
    documented, code = limits_on_the_page(), dict(limits_in_code())
    lines = LIMITS.read_text("utf-8").split("\n")
    gone = documented.keys() - code.keys()
    lines = [line for line in lines if not line.startswith(tuple(f"| `{name}` " for name in gone))]
    for name in sorted(code.keys() - documented.keys()):
        module, _, constant = name.rpartition(".")
        source = (ROOT / (module.replace(".", "/") + ".py")).read_text("utf-8")
        comment = re.search(rf"^{constant}\b.*?  # (.*)$", source, re.MULTILINE)
        unit = {"S": " seconds", "SECONDS": " seconds", "MS": " ms"}.get(
            constant.split("_")[-1], ""
        )
        row = f"| `{name}` | {number(code[name]):,}{unit} | {comment[1] if comment else '?'} |"
        end = lines.index(f"### {section_of(name)}") + 2
        while lines[end].startswith("|"):
            end += 1
        lines.insert(end, row)
    LIMITS.write_text("\n".join(lines), "utf-8")


# --- decisions -----------------------------------------------------------------------------------

DECISIONS = sorted((DOCS / "adr").glob("*.md"))


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_says_context_decision_cost_and_when_to_revisit(page):
    text = page.read_text("utf-8")
    number = int(page.name[:4])
    assert text.startswith(f"# {number}. ")
    parts = re.findall(r"^\*\*(\w+)", text, re.MULTILINE)
    assert parts == ["Context", "Decision", "Cost", "Revisit"]
    assert len(text.splitlines()) <= 45, "half a page"


def test_decisions_are_numbered_without_gap():
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


if __name__ == "__main__":
    rewrite_help()
    rewrite_limits()
