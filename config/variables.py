"""Environment variables of settings: which variable means which field of which section, and back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

PREFIX = "TRUNKLINE_"


@dataclass(frozen=True)
class Variable:
    """Names a field's variable (without the prefix) where it is not the section's name and the field's."""

    name: str


@dataclass(frozen=True)
class Setting:
    """One field of a section, or of the settings themselves."""

    variable: str
    path: tuple[str, ...]
    field: FieldInfo

    @property
    def key(self) -> str:
        """The variable without its prefix, in lower case: a keyword of `Settings.from_variables`."""
        return self.variable.removeprefix(PREFIX).lower()

    def read(self, settings: BaseModel) -> Any:
        """The value in `settings`."""
        return getattr(self._section(settings), self.path[-1])

    def is_set(self, settings: BaseModel) -> bool:
        """Whether the value was given, as an argument or a variable, and is not only the default."""
        return self.path[-1] in self._section(settings).model_fields_set

    def _section(self, settings: BaseModel) -> BaseModel:
        section = settings
        for name in self.path[:-1]:
            section = getattr(section, name)
        return section


@cache
def all_settings(model: type[BaseModel]) -> dict[str, Setting]:
    """Variable to setting, in the order of the sections and their fields."""
    return {setting.variable: setting for setting in _settings(model, ())}


def nested(values: Iterable[tuple[Setting, Any]]) -> dict[str, Any]:
    """The values as the model takes them: a dictionary for each section."""
    root: dict[str, Any] = {}
    for setting, value in values:
        section = root
        for name in setting.path[:-1]:
            section = section.setdefault(name, {})
        section[setting.path[-1]] = value
    return root


class VariablesSource(PydanticBaseSettingsSource):
    """Reads the environment. The names ignore case, as in pydantic-settings' own source."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: values are read by their variables, all at once."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        """What the environment says, by sections."""
        return nested(_given(all_settings(self.settings_cls), os.environ))


def _given(known: Mapping[str, Setting], environment: Mapping[str, str]) -> Iterator[tuple[Setting, str]]:
    for name, value in environment.items():
        if setting := known.get(name.upper()):
            yield setting, value


def _settings(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        here = (*path, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _settings(field.annotation, here)
        else:
            named = [extra.name for extra in field.metadata if isinstance(extra, Variable)]
            yield Setting(PREFIX + (named[0] if named else "_".join(here).upper()), here, field)
