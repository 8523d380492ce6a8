"""The compiled kernels give what the plain operators give: values, gradients and the same dropped places."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from maskwright import native
from maskwright.machine import seeded
from maskwright.native import build
from maskwright.nn.attend import attend
from maskwright.nn.block import BlockSpec
from maskwright.nn.dropout import Dropout, dropout_key, keep_mask
from maskwright.nn.layout import Ragged
from maskwright.nn.packed import attend_packed, serves
from maskwright.nn.residual import add_norm, add_norm_fused
from maskwright.nn.vocabulary import IGNORED, cross_entropy, cross_entropy_fused

needed = pytest.mark.skipif(native.library() is None, reason=f"no compiled kernels: {native.why_not()}")


def attended(kernel: str, lengths: list[int], heads: int, width: int, exact: bool, **options) -> list[torch.Tensor]:  # type: ignore[no-untyped-def]
    """Output and gradient of the joined projections, computed in fp32 where exact, for the same bf16 inputs."""
    generator = torch.Generator().manual_seed(len(lengths))
    tokens = sum(lengths) + 3
    joined = torch.randn(tokens, 3, heads, width, generator=generator).bfloat16()
    grad = torch.randn(tokens, heads, width, generator=generator).bfloat16()
    given = (joined.float() if exact else joined).requires_grad_()
    layout = Ragged.of(lengths, tokens)
    with dropout_key(5, 6):
        out = attend(*given.unbind(1), layout, layout, kernel=kernel, **options)
    return [out.detach().float(), torch.autograd.grad(out, given, grad.to(out.dtype))[0].float()]


@needed
@pytest.mark.parametrize("dropout", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("lengths", "heads", "width"),
    [([5, 128, 1, 77, 200], 4, 64), ([33, 48, 16], 12, 32), ([9, 300], 2, 48), ([70, 24, 25], 3, 16), ([31], 1, 128)],
)
def test_attention_is_that_of_plain_operators_in_fp32(
    lengths: list[int], heads: int, width: int, causal: bool, dropout: float
) -> None:
    expected = attended("per-sequence", lengths, heads, width, True, causal=causal, dropout=dropout)
    found = attended("packed", lengths, heads, width, False, causal=causal, dropout=dropout)
    for a, b in zip(found, expected, strict=True):
        # One wrongly dropped weight of 300 would be ten times that.
        assert (a - b).abs().max() < 0.008 * b.abs().max()
        assert not a[sum(lengths) :].any()


@needed
def test_queries_may_meet_other_keys_of_another_number() -> None:
    generator = torch.Generator().manual_seed(1)
    drawn = [torch.randn(tokens, 2, 32, generator=generator).bfloat16() for tokens in (9, 44, 9)]
    layouts = Ragged.of([4, 5]), Ragged.of([40, 4])
    made = []
    for kernel, dtype in (("packed", torch.bfloat16), ("per-sequence", torch.float32)):
        q, k, grad = (x.to(dtype) for x in drawn)
        out = attend(q.requires_grad_(), k.requires_grad_(), k, *layouts, kernel=kernel)
        made.append([out.detach(), *torch.autograd.grad(out, (q, k), grad)])
    for a, b in zip(*made, strict=True):
        assert (a.float() - b).abs().max() < 0.01 * b.abs().max()


@needed
def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    threads = torch.get_num_threads()
    made = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            norm = nn.LayerNorm(64)
            x, f = (torch.randn(200, 64, generator=torch.Generator().manual_seed(n)) for n in (1, 2))
            y = closed(x, f.bfloat16(), norm, 0.1)[0]
            made.append([*attended("packed", [50, 70, 3], 4, 32, False, dropout=0.1), y, norm.weight.grad])
    finally:
        torch.set_num_threads(threads)
    for other in made[1:]:
        assert all(torch.equal(a, b) for a, b in zip(made[0], other, strict=True))


def closed(x: torch.Tensor, f: torch.Tensor, norm: nn.LayerNorm, rate: float) -> list[torch.Tensor]:
    given = [x.clone().requires_grad_(), f.clone().requires_grad_()]
    norm.zero_grad()
    with dropout_key(3, 4):
        y = add_norm(*given, norm, Dropout(rate).train())
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(8))
    found = torch.autograd.grad(y, [*given, *norm.parameters()], grad)
    norm.weight.grad = found[2]
    return [y.detach(), *found]


@needed
@pytest.mark.parametrize("rate", [0.0, 0.1])
@pytest.mark.parametrize(("tokens", "width"), [(1, 32), (77, 64), (300, 768)])
def test_residual_and_norm_are_those_of_plain_operators(tokens: int, width: int, rate: float) -> None:
    generator = torch.Generator().manual_seed(tokens)
    norm = nn.LayerNorm(width, eps=1e-12)
    nn.init.normal_(norm.weight, 1, 0.2, generator=generator)
    nn.init.normal_(norm.bias, 0, 1, generator=generator)
    x, f = torch.randn(tokens, width, generator=generator), torch.randn(tokens, width, generator=generator).bfloat16()
    expected, found = closed(x, f.float(), norm, rate), closed(x, f, norm, rate)
    for name, a, b in zip(("y", "x", "f", "weight", "bias"), found, expected, strict=True):
        bound = 2**-8 if name == "f" else 1e-5
        assert (a.float() - b).abs().max() <= bound * b.abs().max(), name


@needed
@pytest.mark.parametrize(("rows", "classes"), [(5, 7), (64, 8_192), (9, 30_522)])
def test_cross_entropy_is_that_of_plain_operators(rows: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    scores = (4 * torch.randn(rows, classes, generator=generator)).bfloat16()
    labels = torch.randint(0, classes, (rows,), generator=generator)
    labels[1], labels[2], labels[3] = IGNORED, 0, classes - 1
    given, exact = scores.clone().requires_grad_(), scores.float().requires_grad_()
    losses, best = cross_entropy(given, labels)
    expected = F.cross_entropy(exact, labels, reduction="none", ignore_index=IGNORED)
    assert torch.allclose(losses, expected, atol=1e-5)
    assert torch.equal(scores.gather(1, best[:, None])[:, 0], scores.max(1).values)
    weights = torch.rand(rows, generator=generator)
    (found,) = torch.autograd.grad((losses * weights).sum(), given)
    (other,) = torch.autograd.grad((expected * weights).sum(), exact)
    assert (found.float() - other).abs().max() <= 2**-8
    assert not found[1].any()


@needed
def test_what_is_not_finite_stays_so_and_a_wrong_label_is_refused() -> None:
    scores = torch.zeros(2, 50).bfloat16()
    scores[0, 30], scores[1, 3] = torch.nan, torch.inf
    assert cross_entropy(scores, torch.tensor([1, 3]))[0].isnan().all()
    with pytest.raises(IndexError, match="labels from 1 to 50, and scores of 50 entries"):
        cross_entropy(scores, torch.tensor([1, 50]))
    joined = torch.zeros(4, 3, 1, 16).bfloat16()
    joined[2] = torch.nan
    assert attend(*joined.unbind(1), Ragged.of([4]), Ragged.of([4]), kernel="packed").isnan().all()


@needed
def test_the_operators_keep_the_rules_that_compilation_relies_on() -> None:
    cu, key = torch.tensor([0, 3, 8], dtype=torch.int32), torch.tensor(5)
    q, k, v = (torch.randn(8, 2, 16).bfloat16().requires_grad_() for _ in range(3))
    rules = ("test_schema", "test_faketensor", "test_autograd_registration", "test_aot_dispatch_static")
    torch.library.opcheck(attend_packed.overload, (q, k, v, cu, cu, False, 0.4, 0.1, key), test_utils=rules)
    x, f = torch.randn(8, 32, requires_grad=True), torch.randn(8, 32).bfloat16().requires_grad_()
    weight, bias = torch.ones(32, requires_grad=True), torch.zeros(32, requires_grad=True)
    torch.library.opcheck(add_norm_fused.overload, (x, f, weight, bias, 1e-5, 0.1, key), test_utils=rules)
    torch.library.opcheck(
        cross_entropy_fused.overload, (v.detach().flatten(1).requires_grad_(), torch.arange(8)), test_utils=rules
    )


def test_masks_are_the_words_of_splitmix64() -> None:
    def word(key: int, counter: int) -> int:
        z = (key + (counter + 1) * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return z ^ z >> 31

    key, rate = 0x7B1D_0123_4567_89AB, 0.3
    lanes = [word(key, n) >> 16 * lane & 0xFFFF for n in range(50) for lane in range(4)]
    signed = [lane - 65_536 if lane >= 32_768 else lane for lane in lanes]
    mask, _ = keep_mask(198, rate, key, torch.device("cpu"))
    assert mask.tolist() == [lane >= round(rate * 65_536) - 32_768 for lane in signed][:198]


def ask(**environment: str) -> str:
    """What a fresh process says about its kernels, and whether attention in bf16 works in it."""
    code = (
        "import torch; from maskwright import native; from maskwright.nn.attend import attend; "
        "from maskwright.nn.layout import Ragged; l = Ragged.of([3]); x = torch.ones(3, 1, 16).bfloat16(); "
        "assert attend(x, x, x, l, l).eq(1).all(); print(native.library() is not None, native.why_not())"
    )
    env = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout


def test_without_a_compiler_or_when_told_so_everything_works_without_kernels(tmp_path: Path) -> None:
    assert ask(MASKWRIGHT_NATIVE="0") == "False MASKWRIGHT_NATIVE=0 is set\n"
    said = ask(PATH=str(tmp_path), CC="", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert "there is no C compiler" in said or "the processor has no" in said


@needed
def test_a_compiler_that_fails_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "cc"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho no such option >&2\nexit 1\n')
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with caplog.at_level(logging.INFO):
        found, why = build._loaded.__wrapped__()
    assert found is None and why == f"{broken} cannot compile them: no such option"
    assert list((tmp_path / "cache" / "maskwright").iterdir()) == []


@needed
def test_the_kernel_is_chosen_where_it_serves_and_only_there() -> None:
    q = torch.zeros(4, 2, 32)
    bias = torch.zeros(2, 4, 4)
    assert serves(q.bfloat16(), None, None)
    for case in (
        (q, None, None),
        (q.bfloat16(), 3, None),
        (q.bfloat16(), None, bias),
        (q.bfloat16()[..., :24], None, None),
    ):
        assert not serves(*case)


@needed
def test_a_block_and_its_loss_compile_whole_with_the_kernels_in_the_graph() -> None:
    spec = BlockSpec(width=32, heads=2, feed_forward=64, dropout=0.0, attention_dropout=0.0)
    with seeded(0):
        block, x = spec.build(), torch.randn(9, 32)
    layout, labels = Ragged.of([4, 5]), torch.arange(9)

    def loss(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            y = block(x, torch.arange(9), layout)
            return cross_entropy(y.bfloat16(), labels)[0].sum()

    assert torch.compile(loss, fullgraph=True, backend="aot_eager")(x).item() == pytest.approx(loss(x).item(), rel=1e-2)
