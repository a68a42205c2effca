"""Debian's Chromium by Playwright, for tests of pages."""

import shutil
from contextlib import contextmanager

import pytest
from playwright.sync_api import sync_playwright

EXECUTABLE = shutil.which("chromium")


@contextmanager
def launched():
    """A browser; without one the test is skipped."""
    if EXECUTABLE is None:
        pytest.skip("needs Chromium (Debian's package: chromium)")
    with sync_playwright() as api, api.chromium.launch(executable_path=EXECUTABLE) as chromium:
        yield chromium


@contextmanager
def watched(browser, address):
    """What opens the page at ``address``, which asks for nothing else and complains of nothing."""
    requests, complaints = [], []

    def logged(message):
        if message.type in ("error", "warning", "assert"):
            complaints.append(message.text)

    def opened(width, scheme):
        size = {"width": width, "height": 800}
        page = browser.new_page(viewport=size, color_scheme=scheme)
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", logged)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        return page

    yield opened
    for context in browser.contexts:
        context.close()
    assert complaints == []
    assert [asked for asked in requests if not asked.startswith("data:")] == [address]
