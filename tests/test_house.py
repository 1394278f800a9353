"""The plan of the house as tests: who may import whom, what an import may cost, and how long a file may grow.

Nothing here imports the packages into this process. Sources are read with `ast`, and what an import pulls in
is seen from outside, in a fresh interpreter.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("search_spaces", "distill", "trainables", "analysis")
ENGINES = ("torch", "ray", "transformers")
HEAVY = (*ENGINES, "datasets", "optuna", "ot", "pandas", "plotly", "scipy", "sklearn", "tensorboardX")
LONGEST = 400
# The ray-free modules of trainables that readers of a sweep's folder share with its writer.
SHARED = re.compile(r"trainables\.(families|record|rungs|spending|statistics)(\.|$)")
# The two modules of analysis that load a student.
LOADERS = ("analysis.export", "analysis.predict")


@dataclass(frozen=True)
class Import:
    """One imported name, resolved to its full dotted path.

    Attributes:
        target: `a.b.c` for both `import a.b.c` and `from a.b import c`.
        line: 1-based line in the source.
        at_import: Executed when the module is imported, i.e. outside every function.
        typing_only: Under `if TYPE_CHECKING`: an arrow of the plan, but free at run time.
    """

    target: str
    line: int
    at_import: bool
    typing_only: bool


def imports_in(source: str, module: str, is_package: bool) -> list[Import]:
    """Every import of a source, late ones and those by constant string included.

    Args:
        source: Python text.
        module: Dotted name of the module, against which relative imports are resolved.
        is_package: Whether the text is an `__init__.py`.
    """
    package = module if is_package else module.rpartition(".")[0]
    return list(_walk(ast.parse(source), package, at_import=True, typing_only=False))


def _walk(node: ast.AST, package: str, at_import: bool, typing_only: bool) -> Iterator[Import]:
    for target in _targets(node, package):
        yield Import(target, getattr(node, "lineno", 0), at_import, typing_only)
    at_import = at_import and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
    if isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING":
        typing_only = True
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, package, at_import, typing_only)


def _targets(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = package.split(".")
            above = parts[: len(parts) - node.level + 1]
            base = ".".join([*above, base] if base else above)
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and node.args:
        called = ast.unparse(node.func).rpartition(".")[2]
        if called in ("import_module", "__import__"):
            name = _leading_text(node.args[0])
            if name.startswith("."):
                return [f"{package}.{name.lstrip('.')}"]
            return [name] if name else []
    return []


def _leading_text(node: ast.expr) -> str:
    """The constant start of a string expression; of f"a.b.{x}" it is "a.b"."""
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    text = node.value if isinstance(node, ast.Constant) else ""
    return text.rstrip(".") if isinstance(text, str) else ""


def under(target: str, names: Iterable[str]) -> bool:
    """Whether a dotted path is one of the names or lies below it."""
    return any(target == name or target.startswith(name + ".") for name in names)


@dataclass(frozen=True)
class Module:
    """A Python file of a room and what it imports."""

    name: str
    path: Path
    imports: tuple[Import, ...]

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"


Rule = Callable[[Module, Import], bool]


@cache
def modules(room: str) -> tuple[Module, ...]:
    """All modules of a room; a room without any is a fault, lest a rule pass over nothing."""
    found = []
    for path in sorted((ROOT / room).rglob("*.py")):
        is_package = path.name == "__init__.py"
        relative = path.parent if is_package else path.with_suffix("")
        name = ".".join(relative.relative_to(ROOT).parts)
        source = path.read_text(encoding="utf-8")
        found.append(Module(name, path, tuple(imports_in(source, name, is_package))))
    assert found, f"no Python file in {room}/"
    return tuple(found)


def breaches(room: str, forbidden: Rule) -> list[str]:
    """`file:line imports target` for every import of a room that a rule forbids."""
    return [
        f"{module.path.relative_to(ROOT)}:{found.line} imports {found.target}"
        for module in modules(room)
        for found in module.imports
        if forbidden(module, found)
    ]


def _search_spaces_rule(_: Module, found: Import) -> bool:
    """Grids are data: nothing of ours, no engine, not even late."""
    return under(found.target, (*ENGINES, "distill", "trainables", "analysis"))


def _distill_rule(_: Module, found: Import) -> bool:
    """The science runs without Ray and knows neither the sweep nor its readers."""
    return under(found.target, ("ray", "trainables", "analysis"))


def _trainables_rule(_: Module, found: Import) -> bool:
    """The report is called late, so that a sweep's processes never load it."""
    return under(found.target, ("analysis",)) and found.at_import


def _shared_rule(module: Module, found: Import) -> bool:
    """What readers import of trainables must itself be free of engines."""
    return bool(SHARED.match(module.name)) and under(found.target, ENGINES)


def _analysis_rule(module: Module, found: Import) -> bool:
    """Readers use the record alone; only the loaders of a student need the science and its engine."""
    if under(found.target, ("ray",)):
        return True
    if under(found.target, ("trainables",)):
        return not SHARED.match(found.target)
    if under(found.target, ("distill", "torch", "transformers")):
        return not (under(module.name, LOADERS) or under(found.target, ("distill.errors",)))
    return False


RULES = [
    ("search_spaces", _search_spaces_rule),
    ("distill", _distill_rule),
    ("trainables", _trainables_rule),
    ("trainables", _shared_rule),
    ("analysis", _analysis_rule),
]


@pytest.mark.parametrize(("room", "rule"), RULES, ids=[rule.__name__.strip("_") for _, rule in RULES])
def test_arrows(room: str, rule: Rule) -> None:
    assert breaches(room, rule) == []


@pytest.mark.parametrize("room", ROOMS)
def test_packages_import_nothing_heavy(room: str) -> None:
    def heavy(module: Module, found: Import) -> bool:
        runs = found.at_import and not found.typing_only
        return module.is_package and runs and under(found.target, HEAVY)

    assert breaches(room, heavy) == []


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (_search_spaces_rule, "search_spaces.space", "def f():\n    from distill.errors import UserError"),
        (_search_spaces_rule, "search_spaces.space", "from ray import tune"),
        (_distill_rule, "distill.training.loop", "class A:\n    def f(self):\n        import ray.tune as t"),
        (_distill_rule, "distill.methods.base", "import_module('analysis.tables')"),
        (_trainables_rule, "trainables.sweep", "if debug:\n    from analysis import report"),
        (_shared_rule, "trainables.record", "from ray import tune"),
        (_shared_rule, "trainables.statistics", "def f():\n    import torch.nn.functional as F"),
        (_analysis_rule, "analysis.report", "from trainables import plan, record"),
        (_analysis_rule, "analysis.report", "import trainables"),
        (_analysis_rule, "analysis.tables", "def f():\n    from distill.tasks import metrics"),
        (_analysis_rule, "analysis.export", "import ray"),
        (_analysis_rule, "analysis.report", "if TYPE_CHECKING:\n    import torch"),
        (_analysis_rule, "analysis.report", "f = lambda x: __import__(f'distill.methods.{x}')"),
    ],
)
def test_rules_see_a_breach(rule: Rule, module: str, source: str) -> None:
    here = Module(module, ROOT / "x.py", ())
    assert any(rule(here, found) for found in imports_in(source, module, is_package=False))


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (_search_spaces_rule, "search_spaces.space", "import yaml\nfrom .space import Space"),
        (_distill_rule, "distill.methods.emd", "import rayon\nfrom ..losses import transport\nimport torch"),
        (_trainables_rule, "trainables.sweep", "def main():\n    from analysis import report"),
        (_shared_rule, "trainables.records", "from .record import A\nfrom trainables import record"),
        (_analysis_rule, "analysis.report", "from trainables.record import A\nimport trainables.statistics"),
        (_analysis_rule, "analysis.report", "from distill.errors import UserError\nimport search_spaces"),
        (_analysis_rule, "analysis.predict", "import torch\nfrom distill.tasks import metrics"),
    ],
)
def test_rules_let_the_plan_pass(rule: Rule, module: str, source: str) -> None:
    here = Module(module, ROOT / "x.py", ())
    assert not any(rule(here, found) for found in imports_in(source, module, is_package=False))


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a fresh interpreter that sees this checkout first."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )


def loaded_by(code: str, watched: Iterable[str]) -> tuple[list[str], str]:
    """Which of the watched packages a piece of code loads, and what else it printed."""
    report = f"import json, sys; print(json.dumps(sorted(set({list(watched)!r}) & set(sys.modules))))"
    done = python(f"{code}\n{report}")
    assert done.returncode == 0, done.stderr
    printed, _, last = done.stdout.rstrip("\n").rpartition("\n")
    return json.loads(last), printed


def importing(names: Iterable[str]) -> str:
    return "".join(f"import {name}\n" for name in names)


@pytest.mark.parametrize("room", ROOMS)
def test_importing_packages_costs_nothing(room: str) -> None:
    packages = [module.name for module in modules(room) if module.is_package]
    assert room in packages
    assert loaded_by(importing(packages), HEAVY)[0] == []


@pytest.mark.parametrize(
    ("room", "pattern"),
    [
        ("search_spaces", r"search_spaces\."),
        ("distill", r"distill\.methods\.(?!objective$)"),
        ("distill", r"distill\.tasks\.(?!tokens$)"),
        ("trainables", r"trainables\.(config|plan)$"),
        ("trainables", SHARED.pattern),
        ("analysis", r"analysis\.(?!export|predict|__main__)"),
    ],
)
def test_plan_and_report_need_no_engine(room: str, pattern: str) -> None:
    """Declarations, grids, task tables, plan, record and report answer without torch, Ray or transformers."""
    names = [module.name for module in modules(room) if re.match(pattern, module.name)]
    assert names, f"nothing in {room} matches {pattern}"
    assert loaded_by(importing(names), ENGINES)[0] == []


HELP = """
import runpy, sys
sys.argv = ["sweep", "--help"]
try:
    runpy.run_module("trainables.sweep", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
else:
    raise AssertionError("--help did not end the command")
"""


@cache
def sweep_help() -> str:
    """What `--help` prints, once it is sure that nothing slow was loaded for it."""
    slow, printed = loaded_by(HELP, (*ENGINES, "pandas"))
    assert slow == []
    return printed


def test_help_is_light() -> None:
    assert {"--method", "--task", "--layers", "--resume"} <= flags(sweep_help())


def test_help_answers_within_a_second() -> None:
    """By processor time, the best of three: a busy machine is no fault of the command."""
    resource = pytest.importorskip("resource")

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert python(HELP).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return float(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)

    assert min(seconds() for _ in range(3)) < 1.0


def flags(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def texts(folders: Iterable[str]) -> Iterator[tuple[Path, str]]:
    """All text files below the folders of the repository, build products left out."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and not any(part.endswith(("__pycache__", ".egg-info")) for part in path.parts):
                try:
                    yield path, path.read_text(encoding="utf-8")
                except UnicodeDecodeError:
                    continue


def test_no_file_is_too_long() -> None:
    lengths = {path: len(text.splitlines()) for path, text in texts(ROOMS)}
    assert {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > LONGEST} == {}


# Spelt with classes of one letter, so that this file does not match itself.
MACHINE_PATH = re.compile(r"(?<![\w~])/(?:[w]ork|[r]oot|[h]ome/\w+|[U]sers/\w+|[t]mp/dev)\b|\.\./[s]hared\b")
TOP = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"),
    *("Makefile", "pyproject.toml", ".pre-commit-config.yaml", ".gitignore"),
)


def test_no_machine_path_is_written_down() -> None:
    top = ((ROOT / name, (ROOT / name).read_text(encoding="utf-8")) for name in TOP)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path, text in (*texts((*ROOMS, "tests", "benchmarks", "docs", ".ci")), *top)
        for number, line in enumerate(text.splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("line", "hit"),
    [
        ("see /" + "work/data", True),
        ("--data-dir ../" + "shared/data", True),
        ("'/" + "home/ann/x'", True),
        ("https://host/" + "root/x", False),
        ("frame" + "work/x", False),
    ],
)
def test_machine_paths_are_seen(line: str, hit: bool) -> None:
    assert bool(MACHINE_PATH.search(line)) is hit


def test_readme_shows_the_commands_that_ci_runs() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(readme) <= 90
    install, test = 'pip install -e ".[test]"', "pytest -n 3"
    sweep = 'pip install -e ".[demo]" && python -m trainables.sweep --method emd --task cola --layers 4'
    first_screen = [line.strip() for line in readme[:40]]
    assert sweep in first_screen
    assert f"{install} && {test}" in first_screen
    steps = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    wanted = [f"step {install}", f"step {test}"]
    assert [line for line in steps if line in wanted] == wanted


def test_readme_names_no_flag_that_its_commands_lack() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    known: set[str] = set()
    for module in sorted({*re.findall(r"python -m ([\w.]+)", text)}):
        ran = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, cwd=ROOT)
        assert ran.returncode == 0, ran.stderr
        known |= flags(ran.stdout)
    assert set() < flags(text) <= known
