"""Faults 3, 4 and 9: rotten, cut, half-written and exchanged files.  Told by name; where there is an older one, it is taken."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from injector import Child, cut, files_of, flip, half_written
from trials import Trial

from maskwright.corpus.build import build_from
from maskwright.corpus.store import Corpus
from maskwright.data.plan import Budget, Plan
from maskwright.errors import CheckpointError, DataError, InputError
from maskwright.keys import Key
from maskwright.train.state import newest
from maskwright.verify import examine
from small import documents


@pytest.fixture(scope="module")
def ground(whole: Trial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run and its corpus, to be damaged file by file and mended again."""
    folder = tmp_path_factory.mktemp("ground")
    shutil.copytree(whole.out, folder / "run")
    shutil.copytree(whole.corpus, folder / "corpus")
    return folder


def told(ground: Path, file: Path, damage: Callable[[Path], None]) -> str:
    """What is said while a file is damaged: of one thing alone."""
    content = file.read_bytes()
    damage(file)
    found = [f"{finding.path}: {finding.damage}" for finding in examine(ground) if finding.damage]
    file.write_bytes(content)
    assert len(found) == 1, (file, found)
    return found[0]


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize("thing", ["run/checkpoints/step-00000012", "run/best", "run/model"])
def test_damage_to_any_file_of_a_checkpoint_or_a_model_is_told_by_its_name(
    ground: Path, thing: str, damage: Callable[[Path], None]
) -> None:
    names = files_of(ground / thing)
    assert len(names) > 1
    for name in names:
        assert told(ground, ground / thing / name, damage).startswith(f"{ground / thing}: {name}: ")
    assert not any(finding.damage for finding in examine(ground))


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
def test_damage_to_any_file_of_a_corpus_is_told_by_its_name(ground: Path, damage: Callable[[Path], None]) -> None:
    names = files_of(ground / "corpus")
    assert len(names) > 10
    for name in names:
        assert Path(name).name in told(ground, ground / "corpus" / name, damage)


@pytest.mark.parametrize("damage", [flip, cut])
def test_damage_to_a_plan_is_told_by_its_name(ground: Path, damage: Callable[[Path], None]) -> None:
    (plan,) = (ground / "run" / "plans").iterdir()
    assert told(ground, plan, damage).startswith(f"{plan}: damaged (")


def _flip_a_plan_everywhere(folder: Path) -> None:
    """Most often in what describes the arrays: there a wrong length leads out of the file."""
    good = (folder / "plan").read_bytes()
    digest = Plan.load(folder / "plan", "this").digest()
    chance, bad = random.Random(3), folder / "rotten"
    ends = [*range(1_400), *range(len(good) - 1_400, len(good))]
    for at in [*chance.sample(ends, 300), *chance.sample(range(len(good)), 60), 1_023, 1_055, 1_082]:
        bad.write_bytes(good)
        flip(bad, at, bit=chance.randrange(8))
        try:
            assert Plan.load(bad, "this").digest() == digest
        except InputError as error:
            assert str(bad) in str(error)


def test_a_flipped_bit_anywhere_in_a_plan_is_told_or_changes_nothing(tmp_path: Path) -> None:
    lengths = np.random.default_rng(0).integers(10, 60, 300)
    Plan.make(np.arange(900).reshape(300, 3), lengths, Budget(tokens=500), Key(1)).save(tmp_path / "plan", "this")
    # In a process of its own: what is to be shown is that it does not end it.
    child = Child(_flip_a_plan_everywhere, tmp_path, said=tmp_path / "said.txt")
    assert child.wait() == 0, child.said


def test_a_damaged_plan_is_made_anew(
    make: Callable[..., Trial], whole: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    trial = make()
    trial.stop_after(5)
    (plan,) = (trial.out / "plans").iterdir()
    before = plan.read_bytes()
    flip(plan)
    trial.go(resume=True)
    assert f"made a plan anew: {plan}: damaged" in caplog.text
    assert plan.read_bytes() == before
    assert trial.weights() == whole.weights()


@pytest.mark.parametrize("files", [0, 1, 2])
def test_a_newer_folder_at_any_stage_of_being_written_is_skipped_with_a_warning(
    ground: Path, tmp_path: Path, files: int, caplog: pytest.LogCaptureFixture
) -> None:
    states = Path(shutil.copytree(ground / "run" / "checkpoints", tmp_path / "checkpoints"))
    half_written(states / "step-00000012", states / "step-00000015", files)
    assert newest(states) == states / "step-00000012"
    assert f"skipped a damaged checkpoint: {states / 'step-00000015'}" in caplog.text
    assert [(finding.path.name, bool(finding.damage), finding.remark) for finding in examine(states)] == [
        ("step-00000015", True, ""),
        ("step-00000012", False, "a resume goes on from here"),
        ("step-00000009", False, ""),
    ]


def test_a_corpus_that_changed_in_its_place_after_the_start_is_refused(
    make: Callable[..., Trial], small_corpus: Corpus, tmp_path: Path
) -> None:
    corpus = Path(shutil.copytree(small_corpus.folder, tmp_path / "corpus"))
    trial = make(corpus=corpus)
    trial.stop_after(2)
    before = trial.weights(2)
    shutil.rmtree(corpus)
    build_from(documents()[1:], corpus, small_corpus.tokenizer(), sentences="lines")
    with pytest.raises(CheckpointError, match=r"started with other settings or data \(data\).*start anew in another"):
        trial.go(resume=True)
    assert trial.weights(2) == before


@pytest.mark.parametrize("damage", [flip, cut])
def test_a_corrupt_shard_is_told_by_its_name_before_training(
    make: Callable[..., Trial], small_corpus: Corpus, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    corpus = Path(shutil.copytree(small_corpus.folder, tmp_path / "corpus"))
    shard = sorted(corpus.glob("tokens-*.arrow"))[1]
    damage(shard)
    trial = make(corpus=corpus)
    with pytest.raises(DataError, match=rf"{shard.name}: .*Build the corpus again"):
        trial.go()
    assert not (trial.out / "checkpoints").exists()
