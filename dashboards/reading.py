"""Asking the API, and what came back: a body, or the problem that stood in its place.

A page has parts. When one part cannot be read (no report yet, a scope the reader lacks) the page
still stands and that part says why; only the part a page is about turns into an error page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Body = dict[str, Any]
Read = Callable[[str], Body]
Act = Callable[[str, Body], Body]  # sends a body as the reader; raises ReadError


class ReadError(Exception):
    """The API did not answer with a body: its status and its problem (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem) if isinstance(problem, Mapping) else {}
        super().__init__(f"the API answered {status}: {self.problem.get('detail', 'no detail')}")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something is not shown."""

    status: int
    title: str
    detail: str
    fields: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, error: ReadError) -> Problem:
        """The reader's view of an error."""
        body = error.problem
        fields = tuple(
            (str(item.get("field", "")), str(item.get("message", "")))
            for item in body.get("errors") or ()
        )
        return cls(
            status=error.status,
            title=str(body.get("title") or TITLES.get(error.status, "This page cannot be shown")),
            detail=str(body.get("detail") or "The API gave no reason."),
            fields=fields,
        )


TITLES = {
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    503: "Not available now",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a page: its body, or the problem shown in its place."""

    body: Body | None
    problem: Problem | None = None


def part(read: Read, path: str) -> Part:
    """Read what a page can do without."""
    try:
        return Part(read(path))
    except ReadError as error:
        return Part(None, Problem.of(error))


def segment(text: str) -> str:
    """One segment of a path, whatever characters the reader typed."""
    return quote(text, safe="")
