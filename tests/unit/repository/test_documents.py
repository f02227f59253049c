"""The Markdown files: links lead somewhere, and every path, function and decision that they name is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from config.settings import Settings
from config.unknown import OTHER_VARIABLES
from config.variables import all_settings
from tests.support.paths import ROOT

PACKAGES = ("config", "recovery", "banking", "tasks", "workers", "rpc", "oracle", "pytest_trunkline")
DECISIONS = ROOT / "docs" / "decisions"
MAX_COLUMNS = 120
#: File names that stand for a reader's own files.
FOREIGN = {"config.py", "tasks.py", "flowerconfig.py"}

_NAMED = re.compile(r"`(?P<path>[\w./-]+\.(?:py|lua|mjs))(?::(?P<name>\w+(?:\.\w+)*))?`")
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_VARIABLE = re.compile(r"\bTRUNKLINE_[A-Z_]*[A-Z]\b(?!_)")
_CITED = re.compile(r"\b[DI]\d{1,2}\b")


def documents() -> list[Path]:
    folders = [ROOT / name for name in (*PACKAGES, "docs", "examples", "benchmarks", "tests", ".github")]
    return sorted([*ROOT.glob("*.md"), *(path for folder in folders for path in folder.rglob("*.md"))])


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(text: str) -> Iterator[tuple[int, str]]:
    """The numbered lines that are neither code nor a table."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    ") and not line.lstrip().startswith(("|", "!")):
            yield number, line


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path, text: str) -> list[str]:
    broken = []
    for match in _LINK.finditer(re.sub(r"(?ms)^```.*?^```", "", text)):
        target, _, anchor = match["target"].partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = (path.parent / target) if target else path
        if not file.exists() or (anchor and anchor not in anchors(file.read_text())):
            broken.append(match["target"])
    return broken


def definitions(source: str) -> set[str]:
    """Functions, classes and constants of a module, and `Class.member`."""

    def names(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield prefix + node.name
            elif isinstance(node, ast.ClassDef):
                yield prefix + node.name
                yield from names(node.body, f"{node.name}.")
            elif isinstance(node, ast.Assign):
                yield from (prefix + target.id for target in node.targets if isinstance(target, ast.Name))
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield prefix + node.target.id

    return set(names(ast.parse(source).body))


def missing_names(text: str) -> list[str]:
    """`path` and `path:function` in backticks that are not in the tree."""
    missing = []
    for match in _NAMED.finditer(text):
        file = ROOT / match["path"]
        absent = match["path"] not in FOREIGN and not file.is_file()
        if absent or (match["name"] and match["name"] not in definitions(file.read_text())):
            missing.append(match[0])
    return missing


def folders() -> list[str]:
    """The packages and the folders in them, as `banking/ledger/`."""
    inits = (path for package in PACKAGES for path in (ROOT / package).rglob("__init__.py"))
    return sorted(f"{name_of(path.parent)}/" for path in inits)


def purpose(folder: str) -> str:
    """The first sentence of a package's docstring, on one line."""
    text = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text())) or ""
    return " ".join(text.split("\n\n")[0].split())


def test_links_lead_somewhere() -> None:
    found = {name_of(path): broken_links(path, path.read_text()) for path in documents()}
    assert {name: broken for name, broken in found.items() if broken} == {}


def test_variables_are_settings() -> None:
    known = set(all_settings(Settings)) | set(OTHER_VARIABLES)
    named = {(name_of(path), name) for path in documents() for name in _VARIABLE.findall(path.read_text())}
    assert {(path, name) for path, name in named if name not in known} == set()
    assert len(named) > 50


def test_no_merge_is_half_done() -> None:
    marked = [
        name_of(path) for path in documents() if re.search(r"^(<{7}|>{7}) ", path.read_text(), flags=re.MULTILINE)
    ]
    assert marked == []


def test_prose_fits_the_page() -> None:
    long = [
        f"{name_of(path)}:{number}"
        for path in documents()
        for number, line in prose(path.read_text())
        if len(line) > MAX_COLUMNS
    ]
    assert long == []


def test_paths_and_functions_are_there() -> None:
    found = {name_of(path): missing_names(path.read_text()) for path in documents() if path.name != "CHANGELOG.md"}
    assert {name: missing for name, missing in found.items() if missing} == {}


def test_every_folder_has_its_sentence_in_the_architecture() -> None:
    """The same sentence as its docstring: the tree and the page tell one story."""
    rows = re.findall(r"^\| `([\w/]+/)` \| (.*) \|$", (ROOT / "docs/architecture.md").read_text(), flags=re.MULTILINE)
    assert {folder: purpose(folder) for folder in folders()} == dict(rows)
    # In the order of the imports, and each folder behind the one that holds it.
    named = [folder for folder, _ in rows]
    assert [folder.rstrip("/") for folder in named if folder.count("/") == 1] == list(PACKAGES)
    assert [folder.partition("/")[0] for folder in named] == sorted(
        (folder.partition("/")[0] for folder in named), key=PACKAGES.index
    )


def test_the_way_of_one_transaction_opens_each_file_once() -> None:
    text = (
        (ROOT / "docs/architecture.md").read_text().partition("## The way of one transaction")[2].partition("\n## ")[0]
    )
    opened = re.findall(r"^\| [^|]*\| `([\w/.]+?)(?::[\w.]+)?` \|", text, flags=re.MULTILINE)
    assert opened[0] == "tasks/submission.py"
    assert opened[-1] == "recovery/checkpoints/writing.py"
    assert len(opened) == len(set(opened))


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    names = sorted(path.name for path in DECISIONS.glob("0*.md"))
    assert [name[:4] for name in names] == [f"{number:04}" for number in range(1, len(names) + 1)]
    untitled = [name for name in names if not (DECISIONS / name).read_text().startswith(f"# {name[:4]} ")]
    assert untitled == []
    listed = re.findall(r"\]\((0[\w-]+\.md)\)", (DECISIONS / "README.md").read_text())
    assert listed == names


def test_cited_decisions_and_invariants_are_in_the_design() -> None:
    design = (ROOT / "docs" / "design.md").read_text()
    known = set(re.findall(r"^(?:\*\*|\| )([DI]\d+)\b", design, flags=re.MULTILINE))
    sources = [path for package in PACKAGES for kind in ("*.py", "*.lua") for path in (ROOT / package).rglob(kind)]
    cited = {(name_of(path), name) for path in sources for name in _CITED.findall(path.read_text())}
    assert {(path, name) for path, name in cited if name not in known} == set()
    assert {"D1", "I10"} <= known


def test_the_rules_find_what_they_look_for() -> None:
    readme = ROOT / "README.md"
    assert broken_links(readme, "[a](nowhere.md) [b](#nowhere) [c](LICENSE) [d](https://example.org)") == [
        "nowhere.md",
        "#nowhere",
    ]
    assert anchors("# What's *new* in `up`?") == {"whats-new-in-up"}
    assert missing_names("`tasks/nowhere.py`, `tasks/submission.py:nothing`, `lua/load.lua`") == [
        "`tasks/nowhere.py`",
        "`tasks/submission.py:nothing`",
        "`lua/load.lua`",
    ]
    assert missing_names("`tasks/submission.py:Submitter.submit`, `config.py`") == []
    assert [number for number, _ in prose("one\n```\ntwo\n```\n| three |\nfour")] == [1, 6]
    assert len(documents()) > 20
