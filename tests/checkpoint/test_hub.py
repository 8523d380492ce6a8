"""A name is a folder, or a repository of the hub; never code, never a pickle."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from maskwright.checkpoint.hub import resolve
from maskwright.errors import CheckpointError
from maskwright.model import Model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tiny: Callable[..., Model], tmp_path: Path) -> Iterator[str]:
    """A hub on this machine with one repository, org/name, that also holds a pickle and code."""
    folder = tmp_path / "served"
    tiny(("pooler",)).save(folder)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "modeling.py").write_text("raise SystemExit")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            file = folder / Path(self.path).name
            if self.path.startswith("/api/models/org/name/tree"):
                found = [(path.name, path.stat().st_size) for path in folder.iterdir()]
                entries = [{"type": "file", "path": name, "size": size, "oid": name} for name, size in found]
                self.answer(json.dumps(entries).encode())
            elif self.path.startswith("/api/models/org/name"):
                siblings = [{"rfilename": path.name} for path in folder.iterdir()]
                self.answer(json.dumps({"id": "org/name", "sha": COMMIT, "siblings": siblings}).encode())
            elif self.path.startswith("/org/name/resolve/") and file.is_file():
                self.answer(file.read_bytes())
            else:
                self.answer(b"{}", 404)

        do_HEAD = do_GET

        def answer(self, body: bytes, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", hashlib.sha256(body).hexdigest())
            self.send_header("X-Repo-Commit", COMMIT)
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_repository_is_fetched_and_loaded_without_its_pickles_and_code(hub: str, tmp_path: Path) -> None:
    script = (
        "import sys; from maskwright.checkpoint.hub import resolve; from maskwright.model import load\n"
        "print(sorted(load('org/name').net.heads), *sorted(p.name for p in resolve('org/name').iterdir()))\n"
        "try: resolve('org/other')\nexcept Exception as error: print(type(error).__name__, error)"
    )
    asks = {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=os.environ | asks, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    loaded, missing = done.stdout.splitlines()[:2]
    assert loaded.split("] ")[0] == "['pooler'"
    assert set(loaded.split("] ")[1].split()) == {"config.json", "maskwright.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"}  # fmt: skip
    assert missing.startswith("CheckpointError org/other: no such folder, and the hub says")


def test_a_folder_wins_over_a_repository_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert resolve("org/name") == Path("org/name")


def test_offline_the_error_says_what_was_tried(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nobody/nothing: no such folder, not in the local cache, and the hub"):
        resolve("nobody/nothing")


@pytest.mark.parametrize("name", ["no such folder", "a/b/c", "/tmp/none/such", "../up/there", "org/na me"])
def test_what_is_neither_a_folder_nor_a_repository_name_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match="no such folder, and not the name of a hub repository"):
        resolve(name)


def test_a_file_is_refused_with_its_folder_in_mind(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is a file; give the model folder that it lies in"):
        resolve(tmp_path / "model.safetensors")
