"""``zero-shot``, ``mine`` and ``sts`` from files to answers, in English and Chinese, and what they refuse."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from maskwright import mine_negatives, score_sts, zero_shot
from maskwright.cli import run
from maskwright.model import Model, load
from maskwright.tasks.rows import Columns, read_rows
from maskwright.text.tokenizer import Tokenizer
from small import tiny_model

ENGLISH = ("open the file", "close the socket", "a list of names", "raise an error", "the default value", "return none")
CHINESE = ("房间很好", "服务很差", "早餐好吃", "隔音差", "位置不错", "不会再来")


@pytest.fixture
def folder(tiny: Callable[..., Model], tmp_path: Path) -> Path:
    tiny(("mlm",)).save(tmp_path / "model")
    return tmp_path / "model"


def say(capsys: pytest.CaptureFixture[str], *tokens: object) -> tuple[int, str]:
    code = run([str(token) for token in tokens])
    told = capsys.readouterr()
    return code, " ".join((told.out + told.err).split())


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_cloze_labels_rows_and_is_scored_beside_the_majority(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ("code", "logic", "code", "code", "logic", "code")
    data = written(tmp_path / "rows.tsv", "text\tlabel", *map("\t".join, zip(ENGLISH, labels, strict=True)))
    words = ["--words.code", "file,module", "--words.logic", "true", "--words.logic", "false"]
    given = {"code": ["file", "module"], "logic": ["true", "false"]}
    template, out = "{text} is [MASK] .", tmp_path / "answers.jsonl"
    command = ["zero-shot", folder, data, *words, "--template", template, "--label", "label", "--out", out]
    for extra, options in (
        ([], {}),
        (["--blank", "none"], {"blank": "none"}),
        (["--even"], {"even": True}),
    ):
        code, told = say(capsys, *command, *extra)
        assert code == 0, told
        expected = zero_shot(load(folder), ENGLISH, given, template=template, **options)
        rows = read(out)
        assert [{name: row[name] for name in ("label", "probabilities")} for row in rows] == expected
        assert [row["gold"] for row in rows] == list(labels)
        right = np.mean([row["label"] == row["gold"] for row in rows])
        assert f"accuracy, n = 6 {right:.4g}" in told.replace("0.5000", "0.5"), told
        assert "most frequent label 0.6667" in told
    # The mean of each label's share is then the same.
    shares = np.array([list(row["probabilities"].values()) for row in expected])
    plain = np.array([list(row["probabilities"].values()) for row in zero_shot(load(folder), ENGLISH, given, template=template)])  # fmt: skip
    assert np.allclose(shares, (plain / plain.mean(0)) / (plain / plain.mean(0)).sum(-1, keepdims=True), atol=1e-4)


def test_a_cloze_may_be_chinese_and_come_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny_model(
        Tokenizer.train([*CHINESE, "总之很好。", "总之很差。"] * 5, vocab_size=90, min_frequency=1), ("mlm",)
    )
    model.save(tmp_path / "model")
    data = written(tmp_path / "rows.csv", "评论", *CHINESE)
    recipe = written(
        tmp_path / "r.yaml", "schema: 1", 'template: "{text}总之很[MASK]。"', "words: {正面: [好, 错], 负面: 差}"
    )
    out = tmp_path / "answers.csv"
    code, told = say(capsys, "zero-shot", tmp_path / "model", data, "--recipe", recipe, "--text", "评论", "--out", out)
    assert code == 0, told
    answers = zero_shot(model, CHINESE, {"正面": ["好", "错"], "负面": "差"}, template="{text}总之很[MASK]。")
    rows = read_rows(out, Columns("text", None, "label"))
    assert rows.labels == tuple(row["label"] for row in answers) and rows.texts == tuple((text,) for text in CHINESE)
    assert "p(正面)" in out.read_text("utf-8")


def test_a_cloze_that_cannot_be_asked_is_told_in_one_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = written(tmp_path / "rows.tsv", "text\tlabel", "open\tcode", "close\tcoed")
    words = ["--words.code", "file", "--words.logic", "true"]
    for tokens, status, said in (
        (words, 2, "give --out for the predictions, --label to score them, or both"),
        ([*words, "--label", "label"], 1, "rows.tsv, line 3: unknown label 'coed'. Did you mean 'code'?"),
        ([*words, "--out", "a.txt"], 1, "a.txt: rows are written as .jsonl or .csv"),
        ([*words, "--out", "a.csv", "--pair", "label"], 1, "name the second text's column where it holds {pair}"),
        ([*words, "--out", "a.csv", "--even", "--blank", "x"], 1, "even: blank says already"),
        (["--words.code", "飛", "--words.logic", "true", "--out", "a.csv"], 1, "take another word"),
        (["--out", "a.csv"], 2, "words"),
    ):
        code, told = say(capsys, "zero-shot", folder, data, *tokens)
        assert code == status and said in told, told
    written(data, "text\tlabel", "open\tcode", "\tlogic")
    code, told = say(capsys, "zero-shot", folder, data, *words, "--label", "label")
    assert code == 1 and "rows.tsv, line 3: column 'text' is empty" in told


def test_mined_rows_are_what_python_finds_and_similarity_reads_them(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = list(pairwise(ENGLISH))
    data = written(tmp_path / "pairs.tsv", "a\tb", *map("\t".join, pairs))
    pool = written(tmp_path / "pool.jsonl", *(json.dumps({"text": text}) for text in (*ENGLISH, "another", "one more")))
    columns = ["--text", "a", "--pair", "b", "--each", 2, "--share", 1]
    for extra, among in (([], None), (["--candidates", pool], [*ENGLISH, "another", "one more"])):
        for suffix in (".jsonl", ".csv"):
            out = tmp_path / f"rows{suffix}"
            code, told = say(capsys, "mine", folder, data, *columns, *extra, "--out", out)
            assert code == 0, told
            found = mine_negatives(load(folder), pairs, among, each=2, share=1.0)
            assert f"{len(found)} rows in {out}; 0 of 5 pairs have none" in told
        rows = read_rows(tmp_path / "rows.csv", Columns("text", "pair", "negative"))
        assert [(*texts, label) for texts, label in zip(rows.texts, rows.labels or (), strict=True)] == found
        assert [tuple(row.values()) for row in read(tmp_path / "rows.jsonl")] == found
    mined = ["--data", tmp_path / "rows.csv", "--loss", "triplet", "--pair", "pair", "--negative", "negative"]
    run_folder = tmp_path / "run"
    code, told = say(capsys, "similarity", "--model", folder, *mined, "--train.steps", 1, "--out", run_folder)
    assert code == 0, told


def test_what_cannot_be_mined_is_told_in_one_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = written(tmp_path / "pairs.tsv", "text\tpair", "open\tclose", "read\t")
    for extra, said in (
        (["--out", "x.tsv"], "x.tsv: rows are written as .jsonl or .csv"),
        (["--out", "x.csv"], "pairs.tsv, line 3: column 'pair' is empty"),
    ):
        code, told = say(capsys, "mine", folder, data, *extra)
        assert code == 1 and said in told, told
    written(data, "text\tpair", "open\tclose")
    code, told = say(capsys, "mine", folder, data, "--out", tmp_path / "x.csv")
    assert code == 1 and "no pair has a negative" in told and not (tmp_path / "x.csv").exists()


def test_the_table_of_sts_holds_what_python_scores(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sts" / "2012").mkdir(parents=True)
    lines = [f"{at}\t{a}\t{b}" for at, (a, b) in enumerate(zip(ENGLISH, ENGLISH[2:], strict=False))]
    for name in ("one", "two"):
        written(tmp_path / "sts" / "2012" / f"{name}.test.tsv", *lines[:: 1 if name == "one" else -1])
    chinese = written(tmp_path / "中文.tsv", *(f"{at}\t{a}\t{CHINESE[at - 1]}" for at, a in enumerate(CHINESE)))
    written(tmp_path / "sts" / "sts-test.tsv", *(f"g\tf\ty\t{at}\t{line}" for at, line in enumerate(lines)))
    model = load(folder)
    code, told = say(capsys, "sts", folder, tmp_path / "sts", chinese, "--pooling", "first", "--files")
    assert code == 0, told
    for where in (tmp_path / "sts", chinese):
        for name, score in score_sts(model, where, pooling="first").items():
            low, high = 100 * score.interval.low, 100 * score.interval.high
            line = f"{name} {score.pairs} {100 * score.all:.2f} [{low:.2f}, {high:.2f}] {100 * score.mean:.2f}"
            assert line in told
    found = score_sts(model, tmp_path / "sts", pooling="first")
    assert set(found) == {"2012", "stsb"} and found["stsb"].all == pytest.approx(found["2012"].files["one"])
    assert "one" in told and "first of the tokens" in told
    assert found["2012"].all != pytest.approx(score_sts(model, tmp_path / "sts", pooling="max")["2012"].all)
    for tokens, status, said in (
        ([], 2, "name the folder of the tasks, or a file of scored pairs"),
        ([tmp_path / "model"], 1, "no 2012/*.test.tsv"),
        (
            [written(tmp_path / "bad.tsv", "1\ta\tb", "much\ta\tb")],
            1,
            "bad.tsv, line 2: the label 'much' is not a number",
        ),
        ([written(tmp_path / "cut.tsv", "1\ta\tb", "2\ta")], 1, "cut.tsv, line 2: 2 fields, and 1 to 3 must be"),
    ):
        code, told = say(capsys, "sts", folder, *tokens)
        assert code == status and said in told, told


@pytest.mark.parametrize("verb", ["zero-shot", "mine", "sts", "predict", "evaluate"])
def test_the_verbs_that_read_many_texts_take_the_device_that_is_named(
    verb: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = written(tmp_path / "rows.csv", "text,pair,label", *(f"{a},{b},code" for a, b in pairwise(ENGLISH)))
    scored = written(tmp_path / "scored.tsv", *(f"{at}\t{a}\t{b}" for at, (a, b) in enumerate(pairwise(ENGLISH))))
    given = {
        "zero-shot": [
            *(folder, rows, "--label", "label", "--template", "{text} [MASK]"),
            *("--words.code", "file,true", "--words.prose", "false,list"),
        ],
        "mine": [folder, rows, "--out", tmp_path / "mined.jsonl"],
        "sts": [folder, scored],
        "predict": [folder, rows, "--out", tmp_path / "out.jsonl"],
        "evaluate": [folder, "--data", rows],
    }
    monkeypatch.setenv("MASKWRIGHT_DEVICE", "gpu")
    code, told = say(capsys, verb, *given[verb])
    assert code == 1 and "MASKWRIGHT_DEVICE is 'gpu', and this machine has" in told
