import http.client
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_run import make_records
from test_report_page import checked

from maskwright.errors import InputError
from maskwright.report.history import Followed
from maskwright.report.log import RunLog
from maskwright.report.run import run_page
from maskwright.report.watch import Watch, pace


@pytest.fixture
def log(tmp_path: Path) -> Iterator[RunLog]:
    with RunLog(tmp_path / "run" / "log.jsonl") as log:
        log.write("start", name="Watched", steps=50)
        log.write("step", step=1, loss=2.0)
        yield log


@pytest.fixture
def watch(log: RunLog) -> Iterator[Watch]:
    run = Followed("run", log.path)

    def draw():
        run.look()
        return run_page(run.history, now=time.time()), pace([run], time.time())

    with Watch(draw) as watch:
        thread = threading.Thread(target=watch.serve)
        thread.start()
        yield watch
        watch._server.shutdown()
        thread.join()


def ask(watch: Watch, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", int(watch.url.rstrip("/").rpartition(":")[2]), timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body, dict(answer.getheaders())


def test_each_request_shows_the_run_as_it_is(watch, log):
    assert "step 1 of 50" in ask(watch)[1]
    log.write("step", step=7, loss=1.5)
    assert "step 7 of 50" in ask(watch)[1]


def test_the_page_asks_again_until_the_run_has_ended(watch, log, monkeypatch):
    assert 'data-again="5"' in ask(watch)[1]
    log.write("end", reason="finished", seconds=3.0)
    assert 'data-again="30"' in ask(watch)[1], "it may be scored yet"
    late = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: late)
    assert "data-again" not in ask(watch)[1]


def test_the_one_script_is_allowed_by_its_hash_and_nothing_from_elsewhere(watch):
    html = ask(watch)[1]
    checker = checked(html.replace("<script>", "<pre>").replace("</script>", "</pre>"))
    (policy,) = (a["content"] for tag, a in checker.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert re.search(r"default-src 'none'.*script-src 'sha256-[\w+/]{43}='; connect-src 'self'$", policy)
    assert html.count("<script>") == 1 and "unsafe-inline" not in policy.partition("script-src")[2]
    assert not re.search(r"src\s*=|url\s*\(|@import|https?://(?!www.w3.org/2000/svg)", html)


def test_nothing_but_the_page_is_answered_and_only_under_this_machines_name(watch):
    assert ask(watch, "/log.jsonl")[0] == 404 and ask(watch, "/../log.jsonl")[0] == 404
    assert ask(watch, method="POST")[0] == 501
    assert ask(watch, Host="evil.example")[0] == 421 and ask(watch, Host="")[0] == 421
    port = watch.url.rstrip("/").rpartition(":")[2]
    assert ask(watch, Host=f"localhost:{port}")[0] == 200
    headers = ask(watch)[2]
    assert headers["Cache-Control"] == "no-store" and headers["Server"] == "maskwright"
    assert watch._server.server_address[0] == "127.0.0.1"


def test_damage_that_comes_while_watching_is_shown_and_asked_for_again(watch, log):
    ask(watch)
    with log.path.open("a") as file:
        file.write("{torn\n")
    status, html, _ = ask(watch)
    assert status == 200 and "log.jsonl, line 3: not a record" in html and 'data-again="30"' in html


def test_a_page_that_takes_long_to_draw_is_asked_for_less_often():
    page = run_page(make_records(5, 5), now=0.0)

    def slow():
        time.sleep(0.5)
        return page, 5.0

    with Watch(slow) as watch:
        assert int(re.search(r'data-again="(\d+)"', watch.html())[1]) >= 10


def test_a_port_that_is_taken_is_explained(watch):
    port = int(watch.url.rstrip("/").rpartition(":")[2])
    for wrong in (port, 99_999):
        with pytest.raises(InputError, match=f"port {wrong} cannot be had.*Leave --port out"):
            Watch(lambda: (run_page([]), 0.0), wrong)
