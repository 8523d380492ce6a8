"""Imports point only downward through the rooms, and the rooms that must start fast import no torch."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import maskwright

ROOT = Path(maskwright.__file__).parent
ORDER = (
    ("cli",), ("serve",), ("bench", "quickstart", "studies", "verify"), ("embed", "compress", "export", "writing"), ("train",), ("evaluation",), ("objectives",), ("tasks",),
    ("objective",), ("grow", "loading"), ("model",), ("data",), ("static",), ("corpus",), ("text", "vision"), ("checkpoint",), ("families",), ("nn",), ("native",), ("machine",),
    ("report",), ("config",), ("keys", "registry"), ("errors",),
)  # fmt: skip
HEIGHT = {room: -level for level, rooms in enumerate(ORDER) for room in rooms}
FILES = sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Every module that a file imports anywhere in it, also inside functions; strings of registries are no imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def upward(path: Path) -> set[str]:
    """Imports of a room above the file's own, or of another one at its height."""
    rooms = {name.split(".")[1] for name in imported(path) if name.startswith("maskwright.")} - {"__version__"}
    own = room_of(path)
    return {room for room in rooms if room != own and HEIGHT.get(room, 1) >= HEIGHT[own]}


@pytest.mark.parametrize(
    "path", [path for path in FILES if room_of(path) in HEIGHT], ids=lambda p: str(p.relative_to(ROOT))
)
def test_imports_point_downward(path: Path) -> None:
    assert upward(path) == set()


def test_every_room_has_its_place() -> None:
    assert {room_of(path) for path in FILES} - HEIGHT.keys() <= {"__init__", "__main__"}


def test_an_upward_import_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "nn").mkdir()
    path = tmp_path / "nn" / "block.py"
    for line, expected in (
        ("from maskwright.model import Model", {"model"}),
        ("import maskwright.train.loop", {"train"}),
        ("def f():\n    from maskwright import data", {"data"}),
        ("from maskwright.keys import mix\nfrom maskwright.nn.layout import Grid", set()),
    ):
        path.write_text(line)
        assert upward(path) == expected


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) in ("report", "config", "keys", "registry", "errors")], ids=lambda p: str(p.relative_to(ROOT)))  # fmt: skip
def test_the_report_and_the_ground_import_no_torch(path: Path) -> None:
    heavy = {name.split(".")[0] for name in imported(path)} & {"torch", "transformers", "sklearn", "scipy", "pyarrow"}
    assert not heavy
    if path.stem in ("registry", "errors"):
        assert "numpy" not in {name.split(".")[0] for name in imported(path)}


def test_the_ground_and_the_report_load_without_torch() -> None:
    modules = ["maskwright.errors", "maskwright.registry", "maskwright.config", "maskwright.keys", "maskwright.report"]
    modules += ["maskwright.objectives", "maskwright.tasks"]  # the registries: --help reads them
    script = (
        f"import sys, importlib\nfor name in {modules}: importlib.import_module(name)\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True)
    assert done.stdout == "False\n"


MODULES = sorted(
    name for _, name, _ in pkgutil.walk_packages(maskwright.__path__, "maskwright.") if not name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_says_it_offers_is_there(name: str) -> None:
    module = importlib.import_module(name)
    public = getattr(module, "__all__", None)
    if public is None:
        return
    assert sorted(set(public)) == sorted(public)
    assert [each for each in public if not hasattr(module, each)] == []
    if room_of(Path(str(module.__file__))) == "cli":
        return  # a verb is reached by its name on the command line
    own = {
        each for each, value in vars(module).items() if callable(value) and getattr(value, "__module__", None) == name
    }
    assert {each for each in own if not each.startswith("_")} <= set(public)
