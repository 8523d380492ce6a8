import copy
import math
import re
import subprocess
import sys

import pytest
from test_report_page import checked

from maskwright.report import page
from maskwright.report.log import RunLog, read_log
from maskwright.report.run import run_page


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", " ".join(checked(html).texts))


def test_the_page_of_a_run_says_what_came_out_and_how_to_do_it_again(records, ledger):
    html = run_page(records, ledger, [page.heading("Examples"), page.paragraph("the callers own")]).html()
    text = text_of(html)
    for fact in (
        "BERT tiny on village newspapers", "11.2M parameters", "12 m 46 s", "finished", "12.3M tokens seen", "unigram entropy 7.21",
        "most frequent word 5.1 %", "learnt more than how often each word occurs", "maskwright pretrain --recipe", "AMD EPYC",
        "Learning rate", "Gradient norm", "Speed", "best of 10, step 3,000", "the callers own", "whole_words",
    ):  # fmt: skip
        assert fact.replace("\u00a0", " ") in text.replace("\u00a0", " "), fact
    assert len(html) < 300_000
    assert html.index('id="examples"') < html.index('id="curves"') < html.index('id="data"')


def test_a_page_drawn_from_the_file_equals_one_drawn_from_memory(records, tmp_path):
    some = copy.deepcopy(records[:400])
    some[7]["loss"] = math.nan
    log = RunLog(tmp_path / "log.jsonl")
    for record in some:
        log.write(record["kind"], **{k: v for k, v in record.items() if k not in ("kind", "time")})
    log.close()
    again = [{**new, "time": old["time"]} for new, old in zip(read_log(log.path), some, strict=True)]
    assert run_page(again).html() == run_page(some).html()


@pytest.mark.parametrize("kept", [0, 1, 2, 3, 150, 301, 302, 2000])
def test_an_interrupted_run_has_a_page_that_says_so(records, kept):
    text = text_of(run_page(records[:kept]).html())
    assert "interrupted or is still going" in text and "finished" not in text


def test_a_run_of_bare_records_has_a_page():
    bare = [
        {"kind": "step", "time": 5.0, "step": 1},
        {"kind": "eval", "time": 6.0, "step": 1},
        {"kind": "note", "time": 7.0, "text": "x"},
    ]
    checked(run_page(bare).html())


def test_steps_that_are_not_finite_are_named_and_never_averaged_away(records):
    some = copy.deepcopy(records)
    for record in some[-40:]:
        if record["kind"] == "step":
            record["loss"] = math.nan
    html = run_page(some).html()
    text = text_of(html)
    assert "not finite (step 2,963, 2,964" in text and 'class="broken"' in html
    assert re.search(r"training loss NaN", text)


def test_a_run_that_learnt_nothing_is_told_so(records):
    some = copy.deepcopy(records)
    some[0]["reference"] = {"unigram entropy": 3.0}
    assert "knows no more than how often each word occurs" in text_of(run_page(some).html())


def test_the_best_evaluation_is_the_one_that_says_so_else_the_one_of_lowest_loss(records):
    def best_row(some):
        return re.search(r'<tr class="best"><td class="right">([\d,]+)<', run_page(some).html())[1]

    assert best_row(records) == "3,000"
    some = copy.deepcopy(records)
    next(record for record in some if record["kind"] == "eval" and record["step"] == 600)["best"] = True
    assert best_row(some) == "600"


def test_a_resumed_run_counts_its_time_without_the_pause(records):
    first, second = records[:1000], copy.deepcopy(records[1000:])
    for record in second:
        record["time"] += 1e6
    again = {**records[0], "time": second[0]["time"]}
    del second[-1]["seconds"]
    text = text_of(run_page([*first, again, *second]).html())
    assert "finished, resumed once" in text and "12 m" in text


def test_many_evaluations_are_thinned_in_the_table_but_not_the_best(records):
    evals = [{"kind": "eval", "time": 1.0, "step": n, "loss": 9.0 - (n == 77)} for n in range(1, 201)]
    html = run_page([records[0], *evals]).html()
    assert html.count("<tr") <= 35 and re.search(r'<tr class="best"><td class="right">77<', html)


def test_a_report_needs_no_torch():
    modules = "chart, files, ledger, log, numbers, page, run, terminal, curves"
    check = (
        f"import sys; from maskwright.report import {modules}; print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
