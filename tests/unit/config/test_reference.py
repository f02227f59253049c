"""docs/configuration.md names every setting, and is what the code says."""

from __future__ import annotations

import re

import pytest

from config.reference import DOCUMENT, HEADINGS, reference
from config.settings import Settings
from config.unknown import OTHER_VARIABLES
from config.variables import all_settings


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text() == reference(), "settings have changed: run `make configuration`"


SETTINGS = all_settings(Settings)


@pytest.mark.parametrize("variable", SETTINGS)
def test_every_setting_has_a_meaning_and_its_row(variable: str) -> None:
    field = SETTINGS[variable].field
    assert field.description, "say in Field(description=...) what it means"
    [row] = re.findall(rf"^\| `{variable}` \|.*$", reference(), flags=re.MULTILINE)
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
    assert len(cells) == 5
    assert cells[1]
    assert cells[4] == field.description.replace("|", "\\|")
    if field.annotation is float:
        assert cells[3], "a number with a fraction measures something: say its unit"


def test_no_default_is_told_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a reader would try it: each default put into its variable gives the default."""
    told = re.findall(r"^\| `(TRUNKLINE_\w+)` \| [^|]+ \| `([^`]*)` \|", reference(), flags=re.MULTILINE)
    assert len(told) > 40
    for variable, value in told:
        with monkeypatch.context() as patched:
            patched.setenv(variable, value)
            settings = Settings()
        assert SETTINGS[variable].is_set(settings)
        assert SETTINGS[variable].read(settings) == SETTINGS[variable].field.default


def test_sections_and_other_variables_are_there() -> None:
    assert set(HEADINGS) == {".".join(setting.path[:-1]) for setting in SETTINGS.values()}
    for variable in OTHER_VARIABLES:
        assert f"`{variable}`" in reference()
