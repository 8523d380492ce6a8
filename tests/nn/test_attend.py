"""Every attention kernel against the formula, forward and backward; dropout that is keyed, unbiased and at its rate."""

import itertools
import math
from importlib import import_module

import pytest
import torch

from maskwright.errors import ConfigError
from maskwright.nn.attend import attend, used
from maskwright.nn.dropout import dropout_key
from maskwright.nn.layout import Grid, Layout, Ragged
from maskwright.nn.ragged import attend_runs

HEADS, WIDTH = 3, 5
LENGTHS = {
    "mixed": ([3, 1, 7, 7, 7, 2], [3, 1, 7, 7, 7, 2]),
    "one sequence": ([6], [6]),
    "equal": ([4] * 5, [4] * 5),
    "other keys": ([3, 1, 7, 7, 2], [5, 2, 1, 1, 9]),
    "runs of pairs": ([2, 2, 2, 3, 3], [4, 4, 5, 5, 5]),
}


def inputs(queries: list[int], keys: list[int], tail: int = 0, dtype: torch.dtype = torch.float64, seed: int = 0):  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(seed)
    sizes = [sum(queries) + tail, sum(keys) + tail, sum(keys) + tail]
    values = [torch.randn(size, HEADS, WIDTH, generator=generator, dtype=torch.float64).to(dtype) for size in sizes]
    layouts = Ragged.of(queries, sizes[0]), Ragged.of(keys, sizes[1])
    return [value.requires_grad_() for value in values], layouts


def with_gradients(
    kernel: str, given: list[torch.Tensor], layouts: tuple[Layout, Layout], **options
) -> list[torch.Tensor]:  # type: ignore[no-untyped-def]
    real = int(layouts[0].cu[-1]) if isinstance(layouts[0], Ragged) else len(given[0])
    if len(given) == 4:
        options["bias"] = given[3]
    out = attend(*given[:3], *layouts, kernel=kernel, **options)[:real]
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64).to(out.dtype)
    return [out.detach(), *torch.autograd.grad((out * weights).sum(), given)]


WINDOWS = (None, 0, 1, 3, 6)
CASES = [
    (name, causal) for name in LENGTHS for causal in (False, True) if not causal or LENGTHS[name][0] == LENGTHS[name][1]
]


@pytest.mark.parametrize("tail", [0, 11])
@pytest.mark.parametrize(("lengths", "causal"), CASES)
@pytest.mark.parametrize("kernel", ["per-sequence", "padded"])
def test_ragged_kernels_give_the_formula_s_values_and_gradients(
    kernel: str, lengths: str, causal: bool, tail: int
) -> None:
    given, layouts = inputs(*LENGTHS[lengths], tail)
    same_lengths = LENGTHS[lengths][0] == LENGTHS[lengths][1]
    for scale, window in itertools.product((None, 0.3), WINDOWS if same_lengths else (None,)):
        options = {"causal": causal, "scale": scale, "window": window}
        expected = with_gradients("plain", given, layouts, **options)
        for a, b in zip(with_gradients(kernel, given, layouts, **options), expected, strict=True):
            assert torch.allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("bias", ["no bias", "shared bias", "bias of each"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("seen", [False, True])
def test_the_grid_kernel_gives_the_formula_s_values_and_gradients(
    seen: bool, masked: bool, causal: bool, bias: str
) -> None:
    mask = torch.arange(6) < torch.tensor([6, 2, 5, 1])[:, None] if masked else None
    chosen = torch.rand(4, 6, 6, generator=torch.Generator().manual_seed(1)) < 0.5
    chosen[..., 0] = True  # something to see, for every query
    layout = Grid(4, 6, mask, chosen if seen else None)
    given, _ = inputs([6] * 4, [6] * 4)
    shape = {"no bias": None, "shared bias": (HEADS, 6, 6), "bias of each": (4, HEADS, 6, 6)}[bias]
    added = None if shape is None else torch.randn(shape, dtype=torch.float64)
    for window in (None,) if masked or seen else WINDOWS:  # a place whose window holds no token would see nothing
        options = {"causal": causal, "bias": added, "window": window}
        expected = with_gradients("plain", given, (layout, layout), **options)
        for a, b in zip(with_gradients("grid", given, (layout, layout), **options), expected, strict=True):
            assert torch.allclose(a, b, atol=1e-12)


def test_a_query_sees_no_other_sequence_and_causal_ones_no_later_key() -> None:
    given, layouts = inputs([4, 3], [4, 3], tail=2)
    for causal in (False, True):
        out = attend(*given, *layouts, causal=causal)
        for query in range(7):
            (seen,) = torch.autograd.grad(out[query].sum(), given[1], retain_graph=True)
            begin, end = (0, 4) if query < 4 else (4, 7)
            expected = list(range(begin, query + 1 if causal else end))
            assert set(seen.abs().sum((1, 2)).nonzero()[:, 0].tolist()) <= set(expected)
            (values,) = torch.autograd.grad(out[query].sum(), given[2], retain_graph=True)
            assert values.abs().sum((1, 2)).nonzero()[:, 0].tolist() == expected


@pytest.mark.parametrize("kernel", ["per-sequence", "padded", "plain"])
def test_a_query_sees_the_keys_in_its_window_and_no_others(kernel: str) -> None:
    given, layouts = inputs([5, 3], [5, 3])
    for window, causal in itertools.product((0, 1, 2), (False, True)):
        out = attend(*given, *layouts, window=window, causal=causal, kernel=kernel)
        for query in range(8):
            begin, end = (0, 5) if query < 5 else (5, 8)
            (values,) = torch.autograd.grad(out[query].sum(), given[2], retain_graph=True)
            last = query if causal else query + window
            expected = list(range(max(begin, query - window), min(end, last + 1)))
            assert values.abs().sum((1, 2)).nonzero()[:, 0].tolist() == expected


def test_tokens_behind_the_last_sequence_come_out_as_zeros_and_get_no_gradient() -> None:
    given, layouts = inputs([4, 3], [4, 3], tail=5)
    out = attend(*given, *layouts)
    assert not out[7:].any()
    for gradient in torch.autograd.grad(out.sum(), given):
        assert not gradient[7:].any()


@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("dropout", [0.0, 0.25])
@pytest.mark.parametrize("lengths", ["mixed", "other keys"])
def test_the_written_out_gradient_is_that_of_finite_differences(
    lengths: str, dropout: float, window: int | None
) -> None:
    if window is not None and lengths == "other keys":
        pytest.skip("a window needs queries and keys of equal lengths")
    given, (queries, keys) = inputs(*LENGTHS[lengths], tail=2)
    causal = lengths == "mixed"

    def run(q, k, v):  # type: ignore[no-untyped-def]
        return attend_runs(q, k, v, queries.cu, keys.cu, causal, window, 0.4, dropout, torch.tensor(77))

    assert torch.autograd.gradcheck(run, given)


@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_the_operator_keeps_the_rules_that_compilation_relies_on(dropout: float) -> None:
    given, (queries, keys) = inputs(*LENGTHS["other keys"], tail=2, dtype=torch.float32)
    torch.library.opcheck(
        attend_runs.overload, (*given, queries.cu, keys.cu, False, None, 0.4, dropout, torch.tensor(5))
    )


@pytest.mark.parametrize("kernel", ["per-sequence", "padded"])
def test_bfloat16_is_as_close_as_its_eight_bits_allow(kernel: str) -> None:
    given, layouts = inputs(*LENGTHS["mixed"], dtype=torch.bfloat16)
    exact = [value.detach().double().requires_grad_() for value in given]
    expected = with_gradients("plain", exact, layouts)
    for a, b in zip(with_gradients(kernel, given, layouts), expected, strict=True):
        assert (a.double() - b).abs().max() < 0.04 * b.abs().max()


def test_large_scores_do_not_overflow() -> None:
    given, layouts = inputs(*LENGTHS["mixed"], dtype=torch.float32)
    for kernel in ("per-sequence", "padded"):
        for value in with_gradients(kernel, given, layouts, scale=1e4):
            assert value.isfinite().all()


@pytest.mark.parametrize("tail", [0, 11])
@pytest.mark.parametrize(("lengths", "causal"), CASES)
@pytest.mark.parametrize("kernel", ["per-sequence", "padded"])
def test_a_bias_is_counted_from_each_sequence_s_first_place(kernel: str, lengths: str, causal: bool, tail: int) -> None:
    given, layouts = inputs(*LENGTHS[lengths], tail)
    shape = HEADS, layouts[0].longest, layouts[1].longest
    bias = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64, requires_grad=True)
    expected = with_gradients("plain", [*given, bias], layouts, causal=causal)
    for a, b in zip(with_gradients(kernel, [*given, bias], layouts, causal=causal), expected, strict=True):
        assert torch.allclose(a, b, atol=1e-12)


def test_the_gradient_with_bias_and_dropout_is_that_of_finite_differences() -> None:
    given, layouts = inputs([3, 1, 3], [2, 4, 2])
    bias = torch.randn(HEADS, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()

    def biased(q, k, v, bias):  # type: ignore[no-untyped-def]
        return attend_runs(q, k, v, layouts[0].cu, layouts[1].cu, False, None, 0.4, 0.25, torch.tensor(7), bias)

    assert torch.autograd.gradcheck(biased, [*given, bias])


def test_a_run_larger_than_a_block_is_the_same_as_its_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    from maskwright.nn import ragged

    given, layouts = inputs([4] * 7, [4] * 7)
    whole = with_gradients("per-sequence", given, layouts)
    monkeypatch.setattr(ragged, "_BLOCK", 4 * 4 * HEADS * 2)
    for a, b in zip(with_gradients("per-sequence", given, layouts), whole, strict=True):
        assert torch.allclose(a, b, atol=1e-14)


@pytest.mark.parametrize("causal", [False, True])
def test_a_long_sequence_computed_in_steps_of_its_window_is_the_same(
    monkeypatch: pytest.MonkeyPatch, causal: bool
) -> None:
    from maskwright.nn import ragged

    monkeypatch.setattr(ragged, "_STEP", 3)
    given, layouts = inputs([14, 1, 8, 3], [14, 1, 8, 3], tail=2)
    for window in (0, 1, 2):
        options = {"window": window, "causal": causal}
        expected = with_gradients("plain", given, layouts, **options)
        for a, b in zip(with_gradients("per-sequence", given, layouts, **options), expected, strict=True):
            assert torch.allclose(a, b, atol=1e-12)

    def dropped(q, k, v):  # type: ignore[no-untyped-def]
        return attend_runs(q, k, v, layouts[0].cu, layouts[1].cu, causal, 2, 0.4, 0.25, torch.tensor(7))

    assert torch.autograd.gradcheck(dropped, given)


KERNELS = ("per-sequence", "padded", "grid")


def dropped(
    kernel: str, rate: float, key: int, length: int = 40, sequences: int = 8
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Attention over one-hot values: the output is the attention weights themselves, (B, S, N, S)."""
    scores = torch.randn(
        2, sequences * length, HEADS, length, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    eye = torch.eye(length, dtype=torch.float64)[:, None].expand(length, HEADS, length).repeat(sequences, 1, 1)
    lengths = [length] * sequences
    layout = Grid(sequences, length) if kernel == "grid" else Ragged.of(lengths)
    given = [scores[0].requires_grad_(), scores[1].requires_grad_(), eye.requires_grad_()]
    with dropout_key(key, 0):
        out = attend(*given, layout, layout, kernel=kernel, dropout=rate)
    return out.view(sequences, length, HEADS, length), given


@pytest.mark.parametrize("kernel", KERNELS)
def test_attention_dropout_drops_at_its_rate_and_scales_the_rest(kernel: str) -> None:
    rate = 0.2
    whole, _ = dropped(kernel, 0.0, 0)
    kept, _ = dropped(kernel, rate, 1)
    ratio = (kept / whole).detach()
    zero = ratio == 0
    assert torch.allclose(ratio[~zero], torch.tensor(1 / (1 - rate), dtype=torch.float64), rtol=1e-4)
    assert abs(zero.double().mean() - rate) < 4 * math.sqrt(rate * (1 - rate) / zero.numel())
    # Independent between neighbours, heads and sequences.
    for one, other in ((zero[..., 1:], zero[..., :-1]), (zero[:, 1:], zero[:, :-1]), (zero[:, :, 1:], zero[:, :, :-1]), (zero[1:], zero[:-1])):  # fmt: skip
        both = (one & other).double().mean()
        assert abs(both - rate**2) < 5 * rate / math.sqrt(one.numel())


@pytest.mark.parametrize("kernel", KERNELS)
def test_attention_dropout_is_unbiased(kernel: str) -> None:
    whole, _ = dropped(kernel, 0.0, 0, length=6, sequences=2)
    runs = torch.stack([dropped(kernel, 0.3, key, length=6, sequences=2)[0].detach() for key in range(400)])
    spread = runs.std(0) / math.sqrt(len(runs))
    assert (((runs.mean(0) - whole.detach()).abs() / spread) < 5).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_same_key_drops_the_same_weights_and_another_does_not(kernel: str) -> None:
    one, same, other = (dropped(kernel, 0.5, key)[0] for key in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_gradient_under_dropout_is_that_of_what_was_computed(kernel: str) -> None:
    lengths = [5, 5, 3]
    given, layouts = inputs(lengths, lengths)
    if kernel == "grid":
        given, layouts = inputs([4] * 3, [4] * 3)[0], (Grid(3, 4), Grid(3, 4))

    def run(q, k, v):  # type: ignore[no-untyped-def]
        with dropout_key(1, 2, 3):
            return attend(q, k, v, *layouts, kernel=kernel, dropout=0.4)

    assert torch.autograd.gradcheck(run, given)


def test_the_chosen_kernel_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    import_module("maskwright.nn.attend")._say.cache_clear()
    given, layouts = inputs([4], [4])
    with caplog.at_level("INFO"):
        attend(*given, *layouts)
        attend(*given, *layouts)
    assert [record.getMessage() for record in caplog.records] == ["attention: Ragged on cpu -> kernel 'per-sequence'"]


def test_unserved_pairs_are_refused() -> None:
    given, (ragged, _) = inputs([4], [4])
    with pytest.raises(ValueError, match="queries are Ragged and keys Grid"):
        attend(*given, ragged, Grid(1, 4))
    with pytest.raises(ValueError, match="no attention kernel 'flash'; known"):
        attend(*given, ragged, ragged, kernel="flash")


def test_a_kernel_can_be_named_by_hand_for_the_whole_process(monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("maskwright.nn.attend")
    module._say.cache_clear()
    monkeypatch.setattr(module, "_used", [])
    given, layouts = inputs([4], [4])
    attend(*given, *layouts)
    monkeypatch.setenv("MASKWRIGHT_ATTENTION", "padded")
    attend(*given, *layouts)
    assert used() == ("per-sequence", "padded")


def test_a_kernel_named_by_hand_that_is_unknown_or_does_not_serve_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    given, (ragged, _) = inputs([4], [4])
    monkeypatch.setenv("MASKWRIGHT_ATTENTION", "paded")
    with pytest.raises(ConfigError, match=r"'paded', and there is no such kernel.*padded.*There are packed, varlen"):
        attend(*given, ragged, ragged)
    for name, told in (("packed", "float64, heads 5 wide, on cpu, a window of 2"), ("grid", "takes rectangles")):
        monkeypatch.setenv("MASKWRIGHT_ATTENTION", name)
        with pytest.raises(ConfigError, match=told):
            attend(*given, ragged, ragged, window=2)
    monkeypatch.setenv("MASKWRIGHT_ATTENTION", "plain")
    with pytest.raises(ConfigError, match=r"plain takes everything but dropout.*dropout 0\.1"):
        attend(*given, ragged, ragged, dropout=0.1)


def test_every_pair_of_length_is_met_by_both_ragged_kernels() -> None:
    for lengths in itertools.product((1, 2, 3), repeat=3):
        given, layouts = inputs(list(lengths), list(reversed(lengths)))
        expected = with_gradients("plain", given, layouts)
        for kernel in ("per-sequence", "padded"):
            for a, b in zip(with_gradients(kernel, given, layouts), expected, strict=True):
                assert torch.allclose(a, b, atol=1e-12)
