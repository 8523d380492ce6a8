"""Model folders: bitwise there and back; everything that is not understood is refused by name."""

import json
import resource
import shutil
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from maskwright.checkpoint.folder import CARD, Card
from maskwright.checkpoint.seal import sealed_folder, verify
from maskwright.errors import CheckpointError, InputError
from maskwright.families import FAMILIES
from maskwright.model import Model, create, load
from maskwright.text.tokenizer import Tokenizer
from parity import ours_of, their_model
from tiny_families import CONFIGS, tiny_spec, tokenizer_for

HEADS = ("pooler", "mlm", "nsp", "classify")


@pytest.fixture
def saved(tiny: Callable[..., Model], tmp_path: Path) -> Path:
    """A folder with every head."""
    tiny(HEADS).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def foreign(tiny: Callable[..., Model], tmp_path: Path) -> Path:
    """The same without what is ours: no hashes to notice a change by."""
    tiny(("pooler", "mlm", "nsp")).save(tmp_path / "foreign")
    (tmp_path / "foreign" / CARD).unlink()
    return tmp_path / "foreign"


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@contextmanager
def tensors(folder: Path) -> Iterator[dict[str, torch.Tensor]]:
    """The folder's tensors, to be changed."""
    path = folder / "model.safetensors"
    found = load_file(path)
    yield found
    save_file({name: value.contiguous() for name, value in found.items()}, path, metadata={"format": "pt"})


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_load_and_save_again_changes_no_byte(saved: Path, tmp_path: Path) -> None:
    load(saved).save(tmp_path / "again")
    assert files(tmp_path / "again") == files(saved)


def test_a_loaded_model_is_in_evaluation_mode_with_every_head_and_its_card(
    tiny: Callable[..., Model], tmp_path: Path
) -> None:
    model = tiny(HEADS)
    model.card = Card({"name": "classify", "metric": "f1"}, ("no", "yes", "maybe"), {"made": "here"})
    model.save(tmp_path / "model", provenance={"steps": 3})
    back = load(tmp_path / "model")
    assert not back.training and set(back.net.heads) == set(HEADS)
    assert back.card == Card({"name": "classify", "metric": "f1"}, ("no", "yes", "maybe"), {"made": "here", "steps": 3})
    assert back.spec == model.spec
    assert all(torch.equal(p, dict(back.named_parameters())[name]) for name, p in model.named_parameters())
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["id2label"] == {"0": "no", "1": "yes", "2": "maybe"}


def test_shards_are_written_with_an_index_and_read_back(saved: Path, tmp_path: Path) -> None:
    model = load(saved)
    model.save(tmp_path / "sharded", shard_bytes=50_000)
    names = {path.name for path in (tmp_path / "sharded").glob("*.safetensors")}
    assert len(names) > 2 and "model.safetensors" not in names
    index = json.loads((tmp_path / "sharded" / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == names
    back = load(tmp_path / "sharded")
    assert all(torch.equal(p, dict(back.named_parameters())[name]) for name, p in model.named_parameters())
    (tmp_path / "sharded" / CARD).unlink()
    (tmp_path / "sharded" / sorted(names)[1]).unlink()
    with pytest.raises(CheckpointError, match=f"shard '{sorted(names)[1]}' is not in the folder"):
        load(tmp_path / "sharded")


def test_an_index_that_points_outside_the_folder_is_refused(foreign: Path) -> None:
    (foreign / "model.safetensors").rename(foreign.parent / "outside.safetensors")
    index = {"weight_map": {"a": "../outside.safetensors"}}
    (foreign / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="is not in the folder"):
        load(foreign)


def test_old_names_of_norms_are_read(foreign: Path) -> None:
    expected = load(foreign)
    with tensors(foreign) as found:
        for name in [name for name in found if "LayerNorm" in name]:
            old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            found[old] = found.pop(name)
        found["bert.embeddings.position_ids"] = torch.arange(128)[None]
    assert all(torch.equal(p, dict(load(foreign).named_parameters())[name]) for name, p in expected.named_parameters())


def test_a_tied_decoder_may_stand_there_twice_if_it_is_equal(foreign: Path) -> None:
    with tensors(foreign) as found:
        found["cls.predictions.decoder.weight"] = found["bert.embeddings.word_embeddings.weight"].clone()
        found["cls.predictions.decoder.bias"] = found["cls.predictions.bias"].clone()
    load(foreign)
    with tensors(foreign) as found:
        found["cls.predictions.decoder.weight"][3, 5] += 1e-3
    with pytest.raises(CheckpointError, match=r"cls\.predictions\.decoder\.weight differs from .*word_embeddings"):
        load(foreign)


LAYER = "bert.encoder.layer.1.attention.self.query.weight"


def _add(name: str) -> Callable[[dict], None]:
    return lambda found: found.__setitem__(name, torch.zeros(2))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_add("bert.encoder.layer.2.output.dense.bias"), r"1 tensors that a bert .* does not have: bert\.encoder\.layer\.2"),
        (_add("crf.transitions"), r"does not have: crf\.transitions"),
        (_add("encoder.layer.0.output.dense.bias"), "the same weight under two names"),
        (lambda found: found.pop(LAYER), f"1 tensors are missing: {LAYER}"),
        (lambda found: found.__setitem__(LAYER, torch.zeros(32, 31)), r"query\.weight is \[32, 31\], the configuration says \[32, 32\]"),
        (lambda found: found.pop("cls.predictions.bias"), r"the mlm head is there in part only; missing: cls\.predictions\.bias"),
        (lambda found: found.pop("bert.pooler.dense.weight"), r"the pooler head is there in part only; missing: bert\.pooler"),
        (lambda found: found.__setitem__("cls.seq_relationship.bias", torch.zeros(())), r"cls\.seq_relationship\.bias is \[\], the configuration says \[2\]"),
    ],
)  # fmt: skip
def test_tensors_left_over_missing_or_of_another_shape_are_refused_by_name(
    foreign: Path, change: Callable[[dict], None], said: str
) -> None:
    with tensors(foreign) as found:
        change(found)
    with pytest.raises(CheckpointError, match=said) as error:
        load(foreign)
    assert str(error.value).startswith(str(foreign))


def test_a_classifier_s_bias_without_a_dimension_is_refused(saved: Path) -> None:
    (saved / CARD).unlink()
    with tensors(saved) as found:
        found["classifier.bias"] = torch.zeros(())
    with pytest.raises(CheckpointError, match=r"classifier"):
        load(saved)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "auto_map asks for code"),
        ({"mystery_knob": 3}, "unknown fields 'mystery_knob'"),
        ({"model_type": "gpt9"}, "model_type is 'gpt9'; this version reads 'bert', 'roberta'"),
        ({"model_type": ["bert"]}, "model_type is"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"hidden_act": "mish"}, "hidden_act is 'mish'; known: gelu"),
        ({"hidden_act": ["gelu"]}, "a field has an impossible value"),
        ({"num_attention_heads": 5}, "hidden_size 32 is not a multiple of num_attention_heads 5"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0; a whole number from 1 is expected"),
        ({"num_attention_heads": -4}, "num_attention_heads is -4; a whole number"),
        ({"hidden_size": "32"}, "hidden_size is '32'; a whole number"),
        ({"hidden_size": 32.5}, "hidden_size is 32.5; a whole number"),
        ({"layer_norm_eps": "small"}, "layer_norm_eps is 'small'; a number"),
        ({"hidden_dropout_prob": 1.5}, "hidden_dropout_prob is 1.5; a number"),
        ({"initializer_range": float("nan")}, "initializer_range is nan; a number"),
        ({"num_hidden_layers": 10**9}, "these sizes make [0-9,]+ parameters"),
        ({"vocab_size": 10**12}, "these sizes make [0-9,]+ parameters"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0; a whole number"),
        ({"vocab_size": float("inf")}, "vocab_size is inf; a whole number"),
        ({"classifier_dropout": 1}, "classifier_dropout is 1; a number"),
    ],
)  # fmt: skip
def test_a_configuration_that_is_not_understood_is_refused(foreign: Path, changes: dict, said: str) -> None:
    edit_config(foreign, **changes)
    with pytest.raises(CheckpointError, match=said):
        load(foreign)


@pytest.mark.parametrize(
    ("family", "changes", "said"),
    [
        ("roberta", {"max_position_embeddings": 1}, r"max_position_embeddings is 1; positions count from pad_token_id \+ 1 = 1"),
        ("roberta", {"pad_token_id": -1}, "pad_token_id is -1; a whole number from 0"),
        ("roberta", {"pad_token_id": "1"}, "pad_token_id is '1'; a whole number from 0"),
        ("ernie", {"task_type_vocab_size": 0}, "task_type_vocab_size is 0; a whole number from 1"),
        ("albert", {"num_hidden_groups": 0}, "num_hidden_groups is 0; a whole number"),
        ("albert", {"num_hidden_layers": 10**9}, "1,000,000,000 layers; the limit is 10,000"),
        ("albert", {"inner_group_num": 10**9}, "these sizes make [0-9,]+ parameters"),
        ("albert", {"embedding_size": 10**9}, "these sizes make [0-9,]+ parameters"),
        ("albert", {"gap_size": 3}, "gap_size is 3; Maskwright's ALBERT has 0 only"),
        ("electra", {"summary_type": "mean"}, "summary_type is 'mean'; Maskwright's ELECTRA has 'first' only"),
        ("electra", {"embedding_size": True}, "embedding_size is True; a whole number"),
        ("distilbert", {"qa_dropout": 0.5}, "qa_dropout is 0.5; Maskwright's DistilBERT has 0.1 only"),
        ("distilbert", {"n_heads": 5}, "dim 24 is not a multiple of n_heads 5"),
        ("modernbert", {"attention_bias": True}, "attention_bias is True; Maskwright's ModernBERT has False only"),
        ("modernbert", {"classifier_pooling": "max"}, "classifier_pooling is 'max'; known: cls, mean"),
        ("modernbert", {"local_attention": 1}, "local_attention is 1; a whole number from 2"),
        ("modernbert", {"embedding_dropout": 0.5}, "embedding_dropout is 0.5; Maskwright's ModernBERT has 0.0 there too"),
        ("modernbert", {"hidden_size": 21}, "hidden_size 21 over num_attention_heads 3 is odd; rotation needs pairs"),
        ("modernbert", {"num_hidden_layers": 10**9}, "num_hidden_layers is 1,000,000,000; no more than 10,000"),
        ("modernbert", {"layer_types": ["full_attention"]}, "layer_types must name full_attention or sliding_attention"),
        ("modernbert", {"layer_types": 3}, "layer_types must name full_attention or sliding_attention"),
        ("modernbert", {"global_attn_every_n_layers": 0, "layer_types": None}, "global_attn_every_n_layers is 0"),
        ("modernbert", {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "rope_type of full_attention is 'yarn'"),
        ("modernbert", {"rope_parameters": {"full_attention": {"rope_theta": "big"}}}, "rope_theta of full_attention is 'big'"),
        ("modernbert", {"rope_parameters": [1]}, "rope_parameters is"),
    ],
)  # fmt: skip
def test_a_configuration_of_another_family_that_is_not_understood_is_refused(
    tmp_path: Path, tokenizer: Tokenizer, family: str, changes: dict, said: str
) -> None:
    create(tiny_spec(family), tokenizer, seed=0).save(tmp_path / "model")
    (tmp_path / "model" / CARD).unlink()
    edit_config(tmp_path / "model", **changes)
    with pytest.raises(CheckpointError, match=said):
        load(tmp_path / "model")


def test_older_folders_say_a_modernbert_s_layers_and_wavelengths_in_fields_of_their_own(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    model = create(tiny_spec("modernbert"), tokenizer, seed=0)
    model.save(tmp_path / "model")
    (tmp_path / "model" / CARD).unlink()
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    del config["layer_types"], config["rope_parameters"]
    path.write_text(json.dumps(config | {"global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "local_rope_theta": 500.0}))  # fmt: skip
    assert load(tmp_path / "model").spec == replace(model.spec, stack=replace(model.spec.stack, local_theta=500.0))


@pytest.mark.parametrize("family", [entry.name for entry in FAMILIES])
def test_a_tensor_that_is_missing_or_left_over_is_refused_in_every_family(
    tmp_path: Path, tokenizer: Tokenizer, family: str
) -> None:
    folder = tmp_path / "model"
    create(tiny_spec(family), tokenizer_for(family, tokenizer), seed=0).save(folder)
    (folder / CARD).unlink()
    with tensors(folder) as found:
        key = sorted(name for name in found if "0." in name)[0]
        value = found.pop(key)
    with pytest.raises(CheckpointError, match=f"1 tensors are missing: .*{key}"):
        load(folder)
    with tensors(folder) as found:
        found |= {key: value, key.replace("0.", "77.", 1): value.clone()}
    with pytest.raises(
        CheckpointError, match=rf"1 tensors that a {family} of this configuration does not have: .*77\."
    ):
        load(folder)


@pytest.mark.parametrize(("claimed", "head"), [("BertForTokenClassification", "tokens"), ("BertForMultipleChoice", "choice"), ("Nothing", "classify")])  # fmt: skip
def test_the_class_that_a_folder_names_decides_between_heads_of_the_same_names(
    foreign: Path, claimed: str, head: str
) -> None:
    edit_config(foreign, architectures=[claimed])
    with tensors(foreign) as found:
        found |= {"classifier.weight": torch.zeros(1, 32), "classifier.bias": torch.zeros(1)}
    assert set(load(foreign).net.heads) == {"pooler", "mlm", "nsp", head}


def test_absurd_sizes_take_no_memory(foreign: Path) -> None:
    edit_config(foreign, vocab_size=5_000_000, hidden_size=3_200, num_attention_heads=4)  # 64 GB, below the limit
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="of another shape"):
        load(foreign)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert peak < 8 << 20  # KiB


def test_a_pickle_alone_is_refused_with_the_command_that_converts_it(foreign: Path) -> None:
    (foreign / "model.safetensors").rename(foreign / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=rf"only pytorch_model\.bin, a pickle.*maskwright convert {foreign}"):
        load(foreign)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "vocab.txt", CARD])
def test_one_flipped_bit_in_any_file_is_refused_by_the_file_s_name(saved: Path, name: str) -> None:
    content = bytearray((saved / name).read_bytes())
    place = content.index(b"classify") if name == CARD and b"classify" in content else len(content) // 2
    content[place] ^= 1
    (saved / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{name}: (damaged|not valid JSON)"):
        load(saved)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_cut_file_of_weights_is_refused(foreign: Path, keep: int) -> None:
    path = foreign / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read"):
        load(foreign)


def test_a_header_that_claims_to_be_huge_is_refused(foreign: Path) -> None:
    (foreign / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 50) + b"{}")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read"):
        load(foreign)


def test_a_configuration_that_is_too_big_or_nested_too_deep_is_refused(foreign: Path) -> None:
    (foreign / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match=r"config\.json: not valid JSON"):
        load(foreign)
    with (foreign / "config.json").open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(CheckpointError, match=r"config\.json: 68,157,440 bytes is too much"):
        load(foreign)


def test_of_the_folder_of_a_run_its_model_is_named(saved: Path) -> None:
    assert saved.name == "model"
    with pytest.raises(
        CheckpointError, match=rf"{saved.parent}: the folder of a run, and no model; give the model in it, {saved}"
    ):
        load(saved.parent)


def test_a_file_or_somebody_s_folder_in_the_way_is_left_alone(tiny: Callable[..., Model], tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter-1.tex").write_text("years of work")
    (tmp_path / "file").write_text("mine")
    for name in ("thesis", "file"):
        with pytest.raises(InputError, match="was not written by Maskwright"):
            tiny().save(tmp_path / name)
    assert (tmp_path / "thesis" / "chapter-1.tex").read_text() == "years of work"
    with pytest.raises(InputError):
        tiny().save(tmp_path / "file" / "below")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "thesis"]


def test_saving_over_an_older_model_replaces_it_whole(tiny: Callable[..., Model], saved: Path) -> None:
    tiny(("pooler",), seed=1).save(saved)
    assert set(load(saved).net.heads) == {"pooler"}
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_a_full_disk_leaves_the_previous_folder_whole(tiny: Callable[..., Model], saved: Path) -> None:
    before = files(saved)
    bigger = tiny(HEADS, width=64, heads=4)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # as a full disk does, it lets files begin and not end
    try:
        with pytest.raises(InputError, match=r"writing .*model.*nothing already saved was touched"):
            bigger.save(saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(saved) == before
    assert verify(saved, CARD)
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_whatever_goes_wrong_while_writing_the_previous_folder_stays(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with sealed_folder(tmp_path / "it", "seal.json", {"text": text}) as staging:
            (staging / "file").write_text(text)
    with pytest.raises(ZeroDivisionError), sealed_folder(tmp_path / "it", "seal.json", {}) as staging:
        (staging / "file").write_text("third")
        raise ZeroDivisionError
    assert verify(tmp_path / "it", "seal.json")["text"] == "second"
    assert (tmp_path / "it" / "file").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_a_tokenizer_of_another_model_is_refused(saved: Path, tiny: Callable[..., Model]) -> None:
    other = shutil.copytree(saved, saved.parent / "other")
    (other / CARD).unlink()
    edit_config(other, vocab_size=700)
    with tensors(other) as found:
        for name in ("bert.embeddings.word_embeddings.weight", "cls.predictions.bias"):
            found[name] = found[name][:700]
    with pytest.raises(CheckpointError, match="tokenizer has 800 pieces and the model only 700"):
        load(other)


# Fields as the published folders have them, beside those of tests/tiny_families.py.
AS_PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2LMHeadModel", {"n_ctx": 1024, "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}}}),
    "gpt": ("OpenAIGPTLMHeadModel", {"n_ctx": 512, "n_special": 0, "predict_special_tokens": True}),
    "bart": ("BartForConditionalGeneration", {
        "add_bias_logits": False, "add_final_layer_norm": False, "classif_dropout": 0.1, "decoder_layerdrop": 0.0, "encoder_layerdrop": 0.0,
        "early_stopping": True, "gradient_checkpointing": False, "no_repeat_ngram_size": 3, "normalize_before": False,
        "normalize_embedding": True, "num_beams": 4, "num_hidden_layers": 2, "output_past": True, "prefix": " ", "max_length": 142,
        "min_length": 56, "length_penalty": 2.0, "force_bos_token_to_be_generated": True, "static_position_embeddings": False,
    }),
    "t5": ("T5ForConditionalGeneration", {"output_past": True, "n_positions": 512, "task_specific_params": {"summarization": {"num_beams": 4}}}),
    "transformer": ("MarianMTModel", {
        "add_bias_logits": False, "bad_words_ids": [[0]], "num_beams": 6, "max_length": 512, "static_position_embeddings": True,
        "normalize_embedding": False, "classifier_dropout": 0.0, "_num_labels": 3,
    }),
}  # fmt: skip


@pytest.mark.parametrize("family", AS_PUBLISHED)
def test_a_folder_with_the_fields_and_tensors_of_published_ones_is_read(
    family: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    pytest.importorskip("transformers")
    kind, fields = AS_PUBLISHED[family]
    ours_of(their_model(kind, CONFIGS[family]["plain"]), tokenizer, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | fields))
    tensors = load_file(tmp_path / "model.safetensors")
    before = set(tensors)
    if family in ("gpt", "gpt2"):  # published without the prefix, with a mask for each layer
        tensors = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
        for layer in range(2):
            tensors[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 40, 40).tril()
        tensors["h.0.attn.masked_bias"] = torch.tensor(-1e4)
    else:  # every name of the one table
        shared = next(name for name in tensors if name.endswith("shared.weight"))
        for side in ("encoder", "decoder"):
            tensors[shared.replace("shared", f"{side}.embed_tokens")] = tensors[shared].clone()
    assert set(tensors) != before
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    model = load(tmp_path)
    assert set(model.net.heads) == {"lm"}
    if family not in ("gpt", "gpt2"):
        tensors[shared.replace("shared", "encoder.embed_tokens")] += 1
        save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(CheckpointError, match="this architecture ties them"):
            load(tmp_path)
