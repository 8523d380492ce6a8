"""The command line as its user meets it: help without torch, exit codes, one-sentence errors, nothing lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from maskwright.cli import app, run
from maskwright.corpus.store import Corpus

RESERVED = {"quickstart", "doctor", "tokenizer", "corpus", "pretrain", "finetune", "evaluate", "predict", "fill"}


def say(capsys: pytest.CaptureFixture[str], *tokens: object) -> tuple[int, str]:
    """Run a command line; its exit code, and what it printed on both streams."""
    code = run([str(token) for token in tokens])
    told = capsys.readouterr()
    return code, " ".join((told.out + told.err).split())


@pytest.mark.parametrize("tokens", [["--help"], ["pretrain", "--help"], ["finetune", "--help"], ["corpus", "--help"]])
def test_help_imports_no_torch(tokens: list[str]) -> None:
    code = (
        "import sys; from maskwright.cli import run; code = run(sys.argv[1:]);"
        "heavy = {'torch', 'sklearn', 'scipy', 'transformers', 'pyarrow'} & set(sys.modules);"
        "sys.exit(code or (9 if heavy else 0))"
    )
    done = subprocess.run([sys.executable, "-c", code, *tokens], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Usage: maskwright" in done.stdout


def test_every_verb_is_there_and_has_a_summary() -> None:
    verbs = {name for name in app if not name.startswith("-")}
    assert verbs >= RESERVED
    assert all(app[name].help or app[name].default_command.__doc__ for name in verbs)


@pytest.mark.parametrize(
    ("tokens", "code", "told"),
    [
        (["pretrian"], 2, 'Did you mean "pretrain"'),
        (["pretrian"], 2, "(maskwright --help lists what there is)"),
        (["finetune", "--data", "x.csv"], 2, "(maskwright finetune --help lists what there is)"),
        (["pretrain", "--corpus", "c", "--out", "o", "--train.lrr", "3"], 2, "Did you mean --train.lr?"),
        (
            ["pretrain", "--corpus", "c", "--out", "o", "--train.lr", "-3"],
            1,
            "field 'train.lr': input should be greater",
        ),
        (["pretrain", "--corpus", "c", "--out", "o", "--objectives", "mlm,nps"], 1, "c holds no corpus"),
        (["params", "bert-bse-uncased"], 1, "Did you mean 'bert-base-uncased'?"),
        (["params", "bert-base-uncased", "--heads", "crf"], 1, "no 'crf' head"),
        (["evaluate", "x"], 2, "give either --data"),
        (["fill", "no/such/folder", "a [MASK]"], 1, "no such folder"),
        (["convert", "nowhere", "--out", "o"], 1, "no pytorch_model.bin"),
        (["quickstart", "--minutes", "0.01", "--out", "q"], 1, "half a minute is the least"),
    ],
)
def test_a_mistake_is_told_in_one_sentence_with_its_exit_code(
    tokens: list[str],
    code: int,
    told: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    found, text = say(capsys, *tokens)
    assert found == code
    assert told in text
    assert "Traceback" not in text
    assert not list(tmp_path.iterdir())


def test_a_fault_of_ours_exits_with_3_and_keeps_its_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("maskwright.machine.describe", lambda: 1 / 0)
    code, text = say(capsys, "doctor")
    assert code == 3
    assert "a fault of Maskwright's own: ZeroDivisionError" in text
    (kept,) = tmp_path.iterdir()
    assert "ZeroDivisionError" in kept.read_text("utf-8")


def test_a_recipes_fields_are_defaults_and_options_win(
    small_corpus: Corpus, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "schema: 1\nlength: 48\nencoder: {layers: 1, width: 16, heads: 2, positions: 64}\n"
        "train: {steps: 2, tokens: 256, lr: 0.01}\n",
        "utf-8",
    )
    code, text = say(
        capsys,
        "pretrain",
        "--recipe",
        recipe,
        "--corpus",
        small_corpus.folder,
        "--out",
        tmp_path / "run",
        "--train.steps",
        3,
    )
    assert code == 0, text
    start = json.loads((tmp_path / "run" / "log.jsonl").read_text("utf-8").splitlines()[0])
    assert start["config"]["length"] == 48
    assert start["config"]["train"]["steps"] == 3
    assert start["config"]["train"]["lr"] == 0.01
    assert (tmp_path / "run" / "report.html").stat().st_size > 5_000


def test_the_chain_from_text_to_predictions(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sentences = [
        "The red fox runs over the hill.",
        "A blue bird sings in the old tree.",
        "Rain falls on the stone roof.",
    ]
    Path("text.txt").write_text(
        "\n\n".join("\n".join([*sentences[n % 3 :], f"Hill {chr(97 + n)} is old.", *sentences]) for n in range(12)),
        "utf-8",
    )
    rows = [("the red fox runs", "fox"), ("a blue bird sings", "bird")] * 10
    Path("rows.csv").write_text("text,label\n" + "".join(f"{a},{b}\n" for a, b in rows), "utf-8")
    small = ["--encoder.layers", 1, "--encoder.width", 16, "--encoder.heads", 2, "--encoder.positions", 64]
    for tokens in (
        ["tokenizer", "train", "text.txt", "--out", "tok", "--vocab-size", 120, "--min-frequency", 1],
        ["corpus", "build", "text.txt", "--tokenizer", "tok", "--out", "corpus"],
        ["corpus", "show", "corpus"],
        [
            "pretrain",
            "--corpus",
            "corpus",
            "--out",
            "run",
            *small,
            "--length",
            48,
            "--train.steps",
            3,
            "--train.tokens",
            256,
        ],
        ["fill", "run/model", "The red [MASK] runs."],
        ["finetune", "--model", "run/model", "--data", "rows.csv", "--out", "ft", "--length", 16, "--train.epochs", 1],
        ["evaluate", "ft/model", "--data", "rows.csv"],
        ["evaluate", "run/model", "--corpus", "corpus"],
        ["predict", "ft/model", "rows.csv", "--out", "out.jsonl"],
        ["predict", "ft/model", "rows.csv", "--out", "out.csv"],
        ["params", "ft/model"],
    ):
        code, text = say(capsys, *tokens)
        assert code == 0, (tokens, text)
    answers = [json.loads(line) for line in Path("out.jsonl").read_text("utf-8").splitlines()]
    assert len(answers) == 20
    assert {answer["label"] for answer in answers} <= {"fox", "bird"}
    assert all(abs(sum(answer["probabilities"].values()) - 1) < 1e-4 for answer in answers)
    assert "as predicted" in text


def test_predicting_a_broken_file_loses_no_earlier_predictions(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("earlier\n", "utf-8")
    bad = tmp_path / "rows.csv"
    bad.write_text('text\nfine\n"never closed\n', "utf-8")
    code, text = say(capsys, "predict", "nowhere", bad, "--out", out)
    assert code == 1
    assert "rows.csv, line" in text
    assert out.read_text("utf-8") == "earlier\n"


def test_predict_refuses_an_unknown_ending_before_it_reads_anything(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = say(capsys, "predict", "nowhere", "no-such-rows.csv", "--out", "answers.txt")
    assert code == 1 and "answers.txt: rows are written as .jsonl or .csv" in text
