"""What ``import maskwright`` offers: every name is there, says what it is, and costs nothing before it is used."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import maskwright

VERBS = {
    "build_corpus", "check_data", "evaluate", "few_shot", "finetune", "generate", "glue", "learning_curve", "load",
    "mine_negatives", "predict", "pretrain", "score_sts", "similarity", "zero_shot",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(maskwright.__all__) - {"__version__"}))
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    found = getattr(maskwright, name)
    assert found is getattr(maskwright, name)
    assert inspect.getdoc(found) and len(inspect.getdoc(found).split()) > 2
    if inspect.isfunction(found):
        assert inspect.signature(found).return_annotation is not inspect.Signature.empty


def test_what_the_command_line_does_python_does_by_the_same_names() -> None:
    assert set(maskwright.__all__) >= VERBS
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        _ = maskwright.tarin


def test_type_checkers_and_users_see_the_same_names() -> None:
    tree = ast.parse(Path(maskwright.__file__).read_text("utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    typed = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed.pop("load") == "maskwright.model:load"  # which opens static vectors too, where nobody checks types
    assert typed == {name: where for name, where in maskwright._WHERE.items() if name != "load"}
    assert set(maskwright.__all__) == {*maskwright._WHERE, "__version__"}


def test_importing_the_package_imports_nothing_of_it_and_nothing_heavy() -> None:
    script = "import sys, maskwright; print(sorted(m for m in sys.modules if m.startswith('maskwright.') or m in ('torch', 'numpy', 'pydantic')))"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True)
    assert done.stdout == "[]\n"
