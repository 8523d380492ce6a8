import math

import pytest
from test_report_run import text_of

from maskwright.report.log import RunLog, read_log
from maskwright.report.run import run_page
from maskwright.report.scores import score_sections, score_table, score_text

SCORES = {
    "masked-token loss": {"value": 5.862, "unit": "nats", "count": 112_110, "beside": {"unigram entropy": 6.524}},
    "masked-token accuracy": {
        "value": 0.135, "low": 0.133, "high": 0.137, "unit": "share", "beside": {"always ','": 0.056},
    },
}  # fmt: skip


def test_a_page_drawn_again_from_the_log_keeps_the_scores_and_the_ledger(tmp_path, ledger):
    with RunLog(tmp_path / "log.jsonl") as log:
        log.write("start", name="x", ledger=ledger)
        log.write("step", step=1, loss=1.0)
        log.write("end", reason="finished", seconds=3.0)
        log.write("result", title="On text it never saw", scores=SCORES)
    text = text_of(run_page(read_log(log.path), now=1e12).html())
    for fact in (
        "On text it never saw",
        "masked-token loss (nats), n = 112,110 5.862 unigram entropy 6.524",
        "Data",
        "12,480",
    ):
        assert fact in text, fact
    assert "13.5 % [13.3, 13.7] always ',' 5.6 %" in text.replace("\u00a0", " ")


@pytest.mark.parametrize("scores", [{}, None, [1], "x"])
def test_a_result_without_scores_has_no_table(scores):
    assert score_sections({"kind": "result", "scores": scores}) == []


@pytest.mark.parametrize(
    ("score", "text"),
    [(math.nan, "NaN"), ({"value": math.inf, "unit": "share"}, "∞"), ({}, "None"), ({"value": "x"}, "x"),
     ({"value": 0.5, "low": math.nan, "high": 1.0}, "0.5000"), ({"value": 7}, "7"), ({"value": 2.0, "low": 1.0, "high": 3.0}, "2.000 [1.000, 3.000]")],
)  # fmt: skip
def test_a_score_is_written_whatever_it_is(score, text):
    assert score_text(score) == text


def test_a_column_of_nothing_to_compare_with_is_left_out():
    assert score_table({"micro_f1": 0.5}) == (["", "model"], [("micro_f1", "0.5000")])
    columns, rows = score_table({"micro_f1": 0.5, "accuracy": {"value": 0.6, "beside": {"always a": 0.4}}})
    assert columns == ["", "model", "beside it"] and [row[2] for row in rows] == ["", "always a 0.4000"]
