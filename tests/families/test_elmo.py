"""ELMo: the numbers of TensorFlow and of AllenNLP, what makes them so, and the original files read with care."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from maskwright.checkpoint.original import find_original, read_original
from maskwright.cli import run
from maskwright.errors import CheckpointError, ConfigError, InputError, MissingExtra
from maskwright.families.elmo import ELMO, ElmoNet, ElmoSpec, elmo_spec
from maskwright.machine import seeded
from maskwright.model import Model, batches_of, create, load
from maskwright.nn.bilm import NeighbourWords, NormedMix, ScalarMix, links
from maskwright.nn.dropout import dropout_key
from maskwright.nn.layout import Grid, Ragged
from maskwright.nn.lstm import LstmLayer, LstmSpec, LstmState
from maskwright.nn.steps import Steps
from maskwright.text.characters import BEGIN, END, CharacterTokenizer, spell
from small import loud
from tiny_families import tiny_spec

TOLERANCE = 1e-5
BATCHES, LAYERS = 3, 3


@pytest.fixture(scope="module")
def fixture(shared: Path) -> Path:
    """AllenNLP's fixture: a small model, sentences, and what TensorFlow gave for them."""
    pytest.importorskip("h5py")
    return shared / "golden" / "elmo"


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    """Every layer and state of that model, by AllenNLP."""
    return load_file(shared / "golden" / "elmo_layers.safetensors")


@pytest.fixture(scope="module")
def net(fixture: Path) -> ElmoNet:
    """The fixture's model, read from its original files."""
    files = find_original(fixture)
    assert files
    family, net = read_original(files)
    assert family is ELMO and isinstance(net, ElmoNet)
    return net


def laid_out(sentences: list[Tensor], extra: int = 0) -> tuple[Tensor, Ragged]:
    """Sentences of (n, 50) within their borders, end to end."""
    border = [torch.tensor([each]) for each in (BEGIN, END)]
    parts = [torch.cat([border[0], words, border[1]]) for words in sentences]
    lengths = [len(part) for part in parts]
    return torch.cat([*parts, torch.zeros(extra, 50, dtype=torch.int64)]), Ragged.of(lengths, sum(lengths) + extra)


def golden_batches(golden: dict[str, Tensor]) -> Iterator[tuple[Tensor, Ragged, dict[str, Tensor]]]:
    """The three batches, and what AllenNLP gives: layers of the real tokens, states as ours are laid out."""
    for number in range(BATCHES):
        ids = golden[f"inputs.batch{number}.character_ids"]
        found = {
            name.removeprefix(f"outputs.batch{number}."): value
            for name, value in golden.items()
            if name.startswith(f"outputs.batch{number}.")
        }
        real = found["mask_with_bos_eos"]
        expected = {f"layer {layer}": found[f"activations_{layer}"][real] for layer in range(LAYERS)}
        for each in "hc":
            value = found[f"state_{each}_after"]
            expected[f"state {each}"] = value.view(*value.shape[:2], 2, -1).transpose(1, 2)
        yield *laid_out([row[row.any(-1)] for row in ids], extra=5), expected


def furthest_apart(net: ElmoNet, golden: dict[str, Tensor]) -> float:
    """The largest difference in any layer or state, carrying the state from batch to batch."""
    state, apart = None, []
    with torch.no_grad():
        for ids, layout, expected in golden_batches(golden):
            states, state = net.go_on(ids, layout, state)
            total = int(layout.cu[-1])
            found = {f"layer {layer}": each[:total] for layer, each in enumerate(states)}
            found |= {"state h": state.h_L2BP, "state c": state.c_L2BF}
            assert found.keys() == expected.keys()
            apart += [float((found[name] - value).abs().max()) for name, value in expected.items()]
    assert len(apart) == BATCHES * (LAYERS + 2)
    return max(apart)


def test_every_layer_and_state_is_the_reference_s(net: ElmoNet, golden: dict[str, Tensor]) -> None:
    assert furthest_apart(net, golden) < TOLERANCE


def _stack(spec: ElmoSpec, **changes: Any) -> ElmoSpec:
    return replace(spec, stack=replace(spec.stack, **changes))


def _block(spec: ElmoSpec, **changes: Any) -> ElmoSpec:
    return _stack(spec, block=replace(spec.stack.block, **changes))


WRONG: dict[str, Callable[[ElmoSpec], ElmoSpec]] = {
    "no clipping of cells": lambda spec: _block(spec, cell_clip=None),
    "no clipping of projections": lambda spec: _block(spec, projection_clip=None),
    "clipping a little lower": lambda spec: _block(spec, cell_clip=2.9),
    "no skip connections": lambda spec: _stack(spec, skip=False),
    "tanh behind the convolutions": lambda spec: replace(spec, embed=replace(spec.embed, activation="tanh")),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_spec_fails_the_same_check(net: ElmoNet, golden: dict[str, Tensor], what: str) -> None:
    wrong = WRONG[what](net.spec).build().eval()
    wrong.load_state_dict(net.state_dict())
    assert furthest_apart(wrong, golden) > 100 * TOLERANCE


def test_other_highway_biases_and_gates_the_other_way_round_fail_the_same_check(
    net: ElmoNet, golden: dict[str, Tensor]
) -> None:
    for change in (lambda bias: bias + 1.0, lambda bias: bias.view(2, -1).flip(0).flatten()):
        wrong = net.spec.build().eval()
        wrong.load_state_dict(net.state_dict())
        with torch.no_grad():
            for highway in wrong.embed.highways:
                highway.bias.copy_(change(highway.bias))
        assert furthest_apart(wrong, golden) > 100 * TOLERANCE


def test_another_shift_of_the_characters_fails_the_same_check(net: ElmoNet, golden: dict[str, Tensor]) -> None:
    shifted = {name: torch.where(value > 0, value - 1, 0) if "character_ids" in name else value for name, value in golden.items()}  # fmt: skip
    assert furthest_apart(net, shifted) > 100 * TOLERANCE


def test_forgetting_the_state_between_batches_fails_the_same_check(
    net: ElmoNet, golden: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = ElmoNet.go_on
    monkeypatch.setattr(ElmoNet, "go_on", lambda self, ids, layout, state: go_on(self, ids, layout, None))
    assert furthest_apart(net, golden) > 0.1


def test_text_gives_tensorflow_s_numbers_over_all_thirty_sentences(net: ElmoNet, fixture: Path) -> None:
    import h5py

    sentences = json.loads((fixture / "sentences.json").read_text())
    tokenizer, state, apart = CharacterTokenizer("spaces"), None, 0.0
    expected = [h5py.File(fixture / f"lm_embeddings_{row}.hdf5") for row in range(3)]
    for number in range(10):
        given = [torch.from_numpy(tokenizer.encode(row[number])) for row in sentences]
        ids, layout = laid_out(given)
        with torch.no_grad():
            states, state = net.go_on(ids, layout, state)
        for row, (begin, end) in enumerate(zip(layout.cu[:-1] + 1, layout.cu[1:] - 1, strict=True)):
            theirs = np.concatenate(expected[row][str(number)][...], axis=-1)
            apart = max(apart, float(np.abs(states[-1][begin:end].numpy() - theirs).max()))
    for file in expected:
        file.close()
    assert apart < TOLERANCE


def test_the_vectors_of_words_alone_are_tensorflow_s(net: ElmoNet, fixture: Path) -> None:
    import h5py

    words = (fixture / "vocab_test.txt").read_text("utf-8").splitlines()
    ids = spell(words)
    for border, name in ((BEGIN, "<S>"), (END, "</S>")):
        ids[words.index(name)] = border
    with h5py.File(fixture / "elmo_token_embeddings.hdf5") as file, torch.no_grad():
        expected = torch.from_numpy(file["embedding"][...])
        found = net.embed(*[torch.from_numpy(ids)] * 3)
    assert len(words) == 458 and torch.equal(found[:, :16], found[:, 16:])
    assert (found[:, :16] - expected).abs().max() < TOLERANCE


def test_the_mixture_of_layers_is_the_reference_s(net: ElmoNet, golden: dict[str, Tensor]) -> None:
    ids, layout, _ = next(golden_batches(golden))
    with torch.no_grad():
        states = net(ids, ids, ids, layout)
        for kind, name, wrong in ((ScalarMix, "false", "true"), (NormedMix, "true", "false")):
            mix = kind(LAYERS)
            mix.weights.copy_(torch.tensor([0.3, -0.8, 1.1]))
            mix.gamma.fill_(1.7)
            inside = torch.ones(len(ids), dtype=torch.bool)
            inside[[*layout.cu[:-1].tolist(), *(layout.cu[1:] - 1).tolist()]] = False
            found = mix(states, layout)[inside & (layout.row < layout.batch)]
            real = golden["outputs.elmo.batch0.mask"]
            assert (found - golden[f"outputs.elmo.batch0.layernorm_{name}"][real]).abs().max() < TOLERANCE
            assert (found - golden[f"outputs.elmo.batch0.layernorm_{wrong}"][real]).abs().max() > 0.1


# What needs no fixture


def tiny_net(seed: int = 0, **changes: Any) -> ElmoNet:
    """A small network in which everything matters, also the clips."""
    spec = tiny_spec("elmo", **changes)
    assert isinstance(spec, ElmoSpec)
    built = spec.build().eval()
    loud(built, seed)
    return built


def words(*lengths: int, seed: int = 0) -> list[Tensor]:
    """Sentences of random words of one to four letters."""
    draw = np.random.default_rng(seed)
    letters = "abcdefghij"
    return [
        torch.from_numpy(spell(["".join(draw.choice(list(letters), draw.integers(1, 5))) for _ in range(length)]))
        for length in lengths
    ]


def plain_layer(layer: LstmLayer, x_TP: Tensor, direction: int, clips: tuple[float, float]) -> Tensor:
    """One direction over one sequence, written down as the paper and TensorFlow's LSTMCell have it."""
    h, c = x_TP.new_zeros(x_TP.shape[1]), x_TP.new_zeros(layer.project.shape[1])
    bias, out = layer.bias.chunk(2)[direction], {}
    for t in range(len(x_TP)) if direction == 0 else reversed(range(len(x_TP))):
        i, j, f, o = (torch.cat([x_TP[t], h]) @ layer.gates[direction] + bias).chunk(4)
        c = (i.sigmoid() * j.tanh() + (f + 1).sigmoid() * c).clamp(-clips[0], clips[0])
        h = ((o.sigmoid() * c.tanh()) @ layer.project[direction]).clamp(-clips[1], clips[1])
        out[t] = h
    return torch.stack([out[t] for t in range(len(x_TP))])


def test_a_layer_and_its_gradients_are_those_of_the_formulas() -> None:
    clips = (0.4, 0.3)
    layer = LstmLayer(LstmSpec(width=8, feed_forward=7, cell_clip=clips[0], projection_clip=clips[1]))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    layout = Ragged.of([3, 1, 6, 0, 3])
    x_TD = torch.randn(13, 8, generator=generator, requires_grad=True)
    weights = torch.randn(13, 8, generator=generator)
    steps, gradients, outputs = Steps.of(layout), [], []
    for number in range(2):
        layer.zero_grad()
        x_TD.grad = None
        if number:
            zeros = torch.zeros(2, 5, 4), torch.zeros(2, 5, 7)
            out = steps.unpack(layer(steps.pack(x_TD), steps, *zeros)[0], 13)
        else:
            bounds = zip(layout.cu[:-1].tolist(), layout.cu[1:].tolist(), strict=True)
            each = [x_TD[a:b] for a, b in bounds if b > a]
            out = torch.cat(
                [
                    torch.cat([plain_layer(layer, s[:, :4], 0, clips), plain_layer(layer, s[:, 4:], 1, clips)], 1)
                    for s in each
                ]
            )
        (out * weights).sum().backward()
        outputs.append(out.detach())
        gradients.append([x_TD.grad, *(p.grad.clone() for p in layer.parameters() if p.grad is not None)])
    for side in (0, 1):  # both kinds of clip were met, and not everywhere
        clipped = float((outputs[0].abs() >= clips[1]).float().mean())
        assert 0.1 < clipped < 0.9, side
    assert torch.allclose(*outputs, atol=1e-6)
    assert len(gradients[0]) == len(gradients[1]) == 4
    for a, b in zip(*gradients, strict=True):
        assert a is not None and b is not None and torch.allclose(a, b, atol=1e-5)


def test_a_pass_that_keeps_nothing_for_a_gradient_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    net = tiny_net()
    ids, layout = laid_out(words(5, 1, 17, 4))
    kept = net(ids, ids, ids, layout)
    for at_once in (1, 9, 1024):
        monkeypatch.setattr("maskwright.nn.lstm._AT_ONCE", at_once)
        with torch.no_grad():
            assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(net(ids, ids, ids, layout), kept, strict=True))


def test_words_are_computed_the_same_alone_or_many_together(monkeypatch: pytest.MonkeyPatch) -> None:
    net = tiny_net()
    ids = torch.cat(words(9, 9, seed=3))
    together = net.embed(ids, ids, ids)
    assert torch.allclose(together, torch.cat([net.embed(*[each[None]] * 3) for each in ids]), atol=1e-6)
    monkeypatch.setattr("maskwright.nn.spelling._AT_ONCE", 2)
    assert torch.allclose(together, net.embed(ids, ids, ids), atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_padding_that_is_left_out_would_have_changed_nothing(activation: str) -> None:
    net = tiny_net(activation=activation, filters=[[1, 4], [2, 6], [7, 9]])
    ids = torch.from_numpy(spell(["a", "ab", "", "x" * 40, "x" * 41, "x" * 42, "x" * 43, "x" * 48, "x" * 60]))
    spelling = net.embed
    found = torch.cat(list(spelling._found(ids)), -1)  # over all fifty places
    expected = spelling.highways(spelling.activation(found)) @ spelling.project + spelling.bias
    for part in (slice(None), slice(0, 3), slice(3, 4), slice(4, 9)):
        given = ids[part]
        assert torch.allclose(net.embed(given, given, given), expected[part].repeat(1, 2), atol=1e-6)


def test_a_part_can_be_frozen_and_half_precision_around_it_changes_little() -> None:
    net = tiny_net()
    ids, layout = laid_out(words(5, 3))
    full = net(ids, ids, ids, layout)[-1]
    full.square().sum().backward()
    expected = {name: parameter.grad for name, parameter in net.named_parameters()}
    for name, parameter in net.named_parameters():
        parameter.grad = None
        parameter.requires_grad = name.endswith("1.bias")
    with torch.autocast("cpu", torch.bfloat16):
        half = net(ids, ids, ids, layout)[-1]
    assert half.dtype == torch.float32 and torch.allclose(half, full, atol=0.05)
    half.square().sum().backward()
    for name, parameter in net.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad
        if parameter.grad is not None:
            assert torch.allclose(parameter.grad, expected[name], atol=0.1 * float(expected[name].abs().max()))


def test_a_state_goes_on_where_the_batch_before_ended() -> None:
    net = tiny_net()
    first, second = words(4, 7, 2), words(5, 1, 9, seed=1)
    with torch.no_grad():
        state = net.go_on(*laid_out(first), None)[1]
        later = net.go_on(*laid_out(second), state)[0]
        for row in range(3):  # the forward half reads on; so one sequence of both gives the same
            one = torch.cat([laid_out([each[row]])[0] for each in (first, second)])
            whole = net(one, one, one, Ragged.of([len(one)]))
            begin, end = (int(n) for n in laid_out(second)[1].cu[row : row + 2])
            half = whole[-1].shape[1] // 2
            for a, b in zip(later, whole, strict=True):
                assert torch.allclose(a[begin:end, :half], b[-(end - begin) :, :half], atol=1e-5)
        assert not torch.allclose(later[-1], net.go_on(*laid_out(second), None)[0][-1], atol=1e-3)


def test_a_smaller_batch_changes_its_own_rows_and_a_larger_one_begins_new_ones_at_zero() -> None:
    net = tiny_net()
    with torch.no_grad():
        three = net.go_on(*laid_out(words(4, 7, 2)), None)[1]
        before = three.h_L2BP.clone(), three.c_L2BF.clone()
        two = net.go_on(*laid_out(words(3, 3, seed=1)), three)[1]
        assert torch.equal(three.h_L2BP, before[0]) and torch.equal(three.c_L2BF, before[1])  # the caller's own
        assert two.rows == 3 and torch.equal(two.h_L2BP[:, :, 2], before[0][:, :, 2])
        assert not torch.equal(two.h_L2BP[:, :, :2], before[0][:, :, :2])
        larger = words(2, 2, 2, 5, seed=2)
        four = net.go_on(*laid_out(larger), two)[1]
        anew = net.go_on(*laid_out(larger), LstmState.zeros(net.spec.stack, 4))[1]
    assert four.rows == 4
    assert torch.allclose(four.c_L2BF[:, :, 3], anew.c_L2BF[:, :, 3], atol=1e-6)
    assert not torch.allclose(four.c_L2BF[:, :, 0], anew.c_L2BF[:, :, 0], atol=1e-3)


def test_no_gradient_goes_through_a_state() -> None:
    net = tiny_net().train()
    state = net.go_on(*laid_out(words(3, 2)), None)[1]
    assert not state.h_L2BP.requires_grad and not state.c_L2BF.requires_grad
    net.go_on(*laid_out(words(3, 2)), state)[0][-1].sum().backward()


def test_a_call_remembers_nothing() -> None:
    net = tiny_net()
    ids, layout = laid_out(words(3, 8))
    with torch.no_grad():
        assert all(
            torch.equal(a, b) for a, b in zip(net(ids, ids, ids, layout), net(ids, ids, ids, layout), strict=True)
        )


def test_dropout_is_a_matter_of_its_key_and_of_training() -> None:
    net = tiny_net(dropout=0.3)
    ids, layout = laid_out(words(3, 8))
    quiet = net(ids, ids, ids, layout)
    net.train()
    drawn = []
    for step in (1, 1, 2):
        with dropout_key(0, step):
            drawn.append(net(ids, ids, ids, layout))
    assert torch.equal(drawn[0][-1], drawn[1][-1]) and not torch.equal(drawn[0][-1], drawn[2][-1])
    assert torch.equal(drawn[0][0], quiet[0])  # the words themselves are never dropped


def test_forward_states_know_nothing_of_later_words_and_backward_ones_nothing_of_earlier() -> None:
    net = tiny_net()
    sentence, other = words(9, 9)
    changed = torch.cat([sentence[:4], other[4:5], sentence[5:]])
    with torch.no_grad():
        one, two = (net(*[ids] * 3, layout)[-1] for ids, layout in (laid_out([sentence]), laid_out([changed])))
    half = one.shape[1] // 2
    moved = (one - two).abs() > 1e-6  # the words are computed together, so what is the same may differ by rounding
    assert not moved[:5, :half].any() and moved[5:, :half].any(1).all()
    assert not moved[6:, half:].any() and moved[:6, half:].any(1).all()


def test_words_before_and_after_are_scored_by_the_half_that_has_not_seen_them() -> None:
    head = NeighbourWords(6, 4)
    head.initialise()
    hidden = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    scores = head(hidden)
    assert scores.shape == (5, 2, 4)
    assert torch.allclose(scores[:, 0], hidden[:, :3] @ head.weight.T + head.bias)
    assert torch.allclose(scores[:, 1], hidden[:, 3:] @ head.weight.T + head.bias)
    assert torch.equal(head.after(hidden), scores[:, 0]) and torch.equal(head.before(hidden), scores[:, 1])
    # [a b c][d][e f] and two tokens of no sequence
    assert links(Ragged.of([3, 1, 2], 8)).tolist() == [0, 1, 4]


def test_operations_are_those_that_torch_counts() -> None:
    net = tiny_net()
    sentences = [torch.from_numpy(spell([f"{row}{n}" * 24 for n in range(4)])) for row in range(3)]
    ids = torch.cat(sentences)  # no word twice, and none shorter than words can be
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(ids, ids, ids, Ragged.of([4, 4, 4]))
    block = net.spec.stack.block
    in_place = 2 * 2 * 4 * block.feed_forward * block.width  # gates of the state, 2 layers: torch counts no baddbmm_
    assert counter.get_total_flops() == len(ids) * (net.spec.flops(4) - in_place)


def test_fresh_weights_are_bilm_s() -> None:
    net = elmo_spec(width=64, filters=((1, 32), (3, 64), (5, 128)), feed_forward=256).build()
    with seeded(0):
        net.initialise()
    named = {name: parameter.detach() for name, parameter in net.named_parameters()}
    assert named["embed.table"].abs().max() <= 1 and float(named["embed.table"].std()) == pytest.approx(
        3**-0.5, rel=0.05
    )
    assert 0.049 < named["embed.filters.2.weight"].abs().max() <= 0.05
    assert float(named["embed.highways.0.weight"].std()) == pytest.approx(224**-0.5, rel=0.02)
    assert named["embed.highways.1.bias"].tolist() == [0.0] * 224 + [-2.0] * 224
    assert float(named["embed.project"].std()) == pytest.approx(224**-0.5, rel=0.03)
    bound = (6 / (64 + 1024)) ** 0.5
    assert 0.99 * bound < named["stack.blocks.1.gates"].abs().max() <= bound
    assert not named["stack.blocks.0.bias"].any() and not named["embed.filters.0.bias"].any()


# A model


def elmo_model(**changes: Any) -> Model:
    model = create(tiny_spec("elmo", **changes), CharacterTokenizer(max_length=64), seed=0)  # type: ignore[arg-type]
    loud(model.eval().net)
    return model


def test_text_becomes_vectors_the_same_alone_or_in_company() -> None:
    model = elmo_model()
    texts = ["One text.", "", "Another, which isn't that short.", "我爱北京", "a" * 5000, "w " * 500]
    vectors = model.encode(texts)
    assert vectors.shape == (6, 24) and np.isfinite(vectors).all()
    for number, text in enumerate(texts):
        assert np.allclose(vectors[number], model.encode([text])[0], atol=1e-5)
    assert np.array_equal(vectors, model.encode(texts))
    assert np.allclose(vectors[5], model.encode(["w " * 62])[0], atol=1e-5)  # 64 with the borders


def test_a_text_stands_between_its_borders() -> None:
    (batch,) = batches_of(elmo_model(), [("Hello there!",)], 100)
    assert batch.ids_T.shape == (8, 50) and batch.layout.cu.tolist() == [0, 5]
    assert CharacterTokenizer().pieces(batch.ids_T[:6].numpy()) == ["<S>", "Hello", "there", "!", "</S>", ""]


def test_pairs_are_refused() -> None:
    with pytest.raises(ConfigError, match="a pair of texts cannot be laid out"):
        batches_of(elmo_model(), [("one", "two")], 100)


def test_a_mixture_is_the_last_state_and_what_the_other_heads_read(tmp_path: Path) -> None:
    model = elmo_model()
    (batch,) = batches_of(model, [("Hello there!",)], 100)
    plain = model.states(batch)
    mix = model.add_head("mix")
    with torch.no_grad():
        mix.weights.copy_(torch.tensor([0.5, -0.5, 1.0]))
    states = model.states(batch)
    assert len(states) == len(plain) + 1
    shares = torch.tensor([0.5, -0.5, 1.0]).softmax(0)
    expected = sum(share * state for share, state in zip(shares, plain, strict=True))
    assert torch.allclose(states[-1], expected, atol=1e-6)
    model.add_head("bilm", 9)
    model.add_head("classify", 3)
    assert model.head("mix") is mix
    model.keep_heads("classify")
    assert set(model.net.heads) == {"mix", "classify"}
    model.save(tmp_path / "model")
    assert json.loads((tmp_path / "model" / "config.json").read_text())["architectures"] == ["MaskwrightElmoForSequenceClassification"]  # fmt: skip
    back = load(tmp_path / "model")
    assert torch.equal(back.hidden(batch), model.hidden(batch)) and back.tokenizer.max_length == 64


def test_classification_heads_bring_the_mixture_along_and_the_language_model_does_without() -> None:
    for head, heads in (("classify", {"mix", "classify"}), ("tokens", {"mix", "tokens"}), ("bilm", {"bilm"})):
        model = elmo_model()
        model.add_head(head, 3)
        assert set(model.net.heads) == heads
    model.add_head("mix")
    model.keep_heads("bilm")
    assert set(model.net.heads) == {"bilm"}


def test_other_ids_and_another_layout_are_refused() -> None:
    net = tiny_net()
    ids, layout = laid_out(words(3))
    with pytest.raises(ConfigError, match="ragged layout only"):
        net(ids, ids, ids, Grid(1, 5))
    with pytest.raises(ConfigError, match=r"reads \(T, 50\) characters of words, not ids of shape \(5,\)"):
        net(ids[:, 0], ids, ids, layout)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"filters": [[51, 4]]}, "filters"),
        ({"filters": []}, "filters"),
        ({"filters": [[1, True]]}, "filters"),
        ({"filters": [[1, 4, 2]]}, "filters"),
        ({"cell_clip": -1}, "cell_clip"),
        ({"proj_clip": "3"}, "proj_clip"),
        ({"use_skip_connections": 1}, "use_skip_connections"),
        ({"n_highway": -1}, "n_highway"),
        ({"num_hidden_layers": 10**12}, "num_hidden_layers"),
        ({"hidden_size": 23}, "two directions"),
        ({"cell_size": 12}, "two directions"),
        ({"activation": "mish"}, "activation"),
        ({"n_characters": 300}, "262 characters"),
        ({"max_characters_per_token": 60}, "max_characters_per_token"),
        ({"dropout": None}, "dropout"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_by_its_field(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(CheckpointError, match=why):
        tiny_spec("elmo", **changes)


def test_sizes_that_no_machine_holds_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    elmo_model().save(tmp_path / "model")
    (tmp_path / "model" / "maskwright.json").unlink()
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"filters": [[1, 10**9]]}))
    with pytest.raises(CheckpointError, match="the limit is 20,000,000,000"):
        load(tmp_path / "model")


# The original files

OPTIONS: dict[str, Any] = {
    "lstm": {"cell_clip": 3, "use_skip_connections": True, "n_layers": 2, "proj_clip": 3, "projection_dim": 6, "dim": 10},
    "char_cnn": {
        "embedding": {"dim": 4}, "filters": [[1, 4], [2, 5]], "n_highway": 1, "n_characters": 262,
        "max_characters_per_token": 50, "activation": "relu",
    },
}  # fmt: skip


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """A folder with options.json and weights.hdf5 as bilm-tf writes them, of random weights."""
    h5py = pytest.importorskip("h5py")
    folder = tmp_path / "original"
    folder.mkdir()
    (folder / "options.json").write_text(json.dumps(OPTIONS))
    draw = np.random.default_rng(0)
    shapes = {"char_embed": (261, 4), "CNN_proj/W_proj": (9, 6), "CNN_proj/b_proj": (6,)}
    for n, (wide, count) in enumerate(OPTIONS["char_cnn"]["filters"]):
        shapes |= {f"CNN/W_cnn_{n}": (1, wide, 4, count), f"CNN/b_cnn_{n}": (count,)}
    for each in ("transform", "carry"):
        shapes |= {f"CNN_high_0/W_{each}": (9, 9), f"CNN_high_0/b_{each}": (9,)}
    for way in (0, 1):
        for layer in (0, 1):
            cell = f"RNN_{way}/RNN/MultiRNNCell/Cell{layer}/LSTMCell"
            shapes |= {f"{cell}/W_0": (12, 40), f"{cell}/B": (40,), f"{cell}/W_P_0": (10, 6)}
    with h5py.File(folder / "weights.hdf5", "w") as file:
        for name, shape in shapes.items():
            file[name] = draw.normal(size=shape).astype("float32")
    return folder


def read(folder: Path) -> ElmoNet:
    files = find_original(folder)
    assert files
    net = read_original(files)[1]
    assert isinstance(net, ElmoNet)
    return net


def change(folder: Path, **options: Any) -> None:
    """Write the options anew; a mapping changes the object of that name."""
    merged = {name: {**OPTIONS.get(name, {}), **value} if isinstance(value, dict) else value for name, value in options.items()}  # fmt: skip
    (folder / "options.json").write_text(json.dumps({**OPTIONS, **merged}))


def test_convert_writes_a_folder_that_loads_and_computes_the_same(
    original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["convert", str(original), "--out", str(tmp_path / "elmo")]) == 0
    assert "elmo, " in capsys.readouterr().out
    model, net = load(tmp_path / "elmo"), read(original)
    assert model.spec == net.spec and model.card.provenance["converted from"] == "weights.hdf5"
    found = dict(model.net.named_parameters())
    assert all(torch.equal(value, found[name]) for name, value in net.named_parameters())
    model.save(tmp_path / "again")
    for path in (tmp_path / "elmo").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    config = json.loads((tmp_path / "elmo" / "config.json").read_text())
    assert config["architectures"] == ["MaskwrightElmo"] and config["model_type"] == "elmo"
    assert run(["convert", str(original), "--out", str(tmp_path / "elmo")]) == 1


def test_options_of_training_are_understood(original: Path) -> None:
    change(
        original, char_cnn={"n_characters": 261}, bidirectional=True, dropout=0.2, n_tokens_vocab=793471, batch_size=128
    )
    assert read(original).spec.stack.block.dropout == 0.2


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"lstm": {"peepholes": True}}, r"options\.json: unknown options lstm\.peepholes"),
        ({"residual": True}, "unknown options residual"),
        ({"bidirectional": False}, "bidirectional is false"),
        ({"lstm": None}, "no object lstm"),
        ({"lstm": {"projection_dim": "6"}}, r"lstm\.projection_dim is '6'"),
        ({"lstm": {"dim": 11}}, "tensors of another shape: .*CNN.*|tensors of another shape: RNN"),
        ({"lstm": {"n_layers": 3}}, r"6 tensors are missing: RNN_0\.RNN\.MultiRNNCell\.Cell2\.LSTMCell\.W_0"),
        ({"lstm": {"n_layers": 1}}, r"6 tensors that a elmo of this configuration does not have: .*Cell1"),
        ({"char_cnn": {"n_highway": 2}}, r"4 tensors are missing: CNN_high_1"),
        ({"char_cnn": {"n_characters": 1000}}, r"char_cnn\.n_characters is 1000"),
        ({"char_cnn": {"filters": [[1, 4], [2, 10**9]]}}, "tensors of another shape"),
        ({"lstm": {"dim": 10**15}}, "tensors of another shape"),
    ],
)
def test_options_that_do_not_fit_are_refused_by_name(original: Path, options: dict[str, Any], why: str) -> None:
    change(original, **options)
    if options.get("lstm", 0) is None:
        (original / "options.json").write_text(json.dumps({"char_cnn": OPTIONS["char_cnn"]}))
    with pytest.raises(CheckpointError, match=why):
        read(original)


def test_what_is_missing_left_over_or_of_another_kind_in_the_file_is_refused_by_name(original: Path) -> None:
    import h5py

    def refused(spoil: Callable[[Any], None], why: str) -> None:
        kept = original / "kept"
        shutil.copy(original / "weights.hdf5", kept)
        with h5py.File(original / "weights.hdf5", "a") as file:
            spoil(file)
        with pytest.raises(CheckpointError, match=why):
            read(original)
        shutil.move(kept, original / "weights.hdf5")

    def replaced(name: str, **new: Any) -> Callable[[Any], None]:
        def spoil(file: Any) -> None:
            del file[name]
            file.create_dataset(name, **new)

        return spoil

    def virtual(file: Any) -> None:
        del file["char_embed"]
        layout = h5py.VirtualLayout((261, 4), "f4")
        layout[:] = h5py.VirtualSource("/etc/hostname", "x", (261, 4))
        file.create_virtual_dataset("char_embed", layout)

    def linked(link: Any) -> Callable[[Any], None]:
        def spoil(file: Any) -> None:
            del file["CNN"]
            file["CNN"] = link

        return spoil

    def looped(file: Any) -> None:
        file["CNN/again"] = file["CNN"]

    refused(lambda file: file.__delitem__("CNN/b_cnn_1"), r"1 tensors are missing: CNN\.b_cnn_1")
    refused(lambda file: file.__setitem__("CNN/b_cnn_2", np.zeros(3, "f4")), r"does not have: CNN\.b_cnn_2")
    refused(
        replaced("char_embed", data=np.zeros((262, 4), "f4")),
        r"char_embed is \[262, 4\], the configuration says \[261, 4\]",
    )
    refused(replaced("char_embed", shape=(10**9, 10**6), dtype="f4", chunks=(1, 1)), "char_embed is")
    refused(replaced("char_embed", data=np.zeros((261, 4), "i4")), "char_embed holds int32")
    refused(replaced("char_embed", data=h5py.Empty("f4")), "char_embed holds")
    refused(virtual, "char_embed has its values in other files")
    refused(replaced("char_embed", shape=(261, 4), dtype="f4", external=[("/etc/hostname", 0, 4176)]), "in other files")
    refused(linked(h5py.ExternalLink("other.hdf5", "/CNN")), "CNN points elsewhere")
    refused(linked(h5py.SoftLink("/RNN_0")), "CNN points elsewhere")
    refused(looped, "nested or filled as no ELMo's are")
    refused(lambda file: file.__setitem__("a.b", 1.0), "a dot in its name")
    read(original)


def test_a_damaged_file_and_two_models_in_one_folder_are_refused(original: Path) -> None:
    weights = original / "weights.hdf5"
    shutil.copy(weights, original / "other_weights.hdf5")
    with pytest.raises(CheckpointError, match="are both there"):
        find_original(original)
    (original / "other_weights.hdf5").unlink()
    weights.write_bytes(weights.read_bytes()[:3000])
    with pytest.raises(CheckpointError, match="the file is damaged or no HDF5"):
        read(original)
    assert find_original(original.parent) is None


def test_without_h5py_the_extra_is_named(original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r"pip install 'maskwright\[elmo\]'"):
        read(original)


def test_a_vocabulary_of_pieces_is_no_elmo_s() -> None:
    with pytest.raises(ConfigError, match="it needs a tokenizer of characters"):
        elmo_spec(vocabulary=30_000, width=24)
    with pytest.raises(InputError, match="There is no such file"):
        CharacterTokenizer.load(Path(__file__).parent)
