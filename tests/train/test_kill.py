"""SIGKILL at random moments, again and again, then resume: the weights of a run that nothing happened to."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from runs import config, steps, weights

from maskwright.corpus.store import Corpus
from maskwright.train.pretrain import pretrain


def test_killed_again_and_again_and_resumed_is_bitwise_the_same(small_corpus: Corpus, tmp_path: Path) -> None:
    # A checkpoint every step, so that many kills fall into the middle of one.
    train = {"steps": 60, "save_every": 1}
    pretrain(config(small_corpus.folder, tmp_path / "whole", train))
    killed = tmp_path / "killed"
    given = config(small_corpus.folder, killed, train).model_dump_json()
    command = [sys.executable, str(Path(__file__).with_name("runs.py")), given, str(torch.get_num_threads())]
    chance = random.Random(0)
    kills = 0
    while True:
        before = _log_size(killed)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while _log_size(killed) <= before and process.poll() is None:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.4))
        if kills < 4 and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
        break
    assert kills == 4
    assert weights(killed, 60) == weights(tmp_path / "whole", 60)
    assert steps(killed) == steps(tmp_path / "whole")
    model = "model/model.safetensors"
    assert (killed / model).read_bytes() == (tmp_path / "whole" / model).read_bytes()
    assert json.loads(given)["train"]["save_every"] == 1


def _log_size(run: Path) -> int:
    log = run / "log.jsonl"
    return log.stat().st_size if log.exists() else 0
