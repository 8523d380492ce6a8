"""The ground: errors that say what to do, registries that import late, keys that are frozen, typed settings."""

import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright import errors
from maskwright.config import EncoderConfig, FinetuneConfig, PretrainConfig, TrainConfig, read_recipe
from maskwright.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    InputError,
    MaskwrightError,
    MissingExtra,
    Stopped,
    TrainingError,
    UsageError,
    did_you_mean,
    explain_os_error,
)
from maskwright.keys import Key, mix
from maskwright.registry import Registry

# errors


def test_every_error_has_its_exit_code_and_one_root() -> None:
    codes = {
        InputError: 1,
        DataError: 1,
        ConfigError: 1,
        CheckpointError: 1,
        MissingExtra: 1,
        UsageError: 2,
        TrainingError: 1,
    }
    for kind, code in codes.items():
        assert issubclass(kind, MaskwrightError) and kind.exit_code == code
    assert Stopped("x", exit_code=143).exit_code == 143
    assert {DataError, ConfigError, CheckpointError, MissingExtra} <= set(InputError.__subclasses__())
    assert set(errors.__all__) >= {kind.__name__ for kind in codes}


def test_a_data_error_says_where() -> None:
    assert str(DataError("no text", file="a.csv", line=1234)) == "a.csv, line 1,234: no text"
    assert str(DataError("no text", file="a.csv")) == "a.csv: no text"
    assert str(DataError("no text")) == "no text"


def test_a_missing_extra_says_what_to_install() -> None:
    assert "pip install 'maskwright[export]'" in str(MissingExtra("onnx", "export", "Exporting"))


def test_a_near_name_is_suggested_and_a_far_one_not() -> None:
    assert did_you_mean("masc", ["mask", "other"]) == " Did you mean 'mask'?"
    assert did_you_mean("zzz", ["mask", "other"]) == ""


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "disk is full; nothing already saved"),
        (errno.EACCES, "permissions"),
        (errno.ENOENT, "no such file"),
    ],
)
def test_what_the_system_refuses_is_explained(number: int, said: str) -> None:
    error = explain_os_error(OSError(number, os.strerror(number), "/some/where"), "writing the log")
    assert str(error).startswith("writing the log /some/where: ")
    assert said in str(error)


# registry


def test_a_registry_imports_nothing_until_an_entry_is_used() -> None:
    found = Registry("thing")
    found.add("broken", "cannot be imported", "no.such.module:Name")
    found.add("path", "a path", "pathlib:Path")
    assert [entry.name for entry in found] == ["broken", "path"] and len(found) == 2 and "path" in found
    assert found["path"].load() is Path
    with pytest.raises(ModuleNotFoundError):
        found["broken"].load()


def test_a_registry_refuses_unknown_and_second_names() -> None:
    found = Registry("thing")
    found.add("path", "a path", "pathlib:Path")
    with pytest.raises(ConfigError, match=r"no thing 'pth'\. Did you mean 'path'\? Known: path\."):
        found["pth"]
    with pytest.raises(ValueError, match="registered twice"):
        found.add("path", "again", "os:path")


# keys


FROZEN = {
    "words": [4631328314633252607, 9419790271145186320, 8349722145453312255],
    "order": [5, 1, 4, 0, 3, 7, 6, 2],
    "uniform": 0.38063270705903807,
    "mix": 4488697490845359709,
}


def test_the_encoding_of_keys_is_frozen() -> None:
    """Version 1's numbers: a change to them changes every run."""
    assert Key(7, 3, 11).stream("mlm.hide").words(3).tolist() == FROZEN["words"]
    assert Key(7, 3, 11).stream("plan.order").order(8).tolist() == FROZEN["order"]
    assert Key(2**63 + 5, 2**40, 2**41).uniform("x") == FROZEN["uniform"]
    assert mix(1, 2, 3) == FROZEN["mix"]


def _philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x64-10 as Salmon et al. define it, in plain integers."""
    full = (1 << 64) - 1
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        first, second = a * 0xD2E7470EE14C6C93, c * 0xCA5A826395121157
        a, b, c, d = (second >> 64) ^ b ^ k0, second & full, (first >> 64) ^ d ^ k1, first & full
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & full, (k1 + 0xBB67AE8584CAA73B) & full
    return [a, b, c, d]


def test_the_words_are_philox_s_as_the_paper_defines_it() -> None:
    import hashlib

    purpose = int.from_bytes(hashlib.blake2b(b"nsp.pairs", digest_size=8).digest(), "little")
    expected = [word for block in (1, 2, 3) for word in _philox([block, 42, 9, 1], [5, purpose])]
    assert Key(5, 9, 42).stream("nsp.pairs").words(12).tolist() == expected


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_seed_epoch_sample_and_purpose_all_matter(seed: int, epoch: int, sample: int) -> None:
    key = Key(seed, epoch, sample)
    near = [Key(seed ^ 1, epoch, sample), Key(seed, epoch ^ 1, sample), Key(seed, epoch, sample ^ 1)]
    first = key.stream("a").words(2).tolist()
    others = [other.stream("a").words(2).tolist() for other in near] + [key.stream("b").words(2).tolist()]
    assert first not in others
    assert first == key.at(sample).stream("a").words(2).tolist()


def test_a_stream_goes_on_and_a_key_begins_anew() -> None:
    stream = Key(1).stream("a")
    assert stream.words(3).tolist() + stream.words(5).tolist() == Key(1).stream("a").words(8).tolist()
    one_by_one = Key(1).stream("a")
    assert [one_by_one.uniform() for _ in range(4)] == Key(1).stream("a").uniforms(4).tolist()


def test_numbers_are_uniform_and_orders_are_permutations() -> None:
    numbers = Key(3).stream("u").uniforms(100_000)
    assert numbers.min() >= 0 and numbers.max() < 1
    assert abs(numbers.mean() - 0.5) < 4 / np.sqrt(12 * len(numbers))
    counts = np.bincount(Key(3).stream("i").integers(10, 100_000), minlength=10)
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 33  # chi-square, 9 degrees of freedom, p = 1e-4
    assert sorted(Key(3).stream("o").order(1000).tolist()) == list(range(1000))


def test_the_words_are_the_same_in_another_process() -> None:
    script = "from maskwright.keys import Key; print(Key(1, 2, 3).stream('a').words(4).tolist())"
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True)
    assert done.stdout.strip() == str(Key(1, 2, 3).stream("a").words(4).tolist())
    assert pickle.loads(pickle.dumps(Key(1, 2, 3))) == Key(1, 2, 3)


def test_mixed_words_depend_on_their_order_and_number() -> None:
    made = [mix(1, 2), mix(2, 1), mix(1, 2, 0), mix(0, 1, 2), mix(), mix(0), mix(0, 0), mix(1)]
    assert len(set(made)) == len(made)
    assert all(0 <= value < 2**63 for value in made)


# config


def test_an_unknown_field_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"no field 'encoder\.layer'\. Did you mean 'layers'\?"):
        PretrainConfig.of({"corpus": "c", "out": "o", "encoder": {"layer": 2}})
    with pytest.raises(ConfigError, match=r"no field 'train\.learningrate'"):
        FinetuneConfig.of({"model": "m", "train": {"learningrate": 1}})


def test_a_missing_field_and_a_bad_value_are_named() -> None:
    with pytest.raises(ConfigError, match="field 'corpus' is needed"):
        PretrainConfig.of({"out": "o"})
    with pytest.raises(ConfigError, match=r"field 'train\.lr': .*greater than 0, not -1"):
        FinetuneConfig.of({"model": "m", "train": {"lr": -1}})
    with pytest.raises(ConfigError, match=r"field 'layers': .*not 'many'"):
        EncoderConfig.of({"layers": "many"})


def test_several_faults_are_said_at_once() -> None:
    with pytest.raises(ConfigError, match=r"warmup.*; .*clip"):
        TrainConfig.of({"warmup": 2, "clip": 0})


def test_the_usual_length_and_size_are_filled_in_where_none_is_given() -> None:
    pretrain = PretrainConfig.of({"corpus": "c", "out": "o"}).train
    assert (pretrain.epochs, pretrain.tokens, pretrain.steps, pretrain.examples) == (1.0, 8192, None, None)
    finetune = FinetuneConfig.of({"model": "m", "train": {"steps": 7, "tokens": 99}}).train
    assert (finetune.steps, finetune.tokens, finetune.epochs, finetune.examples) == (7, 99, None, None)
    assert FinetuneConfig.of({"model": "m"}).train.lr == 5e-5


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        TrainConfig().lr = 2.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("lr: 1", "says 'schema: 1'"),
        ("schema: 2\nlr: 1", "says 'schema: 1'"),
        ("- a", "a recipe is a mapping"),
        ("schema: 1\na: &x [1]\nb: *x", "aliases"),
        ("schema: 1\na: [", "not valid YAML"),
        ("schema: 1\na: !!python/object/apply:os.system [ls]", "not valid YAML"),
        ("[" * 1200, "not valid YAML"),
        (b"schema: 1\na: \xff", "not valid YAML"),
        ("# " + "x" * (1 << 20), "is too much for a recipe"),
    ],
)  # fmt: skip
def test_what_is_no_recipe_is_refused_by_its_file(tmp_path: Path, content: str | bytes, said: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=said) as error:
        read_recipe(path)
    assert "recipe.yaml" in str(error.value)


def test_a_recipe_is_plain_values(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("schema: 1\ncorpus: c\ntrain:\n  lr: 0.001\n")
    assert read_recipe(tmp_path / "r.yaml") == {"corpus": "c", "train": {"lr": 0.001}}
    with pytest.raises(ConfigError, match="no such recipe"):
        read_recipe(tmp_path / "none.yaml")
