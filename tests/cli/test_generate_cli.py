"""``maskwright generate``: outputs in the terminal and in a file, options that would do nothing refused."""

import json
from pathlib import Path

import pytest

from maskwright.cli import run
from maskwright.model import create
from maskwright.text.tokenizer import Tokenizer
from tiny_families import tiny_spec


@pytest.fixture
def writer(tokenizer: Tokenizer, tmp_path: Path) -> str:
    model = create(tiny_spec("gpt2", vocab_size=tokenizer.vocab_size), tokenizer, seed=0)
    model.add_head("lm")
    model.save(tmp_path / "writer")
    return str(tmp_path / "writer")


def test_each_text_s_outputs_are_shown(writer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["generate", writer, "Return", "the name", "--method", "beam", "--outputs", "2", "--most", "4"]) == 0
    told = capsys.readouterr().out
    assert told.count("output") == 4 and told.count("nats") == 4


def test_a_file_s_lines_become_rows_of_another(writer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.txt").write_text("Return\nthe name\n", "utf-8")
    options = [
        "--file",
        str(tmp_path / "in.txt"),
        "--out",
        str(tmp_path / "out.jsonl"),
        "--most",
        "3",
        "--method",
        "draw",
    ]
    rows = []
    for seed in ("1", "1", "2"):
        assert run(["generate", writer, *options, "--seed", seed]) == 0
        rows.append([json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()])
    assert [row["text"] for row in rows[0]] == ["Return", "the name"]
    assert rows[0] == rows[1] != rows[2]
    assert "2 outputs in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["a", "--beams", "2"], "--beams does nothing with --method greedy; it is for --method beam"),
        (["a", "--method", "beam", "--seed", "2"], "--seed does nothing with --method beam; it is for --method draw"),
        (["a", "--most", "0"], "field 'most': input should be greater than or equal to 1, not 0"),
        ([], "give texts to continue, or a --file with one a line"),
        (["--file", "nowhere.txt"], "nowhere.txt"),
    ],
)
def test_what_would_do_nothing_or_is_not_there_is_refused(
    writer: str, capsys: pytest.CaptureFixture[str], given: list[str], told: str
) -> None:
    assert run(["generate", writer, *given]) == 1
    assert told in capsys.readouterr().err
