import csv
import json
import math
from pathlib import Path

import pytest

from maskwright.errors import DataError
from maskwright.report.export import columns_of, rows_of, write_csv, write_jsonl
from maskwright.report.log import RunLog


@pytest.fixture
def logs(tmp_path: Path) -> dict[str, Path]:
    with RunLog(tmp_path / "log.jsonl") as log:
        log.write("start", config={"lr": 1})
        log.write("step", step=1, loss=math.nan, parts={"mlm": math.inf}, tokens=5, tags=["x", 1])
        log.write("step", step=2, loss=1.5, parts={"mlm": -math.inf}, lr=1, note=None, who='Zoë, "she"\nsaid')
        log.write("step", step=3, loss=2, lr=0.5)
        log.write("eval", step=3, loss=1.25, metrics={"f1": 0.5}, best=True, deep={"a": {"b": 1}})
        log.write("end", reason="finished", seconds=1.0)
    return {"a": log.path}


def test_a_row_a_step_and_a_column_a_field(logs):
    columns = columns_of(rows_of(logs))
    assert list(columns)[:4] == ["run", "kind", "step", "time"]
    assert columns["loss"] is columns["lr"] is columns["parts.mlm"] is float
    assert columns["tokens"] is columns["deep.a.b"] is int and columns["best"] is bool
    assert columns["tags"] is columns["who"] is str and "note" not in columns and "config.lr" not in columns
    assert [(row["kind"], row["step"]) for row in rows_of(logs)] == [("step", 1), ("step", 2), ("step", 3), ("eval", 3)]


def test_csv_keeps_what_is_not_finite_and_what_is_missing_apart(logs, tmp_path):
    write_csv(tmp_path / "x.csv", columns_of(rows_of(logs)), rows_of(logs))
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["loss"] for row in rows] == ["NaN", "1.5", "2", "1.25"]
    assert [float(row["parts.mlm"]) for row in rows[:2]] == [math.inf, -math.inf] and rows[2]["parts.mlm"] == ""
    assert rows[1]["who"] == 'Zoë, "she"\nsaid'


def test_jsonl_is_strict_json_with_the_names_that_the_log_uses(logs, tmp_path):
    write_jsonl(tmp_path / "x.jsonl", rows_of(logs))

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    rows = [json.loads(line, parse_constant=refuse) for line in (tmp_path / "x.jsonl").read_text("utf-8").splitlines()]
    assert rows[0]["loss"] == "NaN" and [row.get("parts.mlm") for row in rows[:3]] == ["Infinity", "-Infinity", None]
    assert rows[3]["metrics.f1"] == 0.5 and rows[3]["best"] is True


def test_a_damaged_log_leaves_no_file_and_no_draft(logs, tmp_path):
    good = tmp_path / "x.csv"
    good.write_text("old")
    columns = columns_of(rows_of(logs))
    content = logs["a"].read_bytes()
    logs["a"].write_bytes(content + b"xx\n" + content)
    with pytest.raises(DataError, match=r"log\.jsonl, line 7"):
        write_csv(good, columns, rows_of(logs))
    assert good.read_text() == "old" and {one.name for one in tmp_path.iterdir()} == {"x.csv", "log.jsonl"}
