"""How an audit and a receipt check are printed: one table, then what the result does not mean.

Every text out of an export is printed as text, never as markup: an export may be hostile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ledger.findings import CLAIMS as LOG_CLAIMS
from ledger.receipt import WITNESSED
from service.auditor.honesty import SAYS_NOTHING_ON, printable
from service.auditor.replay import Comparison
from service.verification.evidence import Verdict

if TYPE_CHECKING:
    from ledger.receipt import Receipt
    from ledger.tlog_policy import Quorum
    from service.auditor.bundle import Finding
    from service.auditor.honesty import HonestyReport

FINDINGS_SHOWN: Final = 10  # the rest is in the JSON report
WIDTH: Final = 100
MARKS: Final = {
    Verdict.VERIFIED: ("✓ verified", "green"),
    Verdict.FAILED: ("✗ failed", "bold red"),
    Verdict.NOT_CHECKED: ("- not checked", "yellow"),
}
_WORDS: Final = {
    Comparison.BIT_EXACT: "bit-exact",
    Comparison.WITHIN_TOLERANCE: "within tolerance",
    Comparison.DIFFERENT: "different",
    Comparison.ERASED: "erased",
    Comparison.NOT_REPLAYABLE: "not replayable",
}


def print_report(report: HonestyReport) -> None:
    """The report on one screen: where it stands, checks, models, failures, limits."""
    console = _console()
    console.print(Text(f"{printable(report.origin)}, checkpoint of {report.tree_size:,} entries"))
    console.print(Text(f"root {report.root_hash or 'unknown'}", style="dim"))
    if report.since is not None:
        before = f"The first {report.since.size:,} entries were audited before and not read again."
        console.print(Text(before))
    console.print(_checks(report))
    if report.executions:
        console.print(_executions(report))
    _print_findings(console, report)
    for check in report.checks:
        if check.detail and check.verdict is Verdict.NOT_CHECKED:
            console.print(Text(f"{_words(check.check)}, not checked: {printable(check.detail)}"))
    console.print(_conclusion(report))
    console.print(Text(SAYS_NOTHING_ON, style="dim"))


def print_receipt(
    receipt: Receipt, *, quorum: Quorum | None = None, compared: str | None = None
) -> None:
    """What a receipt shows and what it does not."""
    console = _console()
    console.print(
        Text(
            f"Included: entry {receipt.leaf_index} is in the tree of {receipt.tree_size:,} entries "
            "that the log signed."
        )
    )
    if quorum is not None:
        console.print(Text(f"Witnesses: {printable(str(quorum))}."))
    elif receipt.state == WITNESSED:
        console.print(Text("It says `witnessed`; that was not checked: give --witness-policy."))
    if compared is not None:
        console.print(Text(f"One history: this checkpoint and that of {printable(compared)}."))
    unseen = (
        "Another tree, shown to somebody else, would have needed these witnesses too."
        if quorum is not None and quorum.asked
        else "Nothing on whether the log shows somebody else another tree."
    )
    console.print(
        Text(
            "Nothing on who may sign such an entry or whether the model computed it: audit the "
            f"export for that. {unseen}",
            style="dim",
        )
    )


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def _checks(report: HonestyReport) -> Table:
    table = _table("Check", "Examined", "Failed", "Verdict")
    log = [check for check in report.checks if check.check in LOG_CLAIMS]
    held = [check for check in log if check.verdict is Verdict.VERIFIED]
    if held:
        word = Text(f"the log itself, {len(held)} checks")
        looked_at = report.tree_size - (report.since.size if report.since else 0)
        table.add_row(word, Text(f"{looked_at:,}"), Text(""), _mark(Verdict.VERIFIED))
    for check in report.checks:
        if check in held:
            continue
        table.add_row(
            Text(_words(check.check)),
            Text(f"{check.examined:,}"),
            Text(f"{check.failed:,}" if check.failed else ""),
            _mark(check.verdict) if check.asked else Text("- switched off", style="yellow"),
        )
    return table


def _executions(report: HonestyReport) -> Table:
    table = _table("Model run again", "Rows", "", "Verdict")
    for execution in report.executions:
        counts = [
            f"{execution.counts[kind]:,} {word}"
            for kind, word in _WORDS.items()
            if execution.counts.get(kind, 0)
        ]
        name = report.published_as.get(execution.model_digest, "unpublished")
        table.add_row(
            Text(f"{printable(name)}  {printable(execution.model_digest)[7:15]}…"),
            Text(f"{sum(execution.counts.values()):,}"),
            Text(", ".join(counts)),
            _mark(execution.verdict),
        )
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for position, heading in enumerate(headings):
        table.add_column(heading, justify="right" if position == 1 else "left")
    return table


def _print_findings(console: Console, report: HonestyReport) -> None:
    for finding in report.findings[:FINDINGS_SHOWN]:
        console.print(Text("✗ " + sentence(finding), style="red"), soft_wrap=True)
    if report.failed > FINDINGS_SHOWN:
        more = report.failed - FINDINGS_SHOWN
        console.print(Text(f"and {more:,} more; --json FILE writes the first of them"))


def sentence(finding: Finding) -> str:
    """`leaf 17, approval: expected somebody else, got the publisher (approval of sha256:…)`."""
    where = "" if finding.leaf is None else f"leaf {finding.leaf}, "
    about = f" ({printable(finding.subject)})" if finding.subject else ""
    expected, got = printable(finding.expected), printable(finding.got)
    return f"{where}{_words(finding.check)}: expected {expected}, got {got}{about}"


def _conclusion(report: HonestyReport) -> Text:
    if report.failed:
        return Text(
            f"FAILED: {report.failed:,} of what was checked does not hold.", style="bold red"
        )
    if report.unchecked:
        names = ", ".join(_words(check.check) for check in report.unchecked)
        return Text(f"NOT ALL CHECKED: nothing failed; left undone: {names}.", style="bold yellow")
    off = [_words(check.check) for check in report.checks if not check.asked]
    rest = f" Switched off: {', '.join(off)}." if off else ""
    return Text(f"VERIFIED: every check listed here held.{rest}", style="bold green")


def _mark(verdict: Verdict) -> Text:
    word, style = MARKS[verdict]
    return Text(word, style=style)


def _words(name: str) -> str:
    return printable(name).replace("_", " ")
