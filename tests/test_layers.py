"""Nothing imports upward, the command line starts quickly, and the tables are complete."""

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from consingan.command.train import PRESETS
from consingan.tasks import TASKS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "consingan"

# Lowest first. A room is a folder or a module of the package; it may import from lower lines only.
LAYERS = (
    "early errors grid",
    "config devices storage",
    "pictures finish",
    "tasks metrics",
    "gan watch",
    "applications",
    "training",
    "batch",
    "api command",
)
MOST_IMPORTS = 80  # between two rooms
LONGEST_MODULE, LONGEST_FUNCTION = 400, 60  # lines
UNKNOWN = len(LAYERS)
RANK = {"__init__": len(LAYERS), "__main__": len(LAYERS)} | {
    name: rank for rank, layer in enumerate(LAYERS) for name in layer.split()
}


def modules() -> dict[str, Path]:
    """Every module by its dotted name below the package; a package is its ``__init__``."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        inner = parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts
        found[".".join(inner)] = path
    return found


def imports(text: str, module: str, known: set[str]) -> set[str]:
    """Our modules that a module's text imports when it runs: anywhere in it but below ``if TYPE_CHECKING:``."""
    wanted = set()

    def name(dotted: str) -> str | None:
        """The module below the package that ``consingan.x.y`` is, or the one that holds it."""
        parts = dotted.split(".")
        if parts[0] != "consingan":
            return None
        for length in range(len(parts), 1, -1):
            if ".".join(parts[1:length]) in known:
                return ".".join(parts[1:length])
        return "__init__"

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for inner in node.orelse:
                visit(inner)
            return
        if isinstance(node, ast.Import):
            wanted.update(name(alias.name) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = ["consingan", *module.split(".")]
                above = package[: len(package) - node.level + (module in PACKAGES)]
                base = ".".join([*above, *([base] if base else [])])
            wanted.update(name(f"{base}.{alias.name}") for alias in node.names)
        for inner in ast.iter_child_nodes(node):
            visit(inner)

    visit(ast.parse(text))
    return wanted - {None, module}


MODULES = modules()
PACKAGES = {name for name, path in MODULES.items() if path.name == "__init__.py" and name != "__init__"}
EDGES = {name: imports(path.read_text(), name, set(MODULES)) for name, path in MODULES.items()}


def test_every_module_has_its_place():
    homeless = {name.split(".")[0] for name in MODULES} - set(RANK) - {"__init__", "__main__"}
    assert not homeless, f"add to LAYERS: {sorted(homeless)}"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_upward(module):
    own = module.split(".")[0]
    for imported in EDGES[module] - {"__init__"}:  # the version
        other = imported.split(".")[0]
        allowed = other == own or RANK.get(other, UNKNOWN) < RANK.get(own, UNKNOWN)
        assert allowed, f"{module} imports {imported}, which lies above or beside it"


def test_rooms_know_few_others():
    pairs = {(a.split(".")[0], b.split(".")[0]) for a, imported in EDGES.items() for b in imported - {"__init__"}}
    between = sorted((a, b) for a, b in pairs if a != b and not a.startswith("__"))
    assert len(between) <= MOST_IMPORTS, between


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_have_no_imports_sideways(layer):
    rooms = set(layer.split())
    found = {(a.split(".")[0], b.split(".")[0]) for a, imported in EDGES.items() for b in imported}
    assert not {(a, b) for a, b in found if a != b and {a, b} <= rooms}


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_functions_can_be_read(module):
    text = MODULES[module].read_text()
    assert len(text.splitlines()) <= LONGEST_MODULE
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions if f.end_lineno - f.lineno >= LONGEST_FUNCTION}
    assert not long


def test_no_circle_of_imports():
    # a package runs before the modules in it; that it imports them is how its table is made
    assert tuple(graphlib.TopologicalSorter(EDGES).static_order())


@pytest.mark.parametrize(
    ("text", "module", "expected"),
    [
        ("import consingan.gan.model", "grid.noise", {"gan.model"}),
        ("from consingan import errors, config", "grid.noise", {"errors", "config"}),
        ("from consingan.gan import model, layers", "grid.noise", {"gan.model", "gan.layers"}),
        ("from consingan.gan.model import SingleImageModel", "grid.noise", {"gan.model"}),
        ("from consingan import __version__", "command.cli", {"__init__"}),
        ("def f():\n    if x:\n        from consingan.command.cli import main", "config", {"command.cli"}),
        ("try:\n    import consingan.api as c\nexcept ImportError:\n    pass", "config", {"api"}),
        ("from .errors import UserError", "api", {"errors"}),
        ("from . import errors", "api", {"errors"}),
        ("from ..errors import x", "tasks.base", {"errors"}),
        ("from .base import Task", "tasks.animation", {"tasks.base"}),
        ("from .base import Task", "tasks", {"tasks.base"}),
        (
            "if TYPE_CHECKING:\n    from consingan.api import train\nelse:\n    import consingan.errors",
            "config",
            {"errors"},
        ),
        ("if typing.TYPE_CHECKING:\n    import consingan.api", "config", set()),
        ("import torch\nfrom torch import model\nimport consingan_other", "config", set()),
    ],
)
def test_imports_are_found(text, module, expected):
    assert imports(text, module, set(MODULES)) == expected


def test_the_command_line_starts_without_the_heavy_packages():
    heavy = ("torch", "kornia", "numpy", "imageio", "PIL", "safetensors")
    program = f"import sys, consingan.command.cli; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_torchvision_is_no_requirement_and_not_imported():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = [name for group in project.get("optional-dependencies", {}).values() for name in group]
    lines = [line for path in ROOT.glob("*requirements*.txt") for line in path.read_text().splitlines()]
    assert not [entry for entry in (*project["dependencies"], *optional, *lines) if "torchvision" in entry.lower()]
    for path in MODULES.values():
        assert not re.search(r"^\s*(import|from) torchvision", path.read_text(), re.MULTILINE), path


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_task_has_every_preset_and_is_explained(task):
    assert TASKS[task.name] is task
    assert {"best", "fast", "paper", "quick"} <= task.recipes.keys() <= set(PRESETS)
    assert f"`{task.name}`" in (ROOT / "README.md").read_text()
    assert task.summary
