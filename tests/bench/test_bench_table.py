"""From recorded measurements to what is shown: ratios within rounds, equal work, what must be said."""

import math
from typing import Any

import pytest
from made_bench import made

from maskwright.bench.load import disturbed
from maskwright.bench.sheet import bench_page, ceiling_rows, remarks, rows
from maskwright.bench.table import ratios, shares, unequal, values


def test_numbers_are_in_the_cases_unit() -> None:
    record = made()
    assert values(record, "train", "maskwright") == {0: 10.0, 1: 20.0}  # 200 tokens a second, 20 an example
    assert values(record, "one", "int8") == {0: pytest.approx(3.0)}


def test_ratios_are_formed_within_a_round_and_say_how_many_times_as_fast_we_are() -> None:
    record = made()
    assert ratios(record, "train", "theirs") == [4.0, 2.0]
    assert ratios(record, "train", "theirs, tuned") == [2.0]  # it has no first round, so ours has none to pair with
    assert ratios(record, "one", "theirs") == [pytest.approx(2.0)]  # a time: less is better


def test_the_table_has_every_side_under_its_case_with_both_ratios() -> None:
    assert rows(made()) == [
        ("train, ex/s", "", ""),
        ("  maskwright", "15.0 (10.0–20.0)", ""),
        ("  theirs", "6.25 (2.50–10.0)", "3.00 (2.00–4.00) ×"),
        ("  theirs, tuned", "10.0", "2.00 ×"),
        ("one sentence, ms", "", ""),
        ("  maskwright", "2.00", ""),
        ("  theirs", "4.00", "2.00 ×"),
        ("  int8, cosine 0.940", "3.00", "1.50 ×"),
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ids": "abd"}, "token ids"),
        ({"losses": [0.7, 0.5]}, "losses are 0.7000, 0.5000 and ours 0.7000, 0.6000"),
        ({"losses": [0.7, math.nan]}, "losses are 0.7000, nan"),
    ],
)
def test_without_equal_work_there_is_no_ratio(change: dict[str, Any], told: str) -> None:
    record = made()
    record["measurements"][3]["check"] |= change
    assert told in unequal(record, "train", "theirs")
    assert ("  theirs", "6.25 (2.50–10.0)", "not the same work") in rows(record)
    assert any(told in remark for remark in remarks(record))


def test_vectors_must_be_the_reference_s_but_for_a_side_that_is_rough_on_purpose() -> None:
    record = made()
    assert unequal(record, "one", "int8") == ""
    record["measurements"][7]["check"]["cosine"]["mean"] = 0.99  # ours
    assert "maskwright have cosine 0.99000" in unequal(record, "one", "theirs")
    assert "maskwright have cosine 0.99000" in unequal(record, "one", "int8")


def test_the_share_of_the_ceiling_is_of_real_tokens_and_of_the_same_round() -> None:
    # 1,100 operations a token of sequences of 20, of whose last layer 19 of 20 tokens spare 400; three passes: 2,160 × 200 of 1e6,
    # 2,160 × 400 of 2e6.
    found = shares(made(), "train")
    assert found is not None
    assert (found.rate.least, found.rate.most) == (pytest.approx(432_000), pytest.approx(864_000))
    assert (found.share.least, found.share.most) == (pytest.approx(0.432), pytest.approx(0.432))
    assert shares(made(), "one") is None  # one sentence at a time is no matter of throughput
    assert [row[0] for row in ceiling_rows(made())] == ["matrix products, bf16", "matrix products, fp32", "train"]


def test_who_was_absent_what_failed_and_what_else_ran_is_said() -> None:
    record = made()
    assert remarks(record) == ["OpenVINO bf16 was left out: openvino not installed: pip install openvino"]
    record["measurements"][2]["load"] = {"others": 0.9, "stolen": None, "queue": [3.0, 3.1]}
    record["measurements"].append({"case": "one", "side": "theirs", "round": 1, "error": "out of memory", "load": {"others": 0, "stolen": 0}})  # fmt: skip
    told = remarks(record)
    assert "one, theirs, round 2 failed: out of memory" in told
    assert told[-1].startswith("1 of 11 measurements were disturbed: other programs used up to 0.90 cores")


def test_a_little_of_others_is_let_pass() -> None:
    assert not disturbed({"others": 0.1, "stolen": 0.01})
    assert disturbed({"others": 0.0, "stolen": 0.05}) and disturbed({"others": 0.5, "stolen": None})


def test_the_page_shows_ratios_as_bars_and_withholds_those_of_unequal_work() -> None:
    record = made()
    text = bench_page(record).html()
    assert "train · theirs, tuned" in text and "3.000 (2.000 to 4.000) ×" in text and "made up" in text
    record["measurements"][6]["check"]["ids"] = "other"
    assert "train · theirs, tuned" not in bench_page(record).html()


def test_a_run_that_was_broken_off_at_once_still_makes_a_table() -> None:
    record = made()
    record["measurements"] = record["measurements"][:3]
    assert rows(record) == [("train, ex/s", "", ""), ("  maskwright", "10.0", "")]
    assert bench_page(record | {"measurements": []}).html()
