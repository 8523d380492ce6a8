"""Flash attention over sequences end to end: what torch's operator is told, and on a GPU what it gives."""

import itertools
import math

import pytest
import torch

from maskwright.nn import varlen
from maskwright.nn.attend import attend
from maskwright.nn.dropout import dropout_key
from maskwright.nn.layout import Ragged

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


def flash(  # type: ignore[no-untyped-def]
    q, k, v, q_cu, k_cu, q_most, k_most, dropout, causal, debug, *, scale, window_size_left, window_size_right
):
    """What torch documents of its operator, sequence by sequence."""
    assert q_cu.dtype == k_cu.dtype == torch.int32 and not debug and not dropout
    assert q_cu[-1] == len(q) and k_cu[-1] == len(k)  # what is behind would come out as it was in memory
    left, right = (math.inf if size is None else size for size in (window_size_left, window_size_right))
    outs = []
    for (a, b), (c, d) in zip(itertools.pairwise(q_cu.tolist()), itertools.pairwise(k_cu.tolist()), strict=True):
        assert b - a <= q_most and d - c <= k_most
        scores = torch.einsum("qnh,knh->nqk", q[a:b], k[c:d]) * scale
        behind = torch.arange(b - a)[:, None] - torch.arange(d - c)
        hidden = (behind > left) | (-behind > right) | (torch.tensor(causal) & (behind < 0))
        outs.append(torch.einsum("nqk,knh->qnh", scores.masked_fill(hidden, -math.inf).softmax(-1), v[c:d]))
    return torch.cat(outs), None, None, None, None


def drawn(tokens: int, heads: int, width: int, **kind) -> list[torch.Tensor]:  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(tokens)
    return [torch.randn(tokens, heads, width, generator=generator).to(**kind).requires_grad_() for _ in range(3)]


@pytest.mark.parametrize("tail", [0, 11])
@pytest.mark.parametrize(("causal", "window"), [(False, None), (True, None), (False, 2), (True, 2)])
def test_the_operator_is_told_what_each_query_sees(
    monkeypatch: pytest.MonkeyPatch, tail: int, causal: bool, window: int | None
) -> None:
    monkeypatch.setattr(varlen, "serves", lambda q, bias: True)
    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", flash)
    layout, given = Ragged.of([3, 1, 7, 7, 2], 20 + tail), drawn(20 + tail, 2, 8, dtype=torch.float64)
    found, expected = (
        attend(*given, layout, layout, causal=causal, window=window, scale=0.3, kernel=kernel)
        for kernel in ("varlen", "plain")
    )
    assert torch.allclose(found[:20], expected[:20], atol=1e-12)
    assert found.isfinite().all()  # the rows of no sequence too: a NaN there would reach every weight


def test_torch_s_operator_takes_the_call_and_has_a_gradient() -> None:
    layout = Ragged.of([4, 3], 9).to("meta")
    q, k, v = drawn(9, 2, 16, dtype=torch.bfloat16, device="meta")
    out = varlen.attend_varlen(q, k, v, layout, layout, False, 2, 0.25, 0.0)
    assert out.shape == q.shape and out.dtype == q.dtype
    assert [each.shape for each in torch.autograd.grad(out.sum(), (q, k, v))] == [q.shape] * 3


def test_what_is_dropped_follows_the_key_and_moves_no_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "default_generators", (torch.default_generator,))

    def draw(key: int) -> list[float]:
        with varlen._drawing_from(key, torch.device("cuda")):
            return torch.rand(4).tolist()

    state = torch.get_rng_state()
    assert draw(5) == draw(5) != draw(6)
    assert torch.equal(torch.get_rng_state(), state)


def test_it_serves_half_precision_on_a_gpu_without_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not varlen.serves(torch.zeros(2, 1, 64, dtype=torch.bfloat16), None)
    monkeypatch.setattr(varlen, "_built", lambda where: True)

    class OnGpu:
        device = torch.device("cuda")

        def __init__(self, dtype: torch.dtype, width: int) -> None:
            self.dtype, self.shape = dtype, (2, 1, width)

    serves = varlen.serves
    assert serves(OnGpu(torch.bfloat16, 64), None) and serves(OnGpu(torch.float16, 128), None)  # type: ignore[arg-type]
    for given in (OnGpu(torch.float32, 64), OnGpu(torch.bfloat16, 60), OnGpu(torch.bfloat16, 256)):
        assert not serves(given, None)  # type: ignore[arg-type]
    assert not serves(OnGpu(torch.bfloat16, 64), torch.zeros(1))  # type: ignore[arg-type]


@on_gpu
@pytest.mark.parametrize(("causal", "window"), [(False, None), (True, None), (False, 5)])
def test_on_a_gpu_values_and_gradients_are_those_of_the_formula(causal: bool, window: int | None) -> None:
    lengths, tail = [5, 128, 1, 77, 200], 37
    layout, tokens = Ragged.of(lengths, sum(lengths) + tail), sum(lengths) + tail
    exact = drawn(tokens, 4, 64, dtype=torch.float32)
    half = [x.detach().to("cuda", torch.bfloat16).requires_grad_() for x in exact]
    made = []
    for given, where, kernel in ((exact, layout, "plain"), (half, layout.to("cuda"), "varlen")):
        out = attend(*given, where, where, causal=causal, window=window, kernel=kernel)[: sum(lengths)]
        made.append([out, *torch.autograd.grad(out.square().sum(), given)])
    for a, b in zip(*made, strict=True):
        assert (a - b.float().cpu()).abs().max() < 0.02 * a.abs().max()


@on_gpu
def test_on_a_gpu_dropout_is_the_key_s_at_its_rate() -> None:
    layout = Ragged.of([256] * 8).to("cuda")
    q, k, _ = drawn(2048, 4, 64, dtype=torch.bfloat16, device="cuda")
    ones = torch.ones_like(q)
    outs = []
    for key in (1, 1, 2):
        with dropout_key(0, key):
            outs.append(attend(q * 0, k, ones, layout, layout, dropout=0.2, kernel="varlen"))
    assert torch.equal(outs[0], outs[1]) and not torch.equal(outs[0], outs[2])
    assert outs[0].float().mean().item() == pytest.approx(1, abs=0.01)
