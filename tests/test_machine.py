"""What is chosen on machines of other kinds, how it is said, and that each choice can be named by hand."""

import subprocess
import sys

import pytest
import torch

from maskwright import machine
from maskwright.errors import ConfigError

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")


@pytest.fixture
def made_of(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Make this machine look like another one."""

    def make(*sets: str, cuda: bool = False, bf16: bool = True, mps: bool = False) -> None:
        monkeypatch.setattr(machine, "instruction_sets", lambda: sets)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda at: "A GPU")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.delenv("MASKWRIGHT_DEVICE", raising=False)

    return make


@pytest.mark.parametrize(
    ("sets", "dtype", "why"),
    [
        (("avx2", "avx512f", "avx512_bf16", "amx_bf16"), torch.bfloat16, "it has AMX bf16 tiles"),
        (("avx2", "avx512f", "avx512_bf16"), torch.bfloat16, "it has AVX-512 bf16 dot products"),
        (("avx2", "avx512f"), torch.float32, "no instructions for bf16"),
        ((), torch.float32, "no instructions for bf16"),
    ],
)
def test_a_processor_gets_the_precision_that_it_is_fast_at(
    made_of, sets: tuple[str, ...], dtype: torch.dtype, why: str
) -> None:  # type: ignore[no-untyped-def]
    made_of(*sets)
    assert machine.device() == CPU
    assert machine.precision("auto", CPU) == dtype
    told = machine.choice(CPU, dtype)
    assert told.startswith("on the CPU") and why in told and "\n" not in told


def test_a_gpu_comes_first_and_says_its_name(made_of) -> None:  # type: ignore[no-untyped-def]
    made_of("amx_bf16", cuda=True, mps=True)
    assert machine.device() == CUDA and machine.precision("auto", CUDA) == torch.bfloat16
    assert machine.choice(CUDA, torch.bfloat16).startswith("on A GPU; matrix products in bf16: fast on this GPU")
    made_of(cuda=True, bf16=False)
    assert machine.precision("auto", CUDA) == torch.float32


def test_apples_gpu_comes_before_the_processor(made_of) -> None:  # type: ignore[no-untyped-def]
    made_of("neon", mps=True)
    assert machine.device() == MPS and machine.precision("auto", MPS) == torch.float32
    assert machine.choice(MPS, torch.float32).startswith("on Apple's GPU; matrix products in fp32")


def test_each_choice_can_be_named(made_of, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    made_of("amx_bf16", cuda=True)
    monkeypatch.setenv("MASKWRIGHT_DEVICE", "cpu")
    assert machine.device() == CPU
    assert machine.precision("fp32", CPU) == torch.float32
    assert "matrix products in fp32: as asked for" in machine.choice(CPU, torch.float32, "fp32")


def test_a_device_that_is_not_there_is_refused(made_of, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    made_of("amx_bf16")
    monkeypatch.setenv("MASKWRIGHT_DEVICE", "cuda")
    with pytest.raises(ConfigError, match="this machine has cpu; name one of these"):
        machine.device()


def test_only_apples_gpu_goes_without_float64() -> None:
    assert [machine.widest(where) for where in (CPU, CUDA, MPS)] == [torch.float64, torch.float64, torch.float32]


def test_the_peak_of_memory_is_that_of_the_process() -> None:
    script = (
        "import torch; from maskwright.machine import peak_memory as peak; here = torch.device('cpu'); "
        "before = peak(here); torch.ones(50_000_000); print(peak(here) - before)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 190e6 < int(done.stdout) < 250e6


def test_the_peak_of_products_is_a_number_of_operations() -> None:
    assert machine.peak(torch.float32, CPU, seconds=0.01) > 1e6


def test_a_precision_that_there_is_not_is_refused(made_of) -> None:  # type: ignore[no-untyped-def]
    made_of("amx_bf16", cuda=True)
    with pytest.raises(ConfigError, match=r"no precision 'int9'.*int8.*Known: auto, fp32, bf16, int8"):
        machine.precision("int9", CPU)
    assert machine.precision("int8", CPU) == torch.int8
    with pytest.raises(ConfigError, match="precision int8 is for CPUs, and this model is on cuda"):
        machine.precision("int8", CUDA)


def test_what_products_run_in_is_known_inside_and_forgotten_outside() -> None:
    assert machine.products() == torch.float32
    with machine.autocast(CPU, torch.int8):
        assert machine.products() == torch.int8
    with machine.autocast(CPU, torch.bfloat16):
        assert machine.products() == torch.bfloat16
        with machine.autocast(CPU, torch.int8):
            assert machine.products() == torch.int8
            with machine.autocast(CPU, torch.bfloat16):
                assert machine.products() == torch.bfloat16
            assert machine.products() == torch.int8
    with pytest.raises(ValueError, match="once"), machine.autocast(CPU, torch.int8):
        raise ValueError("once")
    assert machine.products() == torch.float32
