"""XLNet's own: two streams, memory, padding on either side, and a configuration that is read strictly."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maskwright.checkpoint.keys import export, fill, match
from maskwright.config import FinetuneConfig
from maskwright.data.batch import Collator, Sample
from maskwright.errors import CheckpointError, ConfigError
from maskwright.evaluation.metrics import headline
from maskwright.evaluation.runner import logits_of
from maskwright.families.xlnet import XLNET, XLNetNet, XLNetSpec, xlnet_spec
from maskwright.keys import Key
from maskwright.machine import seeded
from maskwright.model import create, load
from maskwright.nn.layout import Grid
from maskwright.text.tokenizer import Tokenizer
from maskwright.train.finetune import finetune
from small import loud, rectangle
from tiny_families import CONFIGS, tiny_spec

S, M = 11, 3
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "short memory of the first places": {"mem_len": 6, "reuse_len": 4},
    "half of the batch backwards": {"bi_data": True},
    "far distances alike": {"clamp_len": 3},
    "back only": {"attn_type": "uni"},
    "back only, equally far": {"attn_type": "uni", "same_length": True, "mem_len": 5},
}


def both(**changes: Any) -> tuple[XLNetNet, Any]:
    """The same random network, ours and that of the transformers library."""
    transformers = pytest.importorskip("transformers")
    config = CONFIGS["xlnet"]["plain"] | {"mem_len": None} | changes
    torch.manual_seed(0)
    theirs = transformers.XLNetModel(transformers.XLNetConfig(**config)).eval()
    spec, found = XLNET.read_config(config), theirs.state_dict()
    net = spec.build().eval()
    fill(XLNET, net, match(XLNET, spec, found), found, {name: tuple(value.shape) for name, value in found.items()})
    assert isinstance(net, XLNetNet)
    return net, theirs


def segment(number: int, batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, segments, what may not be seen, and targets that do not see themselves but something else."""
    generator = torch.Generator().manual_seed(number)
    ids = torch.randint(5, 801, (batch, S), generator=generator)
    types = torch.randint(0, 3, (batch, S), generator=generator)
    unseen = torch.rand(batch, S, S, generator=generator) < 0.5
    targets = torch.stack([torch.randperm(S, generator=generator)[:M] for _ in range(batch)])
    for row in range(batch):
        unseen[row, targets[row], targets[row]] = True
        unseen[row, targets[row], (targets[row] - 1).clamp(min=0)] = False
    return ids, types, unseen, targets


def one_hot(targets: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(targets, S).float()


Change = Callable[[dict[str, Any]], dict[str, Any]]


def over_two_segments(net: XLNetNet, theirs: Any, batch: int, change: Change = lambda given: given) -> float:
    """The largest difference of states of both streams, memory and gradients; the second segment sees the first."""
    apart = [0.0]
    memory: tuple[torch.Tensor, ...] = ()
    mems = None
    total_a, total_b = torch.zeros(()), torch.zeros(())
    for number in (1, 2):
        ids, types, unseen, targets = segment(number, batch)
        if net.spec.look.same_length:  # where a first segment's targets see nothing but themselves
            unseen &= ~torch.eye(S, dtype=torch.bool)
        expected = theirs(
            ids, token_type_ids=types, perm_mask=unseen.float(), target_mapping=one_hot(targets), mems=mems,
            use_mems=True, output_hidden_states=True,
        )  # fmt: skip
        given = change({"unseen_BSS": unseen, "targets_BM": targets, "memory": memory})
        tokens, queries = net.two_streams(ids.flatten(), types.flatten(), Grid(batch, S), **given)
        memory, mems = net.remember(tokens, Grid(batch, S), memory), expected.mems
        pairs = [*zip(tokens, expected.hidden_states[::2], strict=True)]
        pairs += zip(queries, expected.hidden_states[1::2], strict=True)
        pairs.append((queries[-1], expected.last_hidden_state))
        assert all(not each.requires_grad for each in memory)
        apart += [float((a.view_as(b) - b).detach().abs().max()) for a, b in pairs]
        for a, b in zip(memory, mems, strict=True):
            assert a.transpose(0, 1).shape == b.shape
            apart.append(float((a.transpose(0, 1) - b).abs().max()))
        noise = torch.randn(batch, M, net.spec.width, generator=torch.Generator().manual_seed(number))
        total_a = total_a + (queries[-1].view_as(noise) * noise).sum()
        total_b = total_b + (expected.last_hidden_state * noise).sum()
    total_a.backward()
    total_b.backward()
    for parameter in net.parameters():
        assert parameter.grad is not None and parameter.grad.any()
        parameter.data = parameter.grad.clone()
    for name, gradient in export(XLNET, net, bare=True).items():
        wanted = theirs.get_parameter(name).grad
        apart.append(float((gradient - wanted).abs().max() / wanted.abs().max().clamp(min=1.0)))
    return max(apart)


@pytest.mark.parametrize("way", WAYS)
def test_both_streams_memory_and_gradients_over_two_segments_are_those_of_transformers(way: str) -> None:
    # Back only with a permutation the transformers library takes one sequence at a time.
    assert over_two_segments(*both(**WAYS[way]), batch=1 if "back only" in way else 4) <= 1e-5


WRONG: dict[str, Change] = {
    "who sees whom turned round": lambda given: given | {"unseen_BSS": given["unseen_BSS"].transpose(1, 2)},
    "targets one place off": lambda given: given | {"targets_BM": (given["targets_BM"] + 1) % S},
    "memory forgotten": lambda given: given | {"memory": tuple(each * 0 for each in given["memory"])},
    "memory of the layer above": lambda given: given | {"memory": given["memory"][1:] + given["memory"][:1]},
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_streams_fail_the_same_check(what: str) -> None:
    assert over_two_segments(*both(), batch=4, change=WRONG[what]) > 1e-3


@pytest.mark.parametrize("way", ["plain", "back only"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_with_padding_on_either_side_both_streams_are_those_of_transformers(way: str, side: str) -> None:
    net, theirs = both(**WAYS[way])
    batch = 1 if way == "back only" else 4
    ids, types, unseen, _ = segment(3, batch)
    mask = torch.ones(batch, S, dtype=torch.bool)
    mask[0, slice(0, 4) if side == "left" else slice(7, S)] = False
    targets = torch.tensor([[5, 6, 4]]).expand(batch, M)
    unseen[:, 4:7, 4:6] = torch.eye(3, dtype=torch.bool)[[1, 2, 0]][:, :2]
    with torch.no_grad():  # behind a segment without padding
        before = segment(4, batch)[:2]
        mems = theirs(before[0], token_type_ids=before[1], use_mems=True).mems
        whole = Grid(batch, S)
        memory = net.remember(net.two_streams(before[0].flatten(), before[1].flatten(), whole)[0], whole)
        expected = theirs(
            ids, attention_mask=mask.float(), token_type_ids=types, perm_mask=unseen.float(),
            target_mapping=one_hot(targets), mems=mems, output_hidden_states=True,
        )  # fmt: skip
        found = net.two_streams(
            ids.flatten(), types.flatten(), Grid(batch, S, mask), unseen_BSS=unseen, targets_BM=targets, memory=memory
        )
    for number in range(len(found[0])):
        a, b = found[0][number].view(batch, S, -1)[mask], expected.hidden_states[2 * number][mask]
        assert torch.allclose(a, b, atol=1e-5), number
        a, b = found[1][number].view(batch, M, -1), expected.hidden_states[2 * number + 1]
        assert torch.allclose(a, b, atol=1e-5), number


def test_a_target_that_may_look_at_nothing_is_finite_and_the_same_whatever_the_padding_holds() -> None:
    net = tiny_spec("xlnet").build().eval()
    loud(net)
    ids, mask, types = rectangle((5, 9), 801)
    unseen, targets = torch.ones(2, 9, 9, dtype=torch.bool), torch.tensor([[2], [3]])
    garbage = torch.where(mask.bool(), ids, 77)
    one, two = (
        net.two_streams(
            each.flatten(), types.flatten(), Grid(2, 9, mask.bool()), unseen_BSS=unseen, targets_BM=targets
        )[1][-1]
        for each in (ids, garbage)
    )
    assert one.isfinite().all() and torch.equal(one, two)


def test_in_bfloat16_the_states_stay_near() -> None:
    net = tiny_spec("xlnet").build().eval()
    loud(net)
    ids, types, unseen, targets = segment(1, 4)
    given = ids.flatten(), types.flatten(), Grid(4, S)
    with torch.no_grad():
        exact = net.two_streams(*given, unseen_BSS=unseen, targets_BM=targets)
        with torch.autocast("cpu", torch.bfloat16):
            half = net.two_streams(*given, unseen_BSS=unseen, targets_BM=targets)
    for a, b in zip(exact, half, strict=True):
        assert (a[-1] - b[-1].float()).abs().mean() < 0.03


def test_a_ragged_batch_has_the_states_and_scores_of_the_rectangle(tokenizer: Tokenizer) -> None:
    model = create(tiny_spec("xlnet", vocab_size=tokenizer.vocab_size), tokenizer, seed=0)
    model.add_head("classify", 3)
    model.add_head("tokens", 2)
    loud(model.eval().net)
    lengths = (6, 1, 9)
    ids, mask, types = rectangle(lengths, tokenizer.vocab_size)
    nothing = np.zeros(9, dtype=np.bool_)
    samples = [
        Sample(ids[row, :n].numpy(), types[row, :n].numpy(), nothing[:n], nothing[:n], row)
        for row, n in enumerate(lengths)
    ]
    batch = Collator((), tokenizer.pad_id)(samples, Key(0))
    assert len(batch.ids_T) > sum(lengths)
    hidden_TD, expected = model.hidden(batch), model(ids, mask, types)
    kept = mask.bool()
    assert torch.allclose(hidden_TD[: sum(lengths)], expected.last_hidden_state[kept], atol=1e-5)
    assert torch.allclose(model.scores("classify", hidden_TD, batch.layout), expected.logits, atol=1e-5)


def test_a_text_has_the_same_class_scores_with_padding_on_either_side(tokenizer: Tokenizer) -> None:
    model = create(tiny_spec("xlnet", vocab_size=tokenizer.vocab_size), tokenizer, seed=0)
    model.add_head("classify", 3)
    loud(model.eval().net)
    ids, mask, types = rectangle((6, 1, 9), tokenizer.vocab_size)
    moved = [
        torch.stack([row.roll(9 - n) for row, n in zip(each, (6, 1, 9), strict=True)]) for each in (ids, mask, types)
    ]
    assert moved[1][0].tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert torch.allclose(model(ids, mask, types).logits, model(*moved).logits, atol=1e-5)


def test_five_rows_are_learnt_by_heart_and_the_predictions_survive_the_folder(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    create(tiny_spec("xlnet", initializer_range=0.1), tokenizer, seed=0).save(tmp_path / "start")
    rows = {"open the file": "verb", "close it": "verb", "a list of names": "noun", "raise an error": "verb", "the value": "noun"}  # fmt: skip
    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + "".join(f"{text}\t{kind}\n" for text, kind in rows.items()))
    train = {"steps": 60, "examples": 5, "lr": 3e-3, "precision": "fp32", "evaluate_every": 60, "warmup": 0.0}
    given = {"model": str(tmp_path / "start"), "data": tmp_path / "rows.tsv", "dev": tmp_path / "rows.tsv"}
    done = finetune(FinetuneConfig.of({**given, "task": "classify", "out": tmp_path / "run", "train": train}))
    assert headline(done.metrics) == 1
    texts = [(text,) for text in rows]
    before, after = (logits_of(model, texts) for model in (done.model, load(done.folder / "model")))
    assert np.array_equal(before, after)


def test_fresh_biases_of_attention_start_from_the_normal_distribution() -> None:
    spec = xlnet_spec(vocabulary=50, width=512, layers=2, heads=8)
    net = spec.build()
    with seeded(0):
        net.initialise()
    found = [
        net.embed.target,
        *(value for name, value in net.named_parameters() if "to_" in name or "segments" in name),
    ]
    assert len(found) == 1 + 2 * 4
    for value in found:
        assert float(value.detach().std()) == pytest.approx(0.02, rel=0.2)


# ---- what cannot be


def test_what_cannot_be_computed_is_refused() -> None:
    net = tiny_spec("xlnet", bi_data=True).build()
    assert isinstance(net, XLNetNet)
    ids = torch.zeros(3 * S, dtype=torch.int64)
    with pytest.raises(ConfigError, match=r"bi_data is true.* 3 sequences have no half"):
        net.two_streams(ids, ids, Grid(3, S))
    mask = torch.ones(2, S, dtype=torch.bool)
    mask[1, -1] = False
    states = [torch.zeros(2 * S, 24)] * 3
    with pytest.raises(ConfigError, match="a segment with padding cannot be remembered"):
        net.remember(states, Grid(2, S, mask))
    short = XLNetNet(replace(net.spec, reuse=S - 1))
    assert [each.shape for each in short.remember(states, Grid(2, S, mask))] == [(2, S - 1, 24)] * 2


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"width": 9, "heads": 3}, "width 9 is odd"), ({"attention_dropout": 0.2}, "one rate for both")],
)
def test_a_size_that_cannot_be_is_refused(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        xlnet_spec(**{"vocabulary": 50, "width": 24, "layers": 1, "heads": 2, **sizes})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("untie_r", False), ("summary_type", "first"), ("summary_activation", "relu"), ("summary_use_proj", False),
        ("attn_type", "both"), ("bi_data", "yes"), ("bi_data", 1), ("same_length", None), ("d_head", 5), ("clamp_len", 1.5),
        ("clamp_len", -2), ("mem_len", -1), ("mem_len", "all"), ("reuse_len", True), ("d_model", 0), ("d_model", 21),
        ("d_inner", None), ("ff_activation", "mish"), ("dropout", 1.0),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_is_refused_by_name(field: str, value: object) -> None:
    config = CONFIGS["xlnet"]["plain"] | {field: value}
    if (field, value) == ("d_inner", None):
        assert XLNET.read_config(config) == XLNET.read_config(config | {"d_inner": 96})
        return
    with pytest.raises(CheckpointError, match=rf"config\.json: .*{field}.*{re.escape(repr(value))}"):
        XLNET.read_config(config)


def test_the_published_configuration_is_the_preset(tmp_path: Path) -> None:
    published = {
        "attn_type": "bi", "bi_data": False, "clamp_len": -1, "d_head": 64, "d_inner": 3072, "d_model": 768, "dropout": 0.1,
        "end_n_top": 5, "ff_activation": "gelu", "initializer_range": 0.02, "layer_norm_eps": 1e-12, "mem_len": None,
        "n_head": 12, "n_layer": 12, "reuse_len": None, "same_length": False, "start_n_top": 5, "summary_activation": "tanh",
        "summary_last_dropout": 0.1, "summary_type": "last", "summary_use_proj": True, "untie_r": True, "vocab_size": 32000,
    }  # fmt: skip
    spec = XLNET.read_config(published)
    assert spec == XLNET.presets["xlnet-base-cased"]
    assert set(published) <= set(XLNET.write_config(spec)) | XLNET.known
    assert sum(count for _, count in spec.parameters().values()) == 116_718_336
    absent = XLNET.read_config({name: value for name, value in published.items() if name != "mem_len"})
    assert isinstance(absent, XLNetSpec) and absent.memory == 512  # as in the configuration class of transformers
