"""``maskwright verify``: what it recognises, what it says, and its exit code."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from injector import cut, flip
from trials import Trial

from maskwright.checkpoint.folder import CARD
from maskwright.cli import run
from maskwright.corpus.store import Corpus
from maskwright.model import Model
from maskwright.verify import examine


def say(capsys: pytest.CaptureFixture[str], *folders: Path) -> tuple[int, str]:
    code = run(["verify", *map(str, folders)])
    told = capsys.readouterr()
    return code, told.out + told.err


def kinds(folder: Path) -> list[str]:
    return [finding.kind for finding in examine(folder)]


def test_each_thing_is_recognised_and_a_folder_of_things_too(
    whole: Trial, small_corpus: Corpus, tmp_path: Path
) -> None:
    run_kinds = ["log", "checkpoint", "checkpoint", "best weights", "model", "plan"]
    assert kinds(whole.out) == run_kinds
    for inside, kind in (("model", "model"), ("best", "best weights"), ("plans", "plan")):
        assert kinds(whole.out / inside) == [kind]
    assert kinds(whole.out / "checkpoints") == ["checkpoint"] * 2
    assert kinds(whole.out / "checkpoints" / "step-00000009") == ["checkpoint"]
    assert kinds(small_corpus.folder) == ["corpus"]
    shutil.copytree(whole.out, tmp_path / "project" / "runs" / "a")
    shutil.copytree(small_corpus.folder, tmp_path / "project" / "corpus")
    (tmp_path / "project" / "notes").mkdir()
    assert kinds(tmp_path / "project") == ["corpus", *run_kinds]


def test_what_has_no_hashes_is_loaded_and_that_is_said(tiny: Callable[..., Model], tmp_path: Path) -> None:
    tiny(("pooler",)).save(tmp_path / "foreign")
    (tmp_path / "foreign" / CARD).unlink()
    (found,) = examine(tmp_path / "foreign")
    assert (found.kind, found.damage) == ("model", "") and "no hashes to compare with" in found.remark
    cut(tmp_path / "foreign" / "model.safetensors")
    (found,) = examine(tmp_path / "foreign")
    assert found.damage.startswith("model.safetensors: cannot be read")
    tiny().tokenizer.save(tmp_path / "tokenizer")
    (found,) = examine(tmp_path / "tokenizer")
    assert (found.kind, found.damage) == ("tokenizer", "") and "800 pieces" in found.remark
    cut(tmp_path / "tokenizer" / "tokenizer.json")
    assert "tokenizer.json is not JSON" in examine(tmp_path / "tokenizer")[0].damage


def test_all_sound_ends_with_0_and_says_where_a_resume_goes_on(
    whole: Trial, small_corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = say(capsys, whole.out, small_corpus.folder)
    assert code == 0
    lines = text.splitlines()
    assert sum(line.startswith("sound") for line in lines) == 7 and "DAMAGED" not in text
    at = next(number for number, line in enumerate(lines) if "step-00000012" in line)
    assert lines[at + 1].strip() == "a resume goes on from here"


def test_a_damaged_newest_checkpoint_ends_with_1_and_the_older_one_is_named(
    whole: Trial, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    shutil.copytree(whole.out, "run")
    flip(Path("run/checkpoints/step-00000012/optimizer.safetensors"))
    before = {path: path.stat().st_mtime_ns for path in Path("run").rglob("*")}
    code, text = say(capsys, Path("run"))
    assert code == 1 and "Traceback" not in text
    assert "DAMAGED  checkpoint    run/checkpoints/step-00000012\n" in text
    assert "optimizer.safetensors: damaged (its bytes are not those that were" in text
    at = text.index("sound    checkpoint    run/checkpoints/step-00000009\n         a resume goes on from here")
    assert at > text.index("DAMAGED")
    assert "run/checkpoints/step-00000012 of 6 looked at: damaged" in text
    assert max(map(len, text.splitlines()[:-1])) <= 80
    assert {path: path.stat().st_mtime_ns for path in Path("run").rglob("*")} == before


def test_a_run_of_which_no_checkpoint_is_sound_names_none(whole: Trial, tmp_path: Path) -> None:
    out = Path(shutil.copytree(whole.out, tmp_path / "run"))
    for path in (out / "checkpoints").glob("*/state.json"):
        path.unlink()
    found = [finding for finding in examine(out) if finding.kind == "checkpoint"]
    assert len(found) == 2 and all("state.json: no such file" in finding.damage for finding in found)


def test_a_log_with_a_line_that_is_none_is_damaged_and_a_torn_last_line_is_not(whole: Trial, tmp_path: Path) -> None:
    out = Path(shutil.copytree(whole.out, tmp_path / "run"))
    with (out / "log.jsonl").open("a") as log:
        log.write('{"kind": "st')
    assert not examine(out)[0].damage
    with (out / "log.jsonl").open("a") as log:
        log.write("\n{}\n")
    assert "not a record of a run log" in examine(out)[0].damage


@pytest.mark.parametrize(("make", "said"), [(False, "no such folder"), (True, "nothing in it that Maskwright writes")])
def test_a_folder_that_it_does_not_know_is_refused_with_advice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: bool, said: str
) -> None:
    if make:
        (tmp_path / "it").mkdir()
        (tmp_path / "it" / "thesis.tex").touch()
    code, text = say(capsys, tmp_path / "it")
    assert code == 1 and said in text
    assert run(["verify"]) == 2
