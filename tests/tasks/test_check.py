"""check-data: every row that cannot be used is named, and what speaks against a training is said with its reason."""

from pathlib import Path

import pytest

from maskwright.cli import run
from maskwright.errors import ConfigError, DataError, InputError, UsageError
from maskwright.model import Model
from maskwright.tasks.checking import Report, check_data, data_sets_in
from maskwright.tasks.rows import Columns
from maskwright.tasks.suggest import suggest

ROWS = "text\tlabel\n" + "".join(f"film {n} is good\tpos\nfilm {n} is bad\tneg\n" for n in range(10))
RTE_HEAD = "index\tsentence1\tsentence2\tlabel\n"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def names(report: Report) -> list[str]:
    return [found.name for found in report.findings]


def test_sound_rows_give_no_finding(tmp_path: Path) -> None:
    report = check_data(write(tmp_path, "a.tsv", ROWS), task="classify")
    assert report.findings == () and report.splits["train"].labels == {"pos": 10, "neg": 10}


def test_every_row_that_cannot_be_used_is_named_with_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", ROWS.encode() + b"short\n\tpos\na\tb\tc\nb\xe4d\tneg\nlast one\tpos\n")
    (split,) = check_data(path, task="classify").splits.values()
    assert len(split.rows) == 21
    assert [str(error).removeprefix(f"{path}, ") for error in split.problems] == [
        "line 22: 1 fields where the header names 2",
        "line 23: column 'text' is empty",
        "line 24: 3 fields where the header names 2; is there a tab or comma inside a text?",
        "line 25: not valid UTF-8 (byte 0xe4); convert the file to UTF-8",
    ]


def test_every_bad_line_of_jsonl_is_named(tmp_path: Path) -> None:
    lines = [
        '{"text": "a b", "label": "x"}',
        "{",
        "[1]",
        '{"text": "c", "label": null}',
        '{"text": "d e", "label": "y"}',
    ]
    (split,) = check_data(write(tmp_path, "a.jsonl", "\n".join(lines)), task="classify").splits.values()
    assert [error.line for error in split.problems] == [2, 3, 4]
    assert [row.line for row in split.rows] == [1, 5]


def test_a_wrong_column_is_one_error_and_not_one_a_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2: no column 'txet' \(columns: text, label\)"):
        check_data(write(tmp_path, "a.tsv", ROWS), columns=Columns("txet", None, "label"))


def test_of_a_folder_without_a_known_data_set_its_files_are_named(tmp_path: Path) -> None:
    write(tmp_path, "a.tsv", ROWS)
    with pytest.raises(UsageError, match=r"no data set that is known by name; give one of its files \(a\.tsv\)"):
        check_data(tmp_path)


def test_values_that_are_no_numbers_are_listed(tmp_path: Path) -> None:
    text = "text\tlabel\na b\t1.5\nc d\thigh\ne f\tnan\ng h\t2\n"
    (split,) = check_data(write(tmp_path, "a.tsv", text), task="regress").splits.values()
    assert [str(error).split(": ")[1] for error in split.problems] == [
        "the label 'high' is not a number",
        "the label 'nan' is not a number",
    ]
    assert split.values is not None and split.values.tolist() == [1.5, 2]


def test_repeats_contradictions_and_overlap_are_counted_with_lines(tmp_path: Path) -> None:
    train = write(tmp_path, "a.tsv", ROWS + "Film 3  is GOOD\tpos\nfilm 4 is bad\tpos\n")
    dev = write(tmp_path, "b.tsv", "text\tlabel\nFILM 1 is bad\tneg\nquite new\tpos\n")
    report = check_data(train, task="classify", dev=dev)
    facts = {found.name: found.fact for found in report.findings}
    assert facts == {
        "contradictions": "rows of train that repeat an earlier one with another label: 1 (line 23)",
        "duplicates": "rows of train that repeat an earlier one: 1 (line 22)",
        "overlap": "rows of dev that stand in train too: 1, 50.0 % (line 2)",
    }
    assert [str(repeat) for repeat in report.splits["train"].repeats] == [
        f"{train}, line 22: the same as line 8",
        f"{train}, line 23: labelled otherwise than line 11",
    ]


def test_a_pair_the_other_way_round_is_the_same_pair(tmp_path: Path) -> None:
    text = RTE_HEAD + "0\ta b\tc d\tentailment\n1\tc d\tA  b\tentailment\n2\ta b\te f\tnot_entailment\n"
    report = check_data(write(tmp_path, "RTE/dev.tsv", text), task="glue/rte")
    assert [repeat.line for repeat in report.splits["train"].repeats] == [3]


def test_uneven_rare_and_new_labels_are_said(tmp_path: Path) -> None:
    train = write(tmp_path, "a.tsv", "text\tlabel\n" + "".join(f"x {n}\tham\n" for n in range(30)) + "y\tspam\n")
    dev = write(tmp_path, "b.tsv", "text\tlabel\nz\tspma\nw\tham\n")
    facts = {found.name: found.fact for found in check_data(train, task="classify", dev=dev).findings}
    assert facts["uneven labels"] == "96.8 % of train are 'ham'"
    assert facts["rare labels"] == "fewer than 8 rows in train: 'spam' 1"
    assert facts["new labels"] == f"dev has labels that training never sees: 'spma' (first: {dev}, line 2)"
    one = write(tmp_path, "c.tsv", "text\tlabel\n" + "".join(f"x {n}\tham\n" for n in range(9)))
    assert names(check_data(one, task="classify")) == ["one label"]


def test_lengths_and_unknown_pieces_are_those_of_the_model(tmp_path: Path, tiny: object) -> None:
    model: Model = tiny()  # type: ignore[operator]
    model.save(tmp_path / "model")
    text = "text\tlabel\n" + "".join(f"{'return the list ' * 12}{n}\tpos\nopen 中 {n}\tneg\n" for n in range(10))
    report = check_data(write(tmp_path, "a.tsv", text), task="classify", model=tmp_path / "model", length=20)
    tokens = report.splits["train"].tokens
    assert report.limit == 128 and tokens is not None and tokens.unknown is not None
    rows = report.splits["train"].rows
    assert tokens.lengths.tolist() == [2 + len(model.tokenizer.encode(row.texts[0])) for row in rows]
    assert tokens.unknown.sum() == sum(model.tokenizer.encode(r.texts[0]).count(model.tokenizer.unk_id) for r in rows)
    facts = {found.name: found.fact for found in report.findings}
    assert facts["long rows"].startswith("50.0 % of train are longer than 20 tokens")
    assert "unknown to the model (lines 3," in facts["unknown pieces"]
    most = write(tmp_path, "b.tsv", "text\tlabel\n" + f"{'return ' * 200}\tpos\nopen\tneg\n" * 5)
    for path, length, remedy in (
        (tmp_path / "a.tsv", 20, f"--length {tokens.lengths.max()} reads 99 % whole"),
        (most, 20, "--length 128, which is the model's limit"),
        (most, 128, "cut texts into passages, or take a model that reads more than 128 tokens"),
    ):
        found = check_data(path, task="classify", model=tmp_path / "model", length=length).findings
        assert [f.remedy for f in found if f.name == "long rows"] == [remedy]
    longer = check_data(tmp_path / "a.tsv", task="classify", model=tmp_path / "model", length=500)
    assert "--length 500 is more than the 128 tokens that the model takes" in [f.fact for f in longer.findings]


def test_letters_lost_in_a_wrong_encoding_and_csv_s_quotes_are_seen(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", ROWS + 'cafÃ© here\tpos\nit\ufffds\tneg\n"a ""fine"" one"\tpos\n')
    facts = {found.name: found.fact for found in check_data(path, task="classify").findings}
    assert facts["damaged letters"].endswith("2 (lines 22, 23)")
    assert facts["quoted fields"].endswith("1 (line 24)")


def test_sizes_are_held_against_the_published_and_the_noted_ones(shared: Path, tmp_path: Path) -> None:
    report = check_data(shared / "data" / "glue", task="glue/rte")
    assert {name: len(split.rows) for name, split in report.splits.items()} == {"train": 2490, "dev": 277, "test": 3000}
    facts = [found.fact for found in report.findings]
    assert "rows in train: 2,490; field notes on GLUE say 2,491" in facts
    assert not any("published:" in fact for fact in facts)
    write(tmp_path, "RTE/dev.tsv", RTE_HEAD + "0\ta b\tc d\tentailment\n")
    report = check_data(tmp_path, task="glue/rte")
    assert "rows in dev: 1; published: 277" in [found.fact for found in report.findings]


def test_a_file_of_each_data_set_is_recognised(shared: Path) -> None:
    glue = shared / "data" / "glue"
    found = {path: suggest(glue / path)[0].options for path in (
        "CoLA/dev.tsv", "SST-2/dev.tsv.xz", "MRPC/dev.tsv.xz", "STS-B/dev.tsv.xz", "QQP/train_part_23497.tsv.xz",
        "MNLI/dev_matched.jsonl.xz", "QNLI/dev.tsv.xz", "RTE/dev.tsv.xz", "WNLI/dev.tsv",
    )}  # fmt: skip
    assert list(found.values()) == [
        f"--task glue/{name}" for name in ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli")
    ]


def test_files_of_one_s_own_get_a_task_and_columns(tmp_path: Path) -> None:
    csv = "id,review,stars\n" + "".join(f'{n},"a film, number {n}, seen",{n % 5}\n' for n in range(40))
    (best,) = suggest(write(tmp_path, "a.csv", csv))
    assert best.options == "--task classify --text review --label stars"
    pairs = "first text\tsecond\tscore\n" + "".join(f"a b {n}\tc d {n}\t{n / 7:.2f}\n" for n in range(40))
    (best,) = suggest(write(tmp_path, "b.tsv", pairs))
    assert best.options == "--task regress --text 'first text' --pair second --label score"
    assert (
        suggest(write(tmp_path, "c.tsv", "a text of several words here\t1\nanother text of several words\t0\n")) == []
    )


def test_what_cannot_be_checked_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        check_data(tmp_path / "nothing.tsv")
    with pytest.raises(InputError, match=r"no task fits it\. Its first line must name the columns"):
        check_data(write(tmp_path, "a.tsv", "a text of several words here\t1\nmore words in a text\t0\n"))
    with pytest.raises(ConfigError, match="Did you mean 'classify'"):
        check_data(write(tmp_path, "b.tsv", ROWS), task="clasify")
    with pytest.raises(UsageError, match="is a folder and classify reads a file"):
        check_data(tmp_path, task="classify")
    with pytest.raises(InputError, match=r"no train\.tsv there, nor in RTE/"):
        check_data(tmp_path, task="glue/rte")


def test_the_data_sets_in_a_folder_are_found_by_their_names(tmp_path: Path) -> None:
    write(tmp_path, "RTE/dev.tsv", RTE_HEAD + "0\ta b\tc d\tentailment\n")
    write(tmp_path, "diagnostic/diagnostic.tsv", "index\tsentence1\tsentence2\n0\ta\tb\n")
    assert data_sets_in(tmp_path) == {"glue/rte": ("dev",), "glue/ax": ("test",)}
    assert data_sets_in(tmp_path / "RTE") == {"glue/rte": ("dev",)}


def test_the_command_lists_problems_fits_80_columns_and_tells_by_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    good = write(tmp_path, "a.tsv", ROWS)
    assert run(["check-data", str(good)]) == 0
    out = capsys.readouterr().out
    assert "--task classify" in out and "Nothing speaks against training on this." in out
    bad = write(tmp_path, "b.tsv", ROWS + "short\n" * 30)
    assert run(["check-data", str(bad), "--task", "classify", "--most", "3"]) == 1
    said = capsys.readouterr()
    assert "rows that cannot be used: 30" in said.err
    problems = [line for line in said.out.splitlines() if line.startswith(str(bad))]
    assert problems == [f"{bad}, line {n}: 1 fields where the header names 2" for n in (22, 23, 24)]
    assert "… and 27 more; --most 0 lists all" in said.out
    assert all(len(line) <= 80 for line in said.out.splitlines() if str(tmp_path) not in line)
    assert run(["check-data", str(bad), "--task", "classify", "--most", "0"]) == 1
    assert capsys.readouterr().out.count(str(bad) + ", line") == 30
