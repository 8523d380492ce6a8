import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maskwright.corpus.build import add_tokens, build
from maskwright.corpus.engine import WorkerDiedError, in_order
from maskwright.errors import DataError, InputError
from maskwright.text.tokenizer import Tokenizer


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = [f"The cat sat on {n} mats.\nA dog ate {n * 7 % 60}. The other {n % 9} cats too." for n in range(400)]
    rows += rows[:40] + [row.replace("The cat", "A cat") for row in rows[50:90]] + [" ", "\x01\x02", "cats\x00"]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    return path


def double_or_die(value: int) -> int:
    if value == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    if value == 5:
        raise DataError("five", file="a.txt", line=3)
    return 2 * value


@pytest.mark.parametrize("processes", [0, 2])
def test_results_come_in_order_and_errors_where_they_belong(processes: int) -> None:
    assert list(in_order(double_or_die, [(n, n) for n in range(5)], processes)) == [(n, 2 * n) for n in range(5)]
    results = in_order(double_or_die, [(n, n) for n in range(7)], processes)
    assert [next(results) for _ in range(5)] == [(n, 2 * n) for n in range(5)]
    with pytest.raises(DataError, match=r"a\.txt, line 3: five"):
        next(results)


def test_a_killed_worker_ends_the_build_with_its_name() -> None:
    with pytest.raises(WorkerDiedError, match="a worker process died"):
        list(in_order(double_or_die, [(n, n) for n in (1, 2, 7, 8, 9)], 2))


def test_any_number_of_processes_writes_the_same_bytes(
    small: Tokenizer, other: Tokenizer, source: Path, tmp_path: Path
) -> None:
    for processes in (0, 1, 2):
        out = tmp_path / str(processes)
        corpus = build(source, out, small, shard_bytes=6_000, near_duplicates=0.8, processes=processes)
        add_tokens(out, other, processes=processes)
    assert files_of(tmp_path / "0") == files_of(tmp_path / "1") == files_of(tmp_path / "2")
    assert len(corpus.manifest.shards) > 2
    assert corpus.ledger.documents_dropped["duplicate"] == 40


BUILD = """
import sys
from pathlib import Path
from maskwright.corpus.build import build
from maskwright.text.tokenizer import Tokenizer

if __name__ == "__main__":
    source, out, vocabulary, processes = sys.argv[1:]
    build(source, out, Tokenizer.load(vocabulary), shard_bytes=20_000, processes=int(processes))
    print(*sys.modules)
"""


def start(folder: Path, *given: object) -> subprocess.Popen[str]:
    (folder / "script.py").write_text(BUILD)
    return subprocess.Popen(
        [sys.executable, str(folder / "script.py"), *map(str, given)], stdout=subprocess.PIPE, text=True
    )


def lives(process: int) -> bool:
    """Whether it runs; one that has ended and was not asked for its result does not."""
    state = Path(f"/proc/{process}/stat")
    try:
        return state.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(process: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system does not list processes in /proc")
def test_a_killed_build_leaves_no_process_and_the_next_one_goes_on(small: Tokenizer, tmp_path: Path) -> None:
    rows = [f"The cat sat on {n} mats. A dog ate {n * 7}. The other {n % 9} cats too.\n" * 9 for n in range(1_500)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    small.save(tmp_path / "vocabulary")
    given = (tmp_path / "a.jsonl", tmp_path / "out", tmp_path / "vocabulary")
    parent = start(tmp_path, *given, 2)
    # With the journal of two shards the workers are at work.
    until = time.monotonic() + 60
    while len(list((tmp_path / "out").glob("tokens-*.arrow"))) < 2:
        assert parent.poll() is None and time.monotonic() < until
        time.sleep(0.005)
    workers = children(parent.pid)
    assert len(workers) >= 2 and all(map(lives, workers))
    with parent:
        parent.kill()
    until = time.monotonic() + 60  # one of them may still be starting
    while (left := [worker for worker in workers if lives(worker)]) and time.monotonic() < until:
        time.sleep(0.02)
    for worker in left:
        os.kill(worker, signal.SIGKILL)
    assert not left, "they still run"
    assert (tmp_path / "out" / "build.json").exists() and not (tmp_path / "out" / "manifest.json").exists()
    whole = sorted((tmp_path / "out").glob("text-*.arrow"))[0]
    written = whole.stat().st_mtime_ns
    build(given[0], given[1], small, shard_bytes=20_000)
    assert whole.stat().st_mtime_ns == written
    build(given[0], tmp_path / "straight", small, shard_bytes=20_000)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "straight")


def test_a_build_imports_nothing_large_that_it_does_not_need(small: Tokenizer, source: Path, tmp_path: Path) -> None:
    small.save(tmp_path / "vocabulary")
    done = start(tmp_path, source, tmp_path / "out", tmp_path / "vocabulary", 1)
    modules = set(done.communicate()[0].split())
    assert done.returncode == 0 and "pyarrow" in modules
    large = {"torch", "pandas", "fsspec", "asyncio", "pyarrow.compute", "pyarrow.parquet", "concurrent.futures"}
    assert not modules & large
    worker = "import sys; import maskwright.corpus.prepare, maskwright.corpus.engine; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", worker], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy" in loaded and not set(loaded) & {*large, "pyarrow"}


def test_ray_writes_the_same_bytes_and_refuses_a_single_cpu(
    small: Tokenizer, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(InputError, match="Ray has 1 CPU here; with fewer than 2 it may wait for ever"):
        build(source, tmp_path / "none", small, engine="ray", processes=1)
    build(source, tmp_path / "ray", small, shard_bytes=6_000, engine="ray", processes=2)
    build(source, tmp_path / "local", small, shard_bytes=6_000)
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "local")


def test_a_corpus_goes_to_a_url_with_its_manifest(
    small: Tokenizer, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))

    corpus = build(source, f"file://{tmp_path}/far/corpus", small, shard_bytes=6_000)
    assert files_of(tmp_path / "far" / "corpus") == files_of(corpus.folder)
    with pytest.raises(InputError, match="already holds a corpus"):
        build(source, f"file://{tmp_path}/far/corpus", small, shard_bytes=6_000)
    with pytest.raises(InputError, match="cannot be written to"):
        build(source, "nowhere://a/b", small)
    fsspec.core.url_to_fs(f"file://{tmp_path}/far/corpus")[0].get(
        f"{tmp_path}/far/corpus", str(tmp_path / "near"), recursive=True
    )
    assert files_of(tmp_path / "near") == files_of(corpus.folder)
