"""Pre-train as the JSON in argv says and print how far memory rose above where it was before: a script for a process alone."""

import json
import re
import sys
from pathlib import Path

import torch

from maskwright.config import PretrainConfig
from maskwright.train.pretrain import pretrain


def status(field: str) -> int:
    """Bytes of a field of /proc/self/status."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


if __name__ == "__main__":
    torch.set_num_threads(1)
    before = status("VmRSS")
    pretrain(PretrainConfig.of(json.loads(sys.argv[1])))
    print(status("VmHWM") - before)
