"""The made-up run of made_run.py, and the ledger of its corpus."""

import pytest
from made_run import make_records


@pytest.fixture(scope="session")
def records() -> list[dict]:
    return make_records()


@pytest.fixture
def ledger() -> dict:
    return {
        "documents": {"read": 12_480, "kept": 11_902, "dropped": {"duplicate": 431, "empty": 96, "too short": 51}},
        "bytes": {
            "read": 48_219_377, "kept": 46_820_112,
            "dropped": {"duplicate": 1_380_002, "empty": 0, "too short": 4_011, "bad encoding": 15_252},
        },
        "sentences": 391_204, "tokens": 10_118_903,
    }  # fmt: skip
