"""The same numbers as the transformers library, in every class of it that we claim; and wrong ones are noticed."""

import copy
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from maskwright.families.bert import BERT
from maskwright.model import Model, load
from maskwright.text.tokenizer import Tokenizer
from parity import assert_parity
from small import rectangle

transformers = pytest.importorskip("transformers")

CLASSES = tuple(BERT.architectures)
SIZES: dict[str, dict[str, Any]] = {
    "plain": {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64},
    "odd sizes, tanh gelu": {"hidden_size": 21, "num_attention_heads": 3, "intermediate_size": 37, "hidden_act": "gelu_new", "layer_norm_eps": 1e-5},
    "one head, relu": {"hidden_size": 16, "num_attention_heads": 1, "intermediate_size": 70, "hidden_act": "relu", "num_hidden_layers": 3, "type_vocab_size": 3},
}  # fmt: skip


def their_model(tokenizer: Tokenizer, name: str, **changes: Any) -> torch.nn.Module:
    sizes = {
        "num_hidden_layers": 2,
        "max_position_embeddings": 40,
        "initializer_range": 0.3,
        **SIZES["plain"],
        **changes,
    }
    config = transformers.BertConfig(
        vocab_size=tokenizer.vocab_size + 1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **sizes
    )
    torch.manual_seed(0)
    model = getattr(transformers, name)(config).eval()
    with torch.no_grad():  # biases and norms start at 0 and 1, where forgetting them would not show
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def ours_of(theirs: torch.nn.Module, tokenizer: Tokenizer, folder: Path) -> Model:
    theirs.save_pretrained(folder)
    tokenizer.save(folder)
    return load(folder)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", CLASSES)
def test_states_logits_and_gradients_are_those_of_transformers(
    tokenizer: Tokenizer, tmp_path: Path, name: str, sizes: str
) -> None:
    theirs = their_model(tokenizer, name, **SIZES[sizes])
    ours = ours_of(theirs, tokenizer, tmp_path)
    assert set(ours.net.heads) == BERT.architectures[name]
    assert_parity(ours, theirs)


def _eps(model: Model) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-3


def _tanh_gelu(model: Model) -> None:
    for block in model.net.stack.blocks:
        block.activation = partial(F.gelu, approximate="tanh")


def _in_embeddings(change: Callable[[Any, Any, Any], tuple[Any, Any, Any]]) -> Callable[[Model], None]:
    def apply(model: Model) -> None:
        model.net.embed.register_forward_pre_hook(lambda _, given: change(*given))

    return apply


def _two_heads(model: Model) -> None:
    for block in model.net.stack.blocks:
        block.heads = 2


def _swapped_query_and_key(model: Model) -> None:
    for block in model.net.stack.blocks:
        q, k, v = block.qkv.weight.data.chunk(3)
        block.qkv.weight.data = torch.cat([k, q, v])


def _no_scale(model: Model) -> None:
    for block in model.net.stack.blocks:
        block.qkv.weight.data[: block.out.in_features] *= 1.01


BREAKS: dict[str, Callable[[Model], None]] = {
    "another eps": _eps,
    "the tanh approximation of gelu": _tanh_gelu,
    "segments ignored": _in_embeddings(lambda ids, places, types: (ids, places, types * 0)),
    "positions shifted by one": _in_embeddings(lambda ids, places, types: (ids, places + 1, types)),
    "half the attention heads": _two_heads,
    "query and key swapped": _swapped_query_and_key,
    "attention scores 1 % off": _no_scale,
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_wrong_architecture_fails_the_same_check(tokenizer: Tokenizer, tmp_path: Path, name: str) -> None:
    theirs = their_model(tokenizer, "BertForPreTraining")
    ours = ours_of(theirs, tokenizer, tmp_path)
    assert_parity(copy.deepcopy(ours), theirs)
    BREAKS[name](ours)
    with pytest.raises(AssertionError, match=r"hidden state \d, ragged is .* apart"):
        assert_parity(ours, theirs)


def test_a_wrong_gradient_alone_fails_the_check(tokenizer: Tokenizer, tmp_path: Path) -> None:
    theirs = their_model(tokenizer, "BertModel")
    ours = ours_of(theirs, tokenizer, tmp_path)
    ours.net.stack.blocks[0].up.weight.register_hook(lambda gradient: gradient * 1.001)
    with pytest.raises(AssertionError, match=r"gradient of encoder.layer.0.intermediate.dense.weight"):
        assert_parity(ours, theirs)


def test_real_weights_give_the_numbers_of_transformers(minilm: Path) -> None:
    theirs = transformers.BertModel.from_pretrained(minilm).eval()
    assert_parity(load(minilm), theirs)


def test_the_adapter_has_the_defaults_of_transformers(tokenizer: Tokenizer, tmp_path: Path) -> None:
    theirs = their_model(tokenizer, "BertModel")
    ours = ours_of(theirs, tokenizer, tmp_path)
    ids, mask, _ = rectangle((7, 7), tokenizer.vocab_size)
    assert torch.allclose(ours(ids).last_hidden_state, theirs(ids).last_hidden_state, atol=1e-5)
    assert torch.allclose(ours(ids, mask).pooler_output, theirs(ids, mask).pooler_output, atol=1e-5)


@pytest.mark.parametrize("name", CLASSES)
def test_what_we_write_transformers_loads_strictly_and_computes_the_same(
    tokenizer: Tokenizer, tmp_path: Path, name: str, tiny: Callable[..., Model]
) -> None:
    ours = tiny(sorted(BERT.architectures[name]), initializer_range=0.3, dropout=0.0).eval()
    ours.save(tmp_path / "model")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, report = getattr(transformers, name).from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"))
    assert theirs.config.architectures == [name]
    assert_parity(ours, theirs.eval())


def test_the_tokenizer_we_write_gives_transformers_the_same_ids(tiny: Callable[..., Model], tmp_path: Path) -> None:
    ours = tiny()
    ours.save(tmp_path / "model")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    texts = ["Return the module's name, a string.", "Ünïcode — and 12,345 numbers!"]
    for text in texts:
        ids = [ours.tokenizer.cls_id, *ours.tokenizer.encode(text), ours.tokenizer.sep_id]
        assert theirs(text)["input_ids"] == ids
    assert theirs.pad_token_id == ours.tokenizer.pad_id
