"""The same numbers as the transformers library, in every class of it that we claim; and wrong ones are noticed."""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from maskwright.families import FAMILIES, Spec, family_of
from maskwright.families.albert import SharedStackSpec
from maskwright.families.xlnet import XLNetSpec
from maskwright.model import Model, create, load
from maskwright.nn import relative
from maskwright.text.tokenizer import Tokenizer
from parity import assert_parity, ours_of, their_model
from small import rectangle
from tiny_families import CONFIGS, tiny_spec

transformers = pytest.importorskip("transformers")

THEIRS = [entry.name for entry in FAMILIES if hasattr(transformers, entry.load().base)]
CLASSES = [(name, kind) for name in THEIRS for kind in family_of(name).architectures]
# Every class in a family's first configuration; in the others the classes that between them have most of the heads.
CASES = [
    (family, name, sizes)
    for family, name in CLASSES
    for number, sizes in enumerate(CONFIGS[family])
    if number == 0 or name.endswith(("Model", "ForMaskedLM", "LMHeadModel", "ForPreTraining", "ForSequenceClassification", "ForMultipleChoice"))
]  # fmt: skip


@pytest.mark.parametrize(("family", "name", "sizes"), CASES)
def test_states_logits_and_gradients_are_those_of_transformers(
    tokenizer: Tokenizer, tmp_path: Path, family: str, name: str, sizes: str
) -> None:
    theirs = their_model(name, CONFIGS[family][sizes])
    ours = ours_of(theirs, tokenizer, tmp_path)
    assert set(ours.net.heads) == family_of(family).architectures[name]
    assert_parity(ours, theirs)


@pytest.mark.parametrize(("family", "name"), CLASSES)
def test_what_we_write_transformers_loads_strictly_and_computes_the_same(
    tokenizer: Tokenizer, tmp_path: Path, family: str, name: str
) -> None:
    ours = create(tiny_spec(family), tokenizer, seed=0).eval()
    for head in sorted(ours.family.architectures[name]):
        ours.add_head(head, 3)
    ours.save(tmp_path / "model")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, report = getattr(transformers, name).from_pretrained(tmp_path / "model", output_loading_info=True)
    missing = [key for key in report["missing_keys"] if ours.family.prefix + key not in ours.family.ignorable]
    assert not missing and not any(report[kind] for kind in ("unexpected_keys", "mismatched_keys", "error_msgs"))
    assert theirs.config.architectures == [name]
    assert_parity(ours, theirs.eval())


@pytest.mark.parametrize(("outputs", "kind"), [(1, "regression"), (3, "single_label_classification")])
def test_a_head_that_no_task_has_trained_yet_opens_in_transformers(
    tiny: Callable[..., Model], tmp_path: Path, outputs: int, kind: str
) -> None:
    ours = tiny(("pooler",))
    ours.add_head("classify", outputs)
    ours.save(tmp_path / "model")
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    assert theirs.config.problem_type == kind and theirs.classifier.out_features == outputs
    assert torch.equal(theirs.classifier.weight, ours.net.heads["classify"].score.weight)


# ---- wrong architectures: the same weights under another spec


@dataclass(frozen=True, kw_only=True)
class RoundRobin(SharedStackSpec):
    """Groups that take turns, instead of one after the other."""

    @property
    def order(self) -> list[int]:
        return [layer % self.groups for layer in range(self.layers)]


def _embed(spec: Spec, **changes: Any) -> Spec:
    return replace(spec, embed=replace(spec.embed, **changes))


def _block(spec: Spec, **changes: Any) -> Spec:
    return replace(spec, stack=replace(spec.stack, block=replace(spec.stack.block, **changes)))


def _stack(spec: Spec, **changes: Any) -> Spec:
    return replace(spec, stack=replace(spec.stack, **changes))


def _decoder(spec: Any, **changes: Any) -> Spec:
    return replace(spec, decoder=replace(spec.decoder, block=replace(spec.decoder.block, **changes)))


def _look(spec: Spec, **changes: Any) -> Spec:
    assert isinstance(spec, XLNetSpec)
    return replace(spec, look=replace(spec.look, **changes))


def _round_robin(spec: Spec) -> Spec:
    stack = spec.stack
    assert isinstance(stack, SharedStackSpec)
    return replace(spec, stack=RoundRobin(layers=stack.layers, block=stack.block, groups=stack.groups))


def _other(value: str, one: str, two: str) -> str:
    return two if value == one else one


EVERYWHERE: dict[str, Callable[[Spec], Spec]] = {
    "another epsilon in the blocks": lambda spec: _block(spec, norm_eps=1e-3),
    "another epsilon in the embeddings": lambda spec: _embed(spec, norm_eps=1e-3),
    "the other gelu": lambda spec: _block(spec, activation=_other(spec.stack.block.activation, "gelu", "gelu_new")),
    "norms on the other side": lambda spec: _block(spec, norm=_other(spec.stack.block.norm, "pre", "post")),
    "another number of attention heads": lambda spec: _block(spec, heads=1),
}
SOME: dict[tuple[str, str], Callable[[Spec], Spec]] = {
    ("roberta", "positions one too low"): lambda spec: _embed(spec, offset=1, positions=spec.embed.positions + 1),
    ("albert", "groups that take turns"): _round_robin,
    ("gpt", "tokens that look ahead"): lambda spec: _block(spec, causal=False),
    ("gpt2", "tokens that look ahead"): lambda spec: _block(spec, causal=False),
    ("transformer", "token rows that are not scaled"): lambda spec: _embed(spec, scaled=False),
    ("bart", "positions one too low"): lambda spec: _embed(spec, offset=1, positions=spec.embed.positions + 1),
    ("bart", "a decoder that looks ahead"): lambda spec: _decoder(spec, causal=False),
    ("bart", "another number of heads in the decoder"): lambda spec: _decoder(spec, heads=3),
    ("t5", "another farthest distance"): lambda spec: _stack(spec, farthest=13),
    ("t5", "another farthest distance in the decoder"): lambda spec: replace(
        spec, decoder=replace(spec.decoder, farthest=11)
    ),
    ("xlnet", "looking back only"): lambda spec: _look(spec, causal=True),
    ("xlnet", "half of the batch backwards"): lambda spec: _look(spec, both_ways=True),
    ("xlnet", "far distances alike"): lambda spec: _look(spec, clamp=15),
    ("modernbert", "a window too narrow by one"): lambda spec: _stack(spec, window=2),
    ("modernbert", "a window too wide by one"): lambda spec: _stack(spec, window=4),
    ("modernbert", "the global wavelengths 1 % off"): lambda spec: _block(spec, theta=158_400.0),
    ("modernbert", "the local wavelengths 1 % off"): lambda spec: _stack(spec, local_theta=9_900.0),
    ("modernbert", "another block that sees all"): lambda spec: _stack(spec, whole=(1,)),
}
SPECS = {family: tiny_spec(family) for family in THEIRS}
NOT_THERE = {
    (family, what)
    for family, spec in SPECS.items()
    for what, there in (
        ("another epsilon in the embeddings", spec.embed.norm),
        ("the other gelu", "gelu" in spec.stack.block.activation),
        (
            "another number of attention heads",
            spec.stack.block.heads * spec.stack.block.width % 3 == 0 and family != "t5",
        ),
    )
    if not there
}
WRONG = [
    (family, what) for family in THEIRS for what in ["nothing", *EVERYWHERE] if (family, what) not in NOT_THERE
] + list(SOME)


@pytest.mark.parametrize(("family", "what"), WRONG)
def test_a_wrong_spec_fails_the_same_check(tokenizer: Tokenizer, tmp_path: Path, family: str, what: str) -> None:
    sizes = "groups that do not divide the layers" if what == "groups that take turns" else next(iter(CONFIGS[family]))
    theirs = their_model(family_of(family).base, CONFIGS[family][sizes])
    ours = ours_of(theirs, tokenizer, tmp_path)
    change = {**EVERYWHERE, **{name: change for (_, name), change in SOME.items()}, "nothing": lambda spec: spec}[what]
    net = change(ours.spec).build().eval()
    net.heads.update(ours.net.heads.items())
    net.load_state_dict(
        ours.net.state_dict(), strict=what not in ("norms on the other side", "another block that sees all")
    )
    wrong = Model(ours.family, net, tokenizer)
    if what == "nothing":
        assert_parity(wrong, theirs)
        return
    # The reference's GPT starts from weights so small that the two GELUs part in the gradients alone.
    noticed = r"gradient of .*" if (family, what) == ("gpt", "the other gelu") else r"hidden state \d, (ragged|grid)"
    with pytest.raises(AssertionError, match=noticed + r" is .* apart"):
        assert_parity(wrong, theirs)


def test_another_task_s_embedding_fails_the_same_check(tokenizer: Tokenizer, tmp_path: Path) -> None:
    theirs = their_model("ErnieModel", CONFIGS["ernie"]["tasks"])
    ours = ours_of(theirs, tokenizer, tmp_path)
    ours.net.embed.which = 1  # type: ignore[assignment]
    with pytest.raises(AssertionError, match=r"hidden state 0, (ragged|grid) is .* apart"):
        assert_parity(ours, theirs)


def test_distances_one_off_fail_the_same_check(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = their_model("XLNetModel", CONFIGS["xlnet"]["plain"])
    ours = ours_of(theirs, tokenizer, tmp_path)
    right = relative.sinusoids
    monkeypatch.setattr(relative, "sinusoids", lambda distances, width: right(distances + 1, width))
    with pytest.raises(AssertionError, match=r"hidden state 1, grid is .* apart"):
        assert_parity(ours, theirs)


@pytest.mark.parametrize("change", [lambda types: types * 0, lambda types: types.clamp(max=1)])
def test_segments_ignored_or_taken_for_others_fail_the_same_check_of_xlnet(
    tokenizer: Tokenizer, tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    theirs = their_model("XLNetForSequenceClassification", CONFIGS["xlnet"]["plain"])
    ours = ours_of(theirs, tokenizer, tmp_path)
    ours.net.register_forward_pre_hook(lambda _, given: (*given[:2], change(given[2]), given[3]))
    with pytest.raises(AssertionError, match=r"hidden state 1, grid is .* apart"):
        assert_parity(ours, theirs)


def _swapped_query_and_key(model: Model) -> None:
    for block in model.net.stack.blocks:
        q, k, v = block.qkv.weight.data.chunk(3)
        block.qkv.weight.data = torch.cat([k, q, v])


def _no_scale(model: Model) -> None:
    for block in model.net.stack.blocks:
        block.qkv.weight.data[: block.out.in_features] *= 1.01


def _ignored_segments(model: Model) -> None:
    model.net.embed.register_forward_pre_hook(lambda _, given: (given[0], given[1], given[2] * 0))


def _tanh_in_one_block(model: Model) -> None:
    model.net.stack.blocks[1].activation = partial(F.gelu, approximate="tanh")


BREAKS: dict[str, Callable[[Model], None]] = {
    "query and key swapped": _swapped_query_and_key,
    "attention scores 1 % off": _no_scale,
    "segments ignored": _ignored_segments,
    "the other gelu in one block": _tanh_in_one_block,
}


@pytest.mark.parametrize("what", BREAKS)
def test_wrong_weights_or_inputs_fail_the_same_check(tokenizer: Tokenizer, tmp_path: Path, what: str) -> None:
    theirs = their_model("BertForPreTraining", CONFIGS["bert"]["plain"])
    ours = ours_of(theirs, tokenizer, tmp_path)
    assert_parity(copy.deepcopy(ours), theirs)
    BREAKS[what](ours)
    with pytest.raises(AssertionError, match=r"hidden state \d, (ragged|grid) is .* apart"):
        assert_parity(ours, theirs)


def test_a_wrong_gradient_alone_fails_the_check(tokenizer: Tokenizer, tmp_path: Path) -> None:
    theirs = their_model("BertModel", CONFIGS["bert"]["plain"])
    ours = ours_of(theirs, tokenizer, tmp_path)
    ours.net.stack.blocks[0].up.weight.register_hook(lambda gradient: gradient * 1.001)
    with pytest.raises(AssertionError, match=r"gradient of encoder.layer.0.intermediate.dense.weight"):
        assert_parity(ours, theirs)


def test_real_weights_give_the_numbers_of_transformers(minilm: Path) -> None:
    theirs = transformers.BertModel.from_pretrained(minilm).eval()
    assert_parity(load(minilm), theirs)


def test_the_adapter_has_the_defaults_of_transformers(tokenizer: Tokenizer, tmp_path: Path) -> None:
    theirs = their_model("BertModel", CONFIGS["bert"]["plain"])
    ours = ours_of(theirs, tokenizer, tmp_path)
    ids, mask, _ = rectangle((7, 7), tokenizer.vocab_size)
    assert torch.allclose(ours(ids).last_hidden_state, theirs(ids).last_hidden_state, atol=1e-5)
    assert torch.allclose(ours(ids, mask).pooler_output, theirs(ids, mask).pooler_output, atol=1e-5)


def test_the_tokenizer_we_write_gives_transformers_the_same_ids(tiny: Callable[..., Model], tmp_path: Path) -> None:
    ours = tiny()
    ours.save(tmp_path / "model")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    texts = ["Return the module's name, a string.", "Ünïcode — and 12,345 numbers!"]
    for text in texts:
        ids = [ours.tokenizer.cls_id, *ours.tokenizer.encode(text), ours.tokenizer.sep_id]
        assert theirs(text)["input_ids"] == ids
    assert theirs.pad_token_id == ours.tokenizer.pad_id
