"""A run says before its first step what its masking hides, and goes on with the same list of entities only."""

from pathlib import Path

import pytest
from runs import config

from maskwright.cli import run
from maskwright.corpus.build import build
from maskwright.corpus.store import Corpus
from maskwright.errors import CheckpointError
from maskwright.report.log import read_log
from maskwright.report.run import run_page
from maskwright.text.tokenizer import Tokenizer
from maskwright.train.pretrain import foresee, pretrain


@pytest.mark.parametrize("unit", ["token", "word", "span", "ngram"])
def test_a_run_records_what_is_hidden_before_its_first_step(small_corpus: Corpus, tmp_path: Path, unit: str) -> None:
    options = {"mlm": {"unit": unit, "rate": 0.2, "mask_share": 0.7}}
    pretrain(config(small_corpus.folder, tmp_path / "run", {"steps": 1}, objective=options))
    start, *_ = read_log(tmp_path / "run" / "log.jsonl")
    masking = start["masking"]
    assert masking["tokens"] > 10_000
    assert masking["hidden"] == pytest.approx(0.2, abs=0.01)
    assert masking["masked"] == pytest.approx(0.7, abs=0.03)
    assert masking["random"] == pytest.approx(0.1, abs=0.03)
    assert (masking["words_partly"] > 0.1) == (unit == "token")
    assert (masking["span_words"] > 2.5) == (unit == "span")
    html = run_page(read_log(tmp_path / "run" / "log.jsonl")).html()
    assert 'id="masking"' in html and "tokens hidden" in html


def test_an_objective_that_hides_no_tokens_records_nothing(small_corpus: Corpus, tmp_path: Path) -> None:
    pretrain(config(small_corpus.folder, tmp_path / "run", {"steps": 1}, objectives="nsp"))
    start, *_ = read_log(tmp_path / "run" / "log.jsonl")
    assert start["masking"] == {}
    assert 'id="masking"' not in run_page([start]).html()


def test_a_look_ahead_says_it_and_a_changed_gazetteer_is_refused(
    small_corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("regular expression\nstring\nstring\nfile object\n", "utf-8")
    options = {"mlm": {"unit": "entity", "gazetteer": str(names)}}
    made = config(small_corpus.folder, tmp_path / "run", {"steps": 4, "save_every": 2}, objective=options)
    gazetteer = foresee(made).masking["gazetteer"]
    assert gazetteer["entities"] == 3 and gazetteer["duplicate"] == 1 and gazetteer["found"] > 20
    pretrain(made)
    names.write_text("regular expression\nstring\n", "utf-8")
    with pytest.raises(CheckpointError, match="was started with other settings or data \\(gazetteer\\)"):
        pretrain(made, resume=True)
    words = ["pretrain", "--corpus", str(small_corpus.folder), "--out", str(tmp_path / "other"), "--dry-run"]
    small = ["--encoder.layers", "1", "--encoder.width", "16", "--encoder.heads", "1", "--train.steps", "1"]
    assert run([*words, *small, "--objective.mlm.unit", "span"]) == 0
    shown = capsys.readouterr().out
    assert "What is hidden" in shown and "0.0 % of them only in part" in shown


@pytest.mark.parametrize(
    ("language", "unit", "warned"), [("en", "word", True), ("en", "token", False), ("zh", "word", False)]
)
def test_chinese_without_words_is_warned_of(tmp_path: Path, language: str, unit: str, warned: bool) -> None:
    pytest.importorskip("rjieba")
    text = "中华人民共和国成立于1949年。北京大学的学生很多。我们爱北京天安门。\n\n" * 3 + "他们在天安门广场唱歌。" * 20
    (tmp_path / "zh.txt").write_text(text, "utf-8")
    tokenizer = Tokenizer.train([text], vocab_size=100, min_frequency=1)
    corpus = build(tmp_path / "zh.txt", tmp_path / "corpus", tokenizer, language=language, keep_duplicates=True)
    made = config(corpus.folder, tmp_path / "run", objectives="mlm", objective={"mlm": {"unit": unit}})
    names = [found.name for found in foresee(made).findings]
    assert ("words of one character" in names) == warned
