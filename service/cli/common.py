"""What the commands that open a house share: the option that names it, and how errors are told."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click
from pydantic import ValidationError

from service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.assembly import Assembly

P = ParamSpec("P")
T = TypeVar("T")

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="The house: keys, database, blobs. [default: $ASSAY_DATA_DIR or assay-data]",
)


def settings_for(data_dir: Path | None, **changed: Any) -> Settings:  # noqa: ANN401 - any setting
    """Settings from the environment, with what the command line says on top."""
    given = {name: value for name, value in changed.items() if value is not None}
    if data_dir is not None:
        given["data_dir"] = data_dir
    try:
        return Settings(**given)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in wrong["loc"])
        option, variable = f"--{name.replace('_', '-')}", f"ASSAY_{name.upper()}"
        place = option if name in given else variable
        raise click.ClickException(f"{place}: {wrong['msg']}, not {wrong['input']!r}") from error


def open_house(data_dir: Path | None) -> Assembly:
    """The house named on the command line."""
    from service.assembly import assemble

    return assemble(settings_for(data_dir))


def told(command: Callable[P, T]) -> Callable[P, T]:
    """Tell an expected error in one sentence and exit 1; an unforeseen one keeps its traceback.

    Who sits at the machine may read the cause that HTTP's callers are not told.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        from service.errors import ServiceError, translate

        try:
            return command(*args, **kwargs)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            known = translate(error)
            if known is None:
                raise
            cause = known.detail if isinstance(error, ServiceError) else _sentence(error)
            raise click.ClickException(cause) from error

    return run


def _sentence(error: Exception) -> str:
    """An error as one line: of a database's error the driver's own words, not the statement."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
