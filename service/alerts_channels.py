"""Apprise, wrapped: the channels an alarm is told to, read from one file of the operator.

The file is TOML, one table for each channel, named as it will stand in the log:

    [risk-desk]
    url = "mailtos://user:secret@mail.bank.example?to=risk@bank.example"
    severity = "red"          # only red alarms; without it all of them

    [hook]
    url = "jsons://hooks.bank.example/assay"

Addresses hold passwords: the file is refused when others than its owner may read it, and neither an
address nor what a server answered ever reaches a log, a page or an entry.

Apprise's quirks, met: `notify` gives False for every failure and tells its cause to the logger
`apprise` alone, with addresses in it, so that logger is silenced and a failure has one wording; an
exception of a plugin passes through; `json://` is plain HTTP, `jsons://` HTTPS, and both follow
redirects to wherever the server says unless `redirect=no`; without `cto` and `rto` a silent server
holds the caller for 8 seconds; a body is cut to the channel's length; it imports modules that
Python warns of. It is imported when a message is sent, by the scheduler alone: that takes 1.6 s.
"""

from __future__ import annotations

import logging
import re
import stat
import tomllib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from service.errors import ServiceError

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
CHANNELS_MAX: Final = 32  # of one house; each is tried for each alarm
FILE_MAX: Final = 65_536  # characters of the file; a channel takes two lines
CONNECT_S: Final = 4  # to a channel's server
READ_S: Final = 8  # for its answer; a silent one is tried again later
_TIMES: Final = f"cto={CONNECT_S}&rto={READ_S}"


@dataclass(frozen=True, slots=True)
class Channel:
    """Somewhere to tell alarms."""

    name: str
    url: str
    red_only: bool = False

    def wants(self, severity: str) -> bool:
        """Whether an alarm of this severity is told here."""
        return severity == "red" or not self.red_only

    def __repr__(self) -> str:
        return f"Channel({self.name!r})"  # the address holds a password


@dataclass(frozen=True, slots=True)
class Message:
    """What is told."""

    title: str
    body: str
    red: bool


class ChannelsRefused(ServiceError):
    """The file of channels cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(500, "channels-refused", f"{path}: {reason}")


def read_channels(path: Path | None) -> tuple[Channel, ...]:
    """The channels of a file, in its order; none without a file. Raises ChannelsRefused."""
    if path is None:
        return ()
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ChannelsRefused(path, f"it holds passwords; run: chmod 600 {path}")
        text = path.read_text("utf-8")
        told = tomllib.loads(text[: FILE_MAX + 1])
    except OSError as error:
        raise ChannelsRefused(path, f"it cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ChannelsRefused(path, "it is not TOML") from error
    if len(text) > FILE_MAX or len(told) > CHANNELS_MAX:
        raise ChannelsRefused(path, f"at most {CHANNELS_MAX} channels")
    return tuple(_channel(path, name, table) for name, table in told.items())


def _channel(path: Path, name: str, table: object) -> Channel:
    if not NAME.fullmatch(name):
        raise ChannelsRefused(path, f"[{name[:64]}]: a name is a-z, 0-9 and hyphens")
    if not isinstance(table, dict) or not set(table) <= {"url", "severity"}:
        raise ChannelsRefused(path, f"[{name}] has url and perhaps severity")
    if table.get("severity", "red") != "red":
        raise ChannelsRefused(path, f'[{name}] severity is "red", or left out')
    url = table.get("url")
    if not isinstance(url, str) or _service(url) is None:
        raise ChannelsRefused(path, f"[{name}] url is no address that Apprise knows")
    return Channel(name, url, red_only="severity" in table)


def _apprise() -> Any:  # noqa: ANN401 - a module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import apprise  # noqa: PLC0415 - see above

        apprise.Apprise.instantiate("json://nowhere")  # it loads its plugins with the first address
    logging.getLogger("apprise").disabled = True
    return apprise


def _service(url: str) -> Any:  # noqa: ANN401 - a plugin of Apprise; None for an unknown address
    apprise = _apprise()
    timed = url + ("&" if "?" in url else "?") + _TIMES
    asset = apprise.AppriseAsset(app_id="Assay", app_desc="Assay alarms", app_url="")
    found = apprise.Apprise.instantiate(timed, asset=asset, suppress_exceptions=True)
    if found is not None:
        found.redirects = False
    return found


def tell(channel: Channel, message: Message) -> str | None:
    """Tell a channel; None when its server took it, else why not, without what it answered."""
    apprise = _apprise()
    service = _service(channel.url)
    kind = apprise.NotifyType.FAILURE if message.red else apprise.NotifyType.WARNING
    try:
        taken = service.notify(title=message.title, body=message.body, notify_type=kind)
    except Exception as error:  # noqa: BLE001 - a plugin's own, whatever it is
        return f"the channel failed: {type(error).__name__}"
    return None if taken else "the server could not be reached, or refused it"
