"""Environment variables that look like settings and are none: a typing error must not be ignored silently."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from config.variables import PREFIX

#: Variables that are read elsewhere than in `Settings`: name to meaning.
OTHER_VARIABLES = {
    "TRUNKLINE_DEBUG": "1: the command line adds tracebacks to what it calls a bug",
    "TRUNKLINE_REDIS_URL_FILE": "a file that holds TRUNKLINE_REDIS_URL, which has a password",
    "TRUNKLINE_BROKER_URL_FILE": "the same for TRUNKLINE_BROKER_URL",
    "TRUNKLINE_WORKERS": "Docker Compose: how many transaction workers (default 2)",
}


def unknown_variables(settings: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """A sentence for each `TRUNKLINE_` variable that is not a setting, with the nearest name that there is."""
    known = set(settings) | set(OTHER_VARIABLES)
    # Upper case, as settings are read: their names ignore case.
    strange = sorted({name for name in environment if name.upper().startswith(PREFIX)} - known)
    return [_sentence(name, known) for name in strange if name.upper() not in known]


def _sentence(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.75)
    advice = f"did you mean {near[0]}?" if near else "docs/configuration.md lists all settings."
    return f"{name} is no setting of Trunkline; {advice}"
