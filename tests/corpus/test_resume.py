"""A build that is killed goes on where it was, whatever the moment."""

import json
import subprocess
import sys
from pathlib import Path

from maskwright.text.tokenizer import Tokenizer

SCRIPT = """
import hashlib, os, shutil, signal, sys
from pathlib import Path
from maskwright.corpus.build import build
from maskwright.text.tokenizer import Tokenizer

source, work, options = sys.argv[1], Path(sys.argv[2]), {"shard_bytes": 2_500, "near_duplicates": 0.7}
tokenizer = Tokenizer.load(work / "vocabulary")
os.fsync = lambda file: None  # the process is killed here, not the machine
rename, count, fatal = Path.replace, 0, None

def replace(path, target):
    global count
    count += 1
    if fatal == (count, "before"):
        os.kill(os.getpid(), signal.SIGKILL)
    done = rename(path, target)
    if fatal == (count, "after"):
        os.kill(os.getpid(), signal.SIGKILL)
    return done

Path.replace = replace

def contents(folder):
    return {p.relative_to(folder): hashlib.sha256(p.read_bytes()).digest() for p in sorted(folder.rglob("*")) if p.is_file()}

build(source, work / "whole", tokenizer, **options)
files, wanted = count, contents(work / "whole")
for moment in range(1, files + 1):
    for when in ("before", "after"):
        out = work / f"{moment}-{when}"
        child = os.fork()
        if not child:
            count, fatal = 0, (moment, when)
            build(source, out, tokenizer, **options)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        count = 0
        build(source, out, tokenizer, **options)
        assert contents(out) == wanted, (moment, when)
        assert count <= files - max(0, moment - 5), "what was finished is not made again"
        shutil.rmtree(out)
print(files)
"""


def test_a_build_killed_at_any_file_goes_on_to_the_same_bytes(small: Tokenizer, tmp_path: Path) -> None:
    words = ["cat", "dog", "mat", "cats", "mats", "sat", "ate", "the other"]
    rows = [
        f"the {words[n % 8]} sat on {n} mats. a {words[n * 7 % 5]} ate {n * n}. the end {n % 3}." for n in range(120)
    ]
    rows += [rows[5], rows[100] + " too.", "", "\x01"] + [row + " the other cat." for row in rows[:40]]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    small.save(tmp_path / "vocabulary")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "a.jsonl"), str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 12
