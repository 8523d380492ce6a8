"""A benchmark as ``bench.json`` holds it, of two cases, two rounds and four sides: numbers chosen to be worked by hand."""

from typing import Any

QUIET = {"others": 0.01, "stolen": 0.0, "queue": [0.1, 0.2]}


def one(case: str, side: str, turn: int, seconds: float, amount: float, laps: int = 10, **check: Any) -> dict[str, Any]:
    return {
        "case": case, "side": side, "round": turn, "seconds": seconds, "amount": amount, "laps": laps,
        "median_lap": seconds / laps, "check": check, "load": dict(QUIET),
    }  # fmt: skip


def side(name: str, rough: bool = False) -> dict[str, Any]:
    return {"name": name, "make": "", "needs": [], "install": "", "rough": rough}


def case(title: str, unit: str, by: str, sides: list[str], **more: Any) -> dict[str, Any]:
    return {
        "title": title, "unit": unit, "by": by, "scale": 1.0, "cosine": 0.0, "texts": "long", "length": 100, "network": "n",
        "lower_is_better": by != "rate", "sides": [side(name, name == "int8") for name in sides], **more,
    }  # fmt: skip


def made() -> dict[str, Any]:
    """Training: 200 and 400 tokens a second against 50 and 200.  Encoding: 2 ms against 4 and 3."""
    same = {"ids": "abc", "losses": [0.7, 0.6]}
    return {
        "schema": 1,
        "command": "maskwright bench",
        "asked": {"rounds": 2},
        "machine": {"processor": "made up"},
        "versions": {"torch": "2.13"},
        "cases": {
            "train": case("train", "ex/s", "rate", ["maskwright", "theirs", "theirs, tuned"]),
            "one": case("one sentence", "ms", "median", ["maskwright", "theirs", "int8"], scale=1e3, cosine=0.999),
        },
        "absent": {"OpenVINO bf16": "openvino not installed: pip install openvino"},
        "networks": {
            "n": {"flops": {"100": [[10, 1000], [100, 1900]]}, "spared": {"100": 400}, "width": 8, "vocabulary": 50}
        },
        "texts": {"long-100": {"rows": 9, "mean": 20.0, "median": 18, "longest": 100, "seen": 20.0}},
        "measurements": [
            one("ceiling", "maskwright", 0, 1, 1, bf16=1e6, fp32=5e5, ours="bf16"),
            one("ceiling", "maskwright", 1, 1, 1, bf16=2e6, fp32=5e5, ours="bf16"),
            one("train", "maskwright", 0, 10, 2_000, **same),
            one("train", "theirs", 0, 10, 500, **same),
            one("train", "maskwright", 1, 10, 4_000, **same),
            one("train", "theirs", 1, 10, 2_000, **same),
            one("train", "theirs, tuned", 1, 10, 2_000, **same),
            one("one", "maskwright", 0, 0.02, 10, cosine={"mean": 0.9999, "least": 0.999}),
            one("one", "theirs", 0, 0.04, 10, cosine={"mean": 1.0, "least": 1.0}),
            one("one", "int8", 0, 0.03, 10, cosine={"mean": 0.94, "least": 0.9}),
        ],
    }
