"""``maskwright report``: pages of one run and of several, tables, the page that follows, and what can be wrong."""

import http.client
import math
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import pytest
from test_cli import say

from maskwright.report.log import RunLog


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs, sweep/a/x and sweep/b/x, of which the second one is NaN at its third step and has no end."""
    monkeypatch.chdir(tmp_path)
    for name, losses in (("a", [3.0, 2.0, 1.0]), ("b", [3.0, 2.5, math.nan])):
        with RunLog(tmp_path / "sweep" / name / "x" / "log.jsonl") as log:
            log.write("start", name="Pre-training", steps=3, config={"train": {"lr": 0.1 if name == "a" else 0.2}})
            for step, loss in enumerate(losses, 1):
                log.write("step", step=step, loss=loss, parts={"mlm": loss}, tokens=100 * step, tokens_per_second=9.0)
            log.write("eval", step=3, loss=losses[-1], parts={"mlm": losses[-1]}, accuracy={"mlm": 0.1}, metrics={})
            if name == "a":
                log.write("end", reason="finished", seconds=2.0)
    return tmp_path / "sweep"


def test_one_run_gets_its_page_and_several_are_compared(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert say(capsys, "report", runs / "a" / "x")[0] == 0
    assert "<h1>Pre-training</h1>" in (runs / "a" / "x" / "report.html").read_text("utf-8")
    code, text = say(capsys, "report", runs / "a" / "x", runs / "b" / "x" / "log.jsonl", runs / "a" / "x")
    assert code == 0 and "comparison.html" in text
    page = Path("comparison.html").read_text("utf-8")
    assert "<h1>2 runs compared</h1>" in page and "</svg>a/x</span>" in page and "train.lr" in page
    assert "b/x: 1 step not finite" in page
    assert say(capsys, "report", runs / "b" / "x", "--out", "deep/page.html")[0] == 0
    assert Path("deep/page.html").is_file()


def test_the_numbers_come_out_as_a_table_of_each_kind(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = [runs / "a" / "x", runs / "b" / "x"]
    for suffix in ("csv", "jsonl", "parquet"):
        code, text = say(capsys, "report", *both, "--data", f"numbers.{suffix}")
        assert code == 0 and "report" not in text.replace("numbers", "")
    table = pyarrow.parquet.read_table("numbers.parquet")
    assert table.num_rows == 8 and set(table["run"].to_pylist()) == {"a/x", "b/x"}
    losses = table["loss"].to_pylist()
    assert losses[:3] == [3.0, 2.0, 1.0] and math.isnan(losses[6])
    assert table["tokens_per_second"].null_count == 2, "evaluations have none"
    assert pyarrow.csv.read_csv("numbers.csv").num_rows == 8
    assert not Path("comparison.html").exists()
    assert say(capsys, "report", *both, "--data", "more.csv", "--out", "page.html")[0] == 0
    assert Path("more.csv").is_file() and Path("page.html").is_file()


@pytest.mark.parametrize(
    ("tokens", "code", "told"),
    [
        ([], 2, "name the folder of at least one run"),
        (["nowhere"], 1, "nowhere: there is no such folder"),
        (["sweep"], 1, "sweep is no run, but there are some in it: sweep/a/x sweep/b/x"),
        (["sweep/a/x/model"], 1, "Did you mean sweep/a/x?"),
        (["empty"], 1, "empty/log.jsonl holds no record yet"),
        (["torn"], 1, "torn/log.jsonl holds no record yet"),
        (["bad"], 1, "log.jsonl, line 2: not a record of a run log"),
        (["bad", "--data", "x.csv"], 1, "log.jsonl, line 2: not a record"),
        (["sweep/a/x", "--data", "x.xls"], 1, "must be one of .csv, .jsonl, .parquet"),
        (["sweep/a/x", "--watch", "--out", "x.html"], 2, "--watch serves the page and writes no file"),
        (["sweep/a/x", "--watch", "--port", "-3"], 1, "port -3 cannot be had"),
        (["sweep/a/x", "--out", "sweep"], 1, "That is a folder where a file was expected"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(
    runs: Path, tokens: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "a" / "x" / "model").mkdir()
    for name, content in (("empty", ""), ("torn", '{"kind": "st'), ("bad", '{"kind": "start", "time": 1}\nxx\n')):
        Path(name).mkdir()
        Path(name, "log.jsonl").write_text(content)
    before = sorted(Path().rglob("*"))
    found, text = say(capsys, "report", *tokens)
    assert found == code and told in text
    assert sorted(Path().rglob("*")) == before, "nothing is written"


def test_watching_serves_the_page_until_ctrl_c(runs: Path) -> None:
    command = [sys.executable, "-m", "maskwright", "report", str(runs / "a" / "x"), "--watch"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    # Where the tests themselves run in the background, Ctrl-C is ignored, and a child would inherit that.
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
    ) as server:
        assert server.stdout is not None and server.stderr is not None
        address = server.stdout.readline().split()[0]
        connection = http.client.HTTPConnection(address.removeprefix("http://").rstrip("/"), timeout=20)
        connection.request("GET", "/")
        assert b"<h1>Pre-training</h1>" in connection.getresponse().read()
        connection.close()
        server.send_signal(signal.SIGINT)
        try:
            assert server.wait(20) == 130
        finally:
            server.kill()
        assert "Traceback" not in server.stderr.read()
    assert not (runs / "a" / "x" / "report.html").exists()
