"""The reference of all settings, made from `Settings`: `python -m config.reference` writes docs/configuration.md."""

from __future__ import annotations

import sys
import types
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from config.settings import Settings
from config.unknown import OTHER_VARIABLES
from config.variables import Setting, all_settings

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"

#: Section of the settings to the heading of its table; the first one has what is in no section.
HEADINGS = {
    "": "The instance",
    "redis": "Redis",
    "broker": "The broker",
    "ledger": "The ledger",
    "intake": "Intake",
    "worker": "Workers",
    "blocks": "Blocks",
    "sweep": "Sweeps",
    "checkpoints": "Checkpoints",
    "archive": "The archive",
    "log": "Logs",
    "metrics": "Metrics",
    "rpc": "The RPC server",
}
_HEAD = "| variable | type | default | unit | meaning |\n|---|---|---|---|---|\n"

INTRODUCTION = """\
# Configuration

Every setting is an environment variable, and there is no configuration file. A value that cannot be is an error that
names the variable. A `TRUNKLINE_` variable that is in no table here is one, too, for everything that is started (`up`,
`init`, `demo`, `rpc`, workers, beat, Flower), and a warning elsewhere; both name the nearest one that there is.

`up` hands its settings on to the processes it starts; what is started by hand, or on another machine, must be given the
same ones.

This page is made from the code by `make configuration`.
"""


def reference() -> str:
    """The text of docs/configuration.md."""
    parts = [INTRODUCTION]
    for section, settings in groupby(all_settings(Settings).values(), key=lambda one: ".".join(one.path[:-1])):
        parts.append(f"\n## {HEADINGS[section]}\n\n{_HEAD}")
        parts += map(_row, settings)
    parts.append("\n## Not settings\n\n| variable | meaning |\n|---|---|\n")
    parts += [f"| `{name}` | {meaning} |\n" for name, meaning in OTHER_VARIABLES.items()]
    return "".join(parts)


def _row(setting: Setting) -> str:
    field = setting.field
    extra = field.json_schema_extra
    unit = extra.get("unit", "") if isinstance(extra, dict) else ""
    cells = [f"`{setting.variable}`", _kind(field), _default(field), str(unit), field.description or ""]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _kind(field: FieldInfo) -> str:
    """The type as text, with its bounds."""
    known: Any = field.annotation
    if get_origin(known) in (Union, types.UnionType):
        [known] = [each for each in get_args(known) if each is not type(None)]
    if issubclass(known, Enum):
        return " or ".join(f"`{member.value}`" for member in known)
    word = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text", Path: "path"}[known]
    return ", ".join([word, *filter(None, map(_bound, field.metadata))])


def _bound(limit: object) -> str:
    match limit:
        case Ge(ge=least):
            return f"at least {_number(least)}"
        case Gt(gt=below):
            return f"more than {_number(below)}"
        case Le(le=most):
            return f"at most {_number(most)}"
        case Lt(lt=above):
            return f"less than {_number(above)}"
    return ""


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value == "":
        return "unset"
    if isinstance(value, Enum):
        value = value.value
    return f"`{_number(value)}`"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and value < 1e6 else str(value)


def main() -> None:
    """Write the document."""
    DOCUMENT.write_text(reference(), encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT} written\n")


if __name__ == "__main__":
    main()
