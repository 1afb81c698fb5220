"""What the demo prints. One voice, one place; the steps decide nothing here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WIDTH = 100  # readable in a README as well as in a terminal


class Narration:
    """The demo's voice."""

    def __init__(self) -> None:
        wide = Console()
        self.console = Console(
            width=min(wide.width, WIDTH) if wide.is_terminal else WIDTH, highlight=False
        )

    def step(self, number: int, text: str) -> None:
        """A new step."""
        self.console.print(f"\n[bold]{number}. {text}[/bold]")

    def say(self, text: str) -> None:
        """A line or a paragraph under the step."""
        self.console.print(Padding(text, (0, 0, 0, 3), expand=False))

    def progress(self) -> Progress:
        """A bar that goes away when it is full."""
        return Progress(
            TextColumn("   {task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def two_reports(self, honesty: dict[str, Any], correctness: dict[str, Any]) -> None:
        """Both reports side by side, each in its own words; nothing is added up."""
        table = Table(box=box.SIMPLE_HEAD, expand=True)
        table.add_column("Model", no_wrap=True)
        table.add_column("Computed honestly?")
        table.add_column("Computed correctly?")
        executions = {e["model_digest"]: e for e in honesty["executions"]}
        for model in correctness["evaluated_models"]:
            execution = executions.get(model["model_digest"])
            table.add_row(
                model["model_name"],
                _honest_words(execution) if execution else "no execution recorded",
                _correct_words(model),
            )
        self.console.print(table)
        self.say(f"The first does not say: {honesty['says_nothing_on']}")
        self.say(f"The second does not say: {correctness['does_not_say']}")

    def quadrants(self, rows: Sequence[tuple[str, str, str, str]]) -> None:
        """The four quadrants: name, what happened, honest words, correct words."""
        table = Table(box=box.SIMPLE_HEAD, expand=True)
        table.add_column("Quadrant", no_wrap=True)
        for heading in ("What happened", "Computed honestly?", "Computed correctly?"):
            table.add_column(heading)
        for name, happened, execution, standing in rows:
            table.add_row(name, happened, execution, standing.replace("_", " "))
        self.console.print(table)

    def end(self, holds: bool, directory: Path, seconds: float) -> None:  # noqa: FBT001 - one fact
        """Whether everything came out as told, and where it lies."""
        verdict = "all as expected" if holds else "[red]NOT as expected[/red]"
        self.console.print(f"\n[bold]{verdict}[/bold], {seconds:.0f} s. In {directory}:")
        self.say("reports/honesty.json  reports/correctness.json  export/  log.vkey")

    def ready(self, address: str, path: str) -> None:
        """The last words before Ctrl-C."""
        self.console.print(f"\n[bold]Dashboards:[/bold] {address}{path}", soft_wrap=True)
        self.say("the link signs you in once; stop with Ctrl-C")


def _honest_words(execution: dict[str, Any]) -> str:
    counts = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in _counts(execution) if n)
    return f"{execution['verdict']}: {counts}"


def _counts(execution: dict[str, Any]) -> list[tuple[str, int]]:
    order = ("bit_exact", "within_tolerance", "different", "erased", "not_replayable")
    return [(kind, int(execution["counts"].get(kind, 0))) for kind in order]


def _correct_words(model: dict[str, Any]) -> str:
    return f"{model['standing'].replace('_', ' ')}: {model['standing_reason']}"
