"""One browser for all tests that need one; without a Chromium they are skipped."""

from collections.abc import Iterator

import pytest

from tests.browser import firefox as firefox_driver
from tests.browser.chromium import Chromium, find
from tests.browser.firefox import Firefox


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A headless Chromium."""
    path = find()
    if path is None:
        pytest.skip("no Chromium on this machine")
    browser = Chromium(path, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    """A headless Firefox."""
    path = firefox_driver.find()
    if path is None:
        pytest.skip("no Firefox on this machine")
    browser = Firefox(path, tmp_path_factory.mktemp("firefox"))
    yield browser
    browser.close()
