"""Compiling the kernels once and loading them."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from maskwright.machine import instruction_sets

__all__ = ["here", "library", "why_not"]

_log = logging.getLogger(__name__)

_NEEDED = ("avx512f", "avx512_bf16")
# Not -march=native: a home folder may be shared by machines that differ in what else they know.
_OPTIONS = (
    "-O3", "-mavx2", "-mfma", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512bf16",
    "-fopenmp", "-shared", "-fPIC", "-lm",
)  # fmt: skip


def library() -> ctypes.CDLL | None:
    """Return the compiled kernels, or None where this machine has none; ``why_not`` says why."""
    return _loaded()[0]


def here() -> bool:
    """Whether there are kernels; a constant to ``torch.compile``, which cannot look for them itself."""
    return library() is not None


# What torch.compiler.assume_constant_result does, but for importing the compiler, which takes longer than torch.
here._dynamo_marked_constant = True  # type: ignore[attr-defined]


def why_not() -> str:
    """Return why there are no kernels here, or nothing where there are."""
    return _loaded()[1]


@lru_cache(maxsize=1)
def _loaded() -> tuple[ctypes.CDLL | None, str]:
    try:
        return ctypes.CDLL(str(_built())), ""
    except (_NoKernels, OSError) as error:
        _log.info("no compiled kernels: %s", error)
        return None, str(error)


class _NoKernels(Exception):
    """Why not."""


def _built() -> Path:
    """Return the shared library, compiled if it is not there yet."""
    if os.environ.get("MASKWRIGHT_NATIVE") == "0":
        raise _NoKernels("MASKWRIGHT_NATIVE=0 is set")
    if missing := [name for name in _NEEDED if name not in instruction_sets()]:
        raise _NoKernels(f"the processor has no {missing[0]}")
    compiler = next(
        (found for name in (os.environ.get("CC"), "cc", "gcc", "clang") if name and (found := shutil.which(name))), None
    )
    if compiler is None:
        raise _NoKernels("there is no C compiler (cc, gcc, clang, or the one named by CC)")
    sources = sorted(Path(__file__).parent.glob("*.c"))
    path = _cache() / f"native-{_name(sources, compiler)}.so"
    if not path.exists():
        _compile(compiler, sources, path)
    return path


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "maskwright"


def _name(sources: list[Path], compiler: str) -> str:
    """A name that changes with anything that the result depends on."""
    said = subprocess.run([compiler, "--version"], capture_output=True, timeout=60).stdout
    digest = hashlib.sha256(said + repr(_OPTIONS).encode())
    for path in (*sources, *sorted(Path(__file__).parent.glob("*.h"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _compile(compiler: str, sources: list[Path], path: Path) -> None:
    """Compile beside the place and move there in one step: two processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        try:
            subprocess.run(
                [compiler, *map(str, sources), *_OPTIONS, "-o", str(made)],
                capture_output=True, timeout=300, check=True, text=True,
            )  # fmt: skip
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            last = (str(error.stderr or "").strip().splitlines() or [str(error)])[-1]
            raise _NoKernels(f"{compiler} cannot compile them: {last}") from None
        made.replace(path)
