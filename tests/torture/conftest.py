"""`make torture`: minutes of it, each sweep with a line that says how far it is."""

import sys
import time

import pytest

EVERY_S = 10  # between two lines where they cannot be written over (CI)


@pytest.fixture
def progress(pytestconfig):
    """`say(text)`: one line past pytest's capture; on a terminal each overwrites the last."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    last = 0.0

    def say(text, *, now=False):
        nonlocal last
        with capture.global_and_fixture_disabled():
            over = sys.stderr.isatty()
            if over:
                sys.stderr.write(f"\r\x1b[K{text}")
            elif now or time.monotonic() - last > EVERY_S:
                last = time.monotonic()
                sys.stderr.write(f"\n{text}")
            sys.stderr.flush()

    yield say
    say("")


@pytest.fixture
def swept(progress):
    """The items of a list one by one, with how many are done."""

    def sweep(items, what):
        began = time.monotonic()
        for done, item in enumerate(items):
            progress(f"{what}: {done} of {len(items)}, {time.monotonic() - began:.0f} s")
            yield item
        took = time.monotonic() - began
        progress(f"{what}: all {len(items)} done in {took:.0f} s", now=True)

    return sweep
