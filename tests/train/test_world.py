"""One process and several see the same examples and compute the same gradients; a process that ends, ends all."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import config, steps
from safetensors.torch import load_file

from maskwright.corpus.store import Corpus
from maskwright.report.log import read_log

SCRIPT = Path(__file__).with_name("worlds.py")
PLAIN = {"layers": 1, "width": 32, "heads": 2, "positions": 64, "dropout": 0.0, "attention_dropout": 0.0}
LIMIT = 120


def run_processes(
    corpus: Corpus,
    out: Path,
    processes: int,
    fault: str = "",
    changes: dict[str, Any] = {},  # noqa: B006
    **train: object,
) -> subprocess.CompletedProcess:
    out.mkdir(parents=True)
    values = {"encoder": PLAIN, "held_out": 0.1, **changes}
    given = config(corpus.folder, out / "run", {"steps": 4, "lr": 1e-3, **train}, **values)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return subprocess.run(
        [*command, str(SCRIPT), given.model_dump_json(), str(out), *([fault] if fault else [])],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


@pytest.mark.parametrize(
    ("changes", "several"),
    [
        ({}, (2, 4)),
        ({"weighting": "loss-softmax"}, (2,)),
        ({"weighting": "grad-plus"}, (4,)),
        ({"objectives": "rtd", "encoder": PLAIN | {"family": "electra"}}, (2,)),
    ],
    ids=["fixed weights", "weights by loss", "weights by gradient", "draws of a generator"],
)
def test_one_process_and_several_see_the_same_samples_and_gradients(
    changes: dict[str, Any], several: tuple[int, ...], small_corpus: Corpus, tmp_path: Path
) -> None:
    found = {}
    for processes in (1, *several):
        out = tmp_path / str(processes)
        done = run_processes(small_corpus, out, processes, changes=changes)
        assert done.returncode == 0, done.stderr
        shares = [json.loads((out / f"seen-{rank}.json").read_text()) for rank in range(processes)]
        assert all(share != shares[0] for share in shares[1:])
        seen = {step: sorted(number for share in shares for number in share[step]) for step in shares[0]}
        found[processes] = seen, load_file(out / "gradients.safetensors"), steps(out / "run")
    seen, gradients, log = found[1]
    assert len(gradients) > 4 * 20
    for other_seen, other_gradients, other_log in (found[processes] for processes in several):
        assert other_seen == seen
        assert other_gradients.keys() == gradients.keys()
        for name, gradient in gradients.items():
            scale = float(gradient.abs().max())
            torch.testing.assert_close(other_gradients[name], gradient, rtol=0, atol=1e-5 * scale + 1e-9)
        for mine, theirs in zip(log, other_log, strict=True):
            assert theirs["loss"] == pytest.approx(mine["loss"], rel=1e-5)
            assert theirs.get("tokens") == mine.get("tokens")
            assert theirs["accuracy"] == mine["accuracy"]
            if mine["kind"] == "step":
                assert theirs.get("weights") == pytest.approx(mine.get("weights"), rel=1e-6)


@pytest.mark.parametrize(("fault", "said"), [("die", "SIGKILL"), ("raise", "this process has no memory left")])
def test_one_dead_rank_ends_all_with_its_error(small_corpus: Corpus, tmp_path: Path, fault: str, said: str) -> None:
    began = time.monotonic()
    done = run_processes(small_corpus, tmp_path / "out", 2, fault)
    assert done.returncode != 0
    assert said in done.stderr
    assert time.monotonic() - began < LIMIT / 2
    assert not list((tmp_path / "out").glob("seen-*"))


def test_a_loss_that_is_not_finite_in_one_process_stops_all_before_the_model_moves(
    small_corpus: Corpus, tmp_path: Path
) -> None:
    done = run_processes(small_corpus, tmp_path / "out", 2, lr=1e38)
    assert done.returncode != 0
    assert "The model was not changed" in done.stderr
    records = read_log(tmp_path / "out" / "run" / "log.jsonl")
    assert records[-1]["reason"] == "stopped: not finite"
    assert len(list((tmp_path / "out" / "run" / "bad").glob("*-rank-*.json"))) == 2
