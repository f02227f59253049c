"""docs/configuration.md names every setting, and is what the code says."""

from __future__ import annotations

import re

import pytest

from config.reference import DOCUMENT, SECTIONS, reference
from config.settings import Settings
from config.unknown import OTHER_VARIABLES


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text() == reference(), "settings have changed: run `make configuration`"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_meaning_and_its_row(name: str) -> None:
    field = Settings.model_fields[name]
    assert field.description, "say in Field(description=...) what it means"
    [row] = re.findall(rf"^\| `TRUNKLINE_{name.upper()}` \|.*$", reference(), flags=re.MULTILINE)
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
    assert len(cells) == 5
    assert cells[1]
    assert cells[4] == field.description.replace("|", "\\|")
    if field.annotation is float:
        assert cells[3], "a number with a fraction measures something: say its unit"


def test_no_default_is_told_wrong() -> None:
    """As a reader would try it: each default put into its variable gives the default."""
    for name, value in re.findall(r"^\| `TRUNKLINE_(\w+)` \| [^|]+ \| `([^`]*)` \|", reference(), flags=re.MULTILINE):
        assert getattr(Settings(**{name.lower(): value}), name.lower()) == Settings.model_fields[name.lower()].default


def test_sections_and_other_variables_are_there() -> None:
    assert set(SECTIONS) <= set(Settings.model_fields)
    assert next(iter(Settings.model_fields)) in SECTIONS
    for variable in OTHER_VARIABLES:
        assert f"`{variable}`" in reference()
