"""Programs of the operating system that some tests need; `.ci/packages` lists their Debian packages."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

#: Debian puts servers where only root looks.
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def needs(program: str, package: str) -> str:
    """The path of `program`. Without it the test is skipped, or fails where CI=true: there it must be installed."""
    found = shutil.which(program, path=_PATH)
    if found is None:
        cannot_run(f"needs `{program}`: apt-get install {package}")
    return found


def cannot_run(reason: str) -> NoReturn:
    """Skip a test that this machine cannot run; fail it where CI=true, for there a skip would hide it for good."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"This machine cannot run the test: {reason}", pytrace=False)
    pytest.skip(reason)
