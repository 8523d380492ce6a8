"""What is imported on the way from the start of a process to a first vector: what is not, costs nothing."""

import json
import subprocess
import sys

import pytest

from maskwright.loading import _STATIC
from maskwright.static.folder import SEAL

HEAVY = {
    "sklearn",
    "scipy",
    "datasets",
    "transformers",
    "matplotlib",
    "pyarrow",
    "pandas",
    "gensim",
    "ray",
    "rich",
    "cyclopts",
}
COMPILER = {"torch._dynamo", "torch._inductor", "sympy", "torch.distributed.tensor"}
"""torch's compiler takes longer than torch itself to import, and some innocent calls do it."""
SCRIPT = """
import json, sys
import torch
before = set(sys.modules)
import maskwright
maskwright.load(sys.argv[1]).encode(["a first text"])
print(json.dumps(sorted(set(sys.modules) - before)))
"""


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory, tokenizer: object) -> set[str]:
    from small import tiny_model

    folder = tmp_path_factory.mktemp("start") / "model"
    tiny_model(tokenizer).save(folder)  # type: ignore[arg-type]
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(folder)], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_a_first_vector_needs_none_of_the_heavy_libraries(brought: set[str]) -> None:
    assert {name.split(".")[0] for name in brought} & HEAVY == set()


def test_a_first_vector_does_not_import_torchs_compiler(brought: set[str]) -> None:
    assert brought & COMPILER == set()


def test_a_first_vector_reads_no_corpus_and_no_static_vectors(brought: set[str]) -> None:
    assert {
        name for name in brought if name.startswith(("maskwright.corpus", "maskwright.static", "maskwright.train"))
    } == set()


def test_importing_the_package_imports_nothing_but_itself() -> None:
    script = "import sys; before = set(sys.modules); import maskwright; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {name.split(".")[0] for name in done.stdout.split()} <= {
        "maskwright",
        "__future__",
        "typing",
    } | sys.stdlib_module_names


def test_the_name_by_which_static_vectors_are_known_is_theirs() -> None:
    assert _STATIC == SEAL
