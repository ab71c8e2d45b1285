"""The live page: loopback only, read-only, nothing from outside the run folder, and it ends with the training."""

import http.client
import json
import os
import socket
import stat
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from conftest import TINY, serving

from consingan.command import cli
from consingan.errors import UserError
from consingan.storage.run import Run
from consingan.watch import live


@pytest.fixture
def copy(trained_run, tmp_path) -> Run:
    """A copy of a run with secrets beside it and in it."""
    import shutil

    run = Run(Path(shutil.copytree(trained_run, tmp_path / "runs" / "run")))
    (tmp_path / "secret.html").write_text("secret")
    (tmp_path / "runs" / "secret.html").write_text("secret")
    (run.folder / "link.html").symlink_to(tmp_path / "secret.html")
    (run.folder / "out").symlink_to(tmp_path)
    (run.folder / ".hidden.html").write_text("secret")
    return run


def get(address: str) -> tuple[int, bytes, dict]:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return answer.status, answer.read(), dict(answer.headers)


def raw(address: str, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """A request whose path nobody tidies up."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_how_far_the_training_is_in_the_words_of_the_terminal(copy):
    with closing(live.Live(None, shown=False)) as page:
        page({"event": "started", "run": str(copy.folder)})
        assert json.loads(get(page.address + "progress")[1]) == {"share": 0.0, "text": ""}
        place = {"stage": 1, "stages": 3, "iteration": 40, "iterations": 100, "share": 0.45}
        page({"event": "progress", **place, "left_s": 75.0})
        status, body, headers = get(page.address + "progress")
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert json.loads(body) == {"share": 0.45, "text": "stage 2/3 · iteration 40/100 · 1 min 15 s left"}
        page({"event": "progress", **place, "left_s": None})
        assert json.loads(get(page.address + "progress")[1])["text"] == "stage 2/3 · iteration 40/100"
        assert b'<progress max="1"' in get(page.address)[1]
    assert b"<progress" not in copy.report.read_bytes()


def test_the_page_and_the_files_of_the_run(copy):
    with serving(copy) as address:
        assert address.startswith("http://127.0.0.1:")
        status, body, headers = get(address)
        assert status == 200
        assert b"<body data-live>" in body
        assert headers["Content-Type"].startswith("text/html")
        assert b"connect-src 'self'" in body
        assert b"connect-src" not in copy.report.read_bytes()
        picture = next((copy.samples / "stage_1").rglob("seed*.png"))
        _, body, headers = get(address + picture.relative_to(copy.folder).as_posix())
        assert (body, headers["Content-Type"]) == (picture.read_bytes(), "image/png")
        assert get(address + "config.json")[1] == copy.config.read_bytes()
        assert get(address + "report.html?x=1#y")[1] == copy.report.read_bytes()


TRAVERSAL = [
    "/../secret.html",
    "/../../secret.html",
    "/samples/../../secret.html",
    "/%2e%2e/secret.html",
    "/..%2fsecret.html",
    "/%2e%2e%2fsecret.html",
    "/..%5csecret.html",
    "/..\\secret.html",
    "/samples/%2e%2e/%2e%2e/secret.html",
    "//secret.html",
    "/link.html",
    "/out/secret.html",
    "/out/runs/secret.html",
    "/.hidden.html",
    "/.lock",
    "/%00secret.html",
    "/config.json%00.html",
    "/samples",
    "/samples/",
    "/model.safetensors",
    "/checkpoints/newest.safetensors",
    "/nothing.html",
    "/c:/secret.html",
    "/" + "a" * 5000 + ".html",
    "http://127.0.0.1/../secret.html",
]


@pytest.mark.parametrize("path", TRAVERSAL)
def test_nothing_from_outside_the_run_folder(path, copy):
    with serving(copy) as address:
        status, body = raw(address, path)
        assert status in (403, 404)  # 403: the path itself names another host
        assert b"secret" not in body


def test_an_absolute_path_is_one_below_the_run(copy, tmp_path):
    with serving(copy) as address:
        for path in (str(tmp_path / "secret.html"), "/etc/passwd", "//" + str(tmp_path / "secret.html")):
            assert raw(address, path)[0] == 404


def test_read_only_and_for_this_machine_alone(copy):
    with serving(copy) as address:
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert raw(address, "/config.json", method)[0] == 501
        assert raw(address, "/", Host="evil.example")[0] == 403
        port = urlsplit(address).port
        assert raw(address, "/config.json", Host=f"localhost:{port}")[0] == 200
        assert raw(address, "/config.json", "HEAD") == (200, b"")
        own = [each[4][0] for each in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
        for host in own:
            if not host.startswith("127."):
                with pytest.raises(ConnectionError), socket.create_connection((host, port), timeout=2):
                    pass


def test_it_ends_with_the_block_and_frees_its_port(copy):
    with serving(copy) as address:
        port = urlsplit(address).port
    with pytest.raises(urllib.error.URLError):
        get(address)
    with serving(copy, port) as again:
        assert again == address


def test_the_page_is_renewed_when_the_run_has_news(copy):
    with serving(copy) as address:
        first, version = get(address)[1], get(address + "version")[1]
        assert get(address + "version")[1] == version
        assert get(address)[1] == first
        with open(copy.log, "a") as log:
            log.write('{"event": "message", "text": "some news", "time_s": 1}\n')
        assert get(address + "version")[1] != version
        assert b"some news" in get(address)[1]


def test_a_folder_that_is_gone_is_answered(copy):
    import shutil

    with serving(copy) as address:
        shutil.rmtree(copy.folder)
        assert raw(address, "/")[0] == 503
        assert raw(address, "/config.json")[0] == 404


def test_a_taken_port_is_refused_before_anything_is_made(picture_file, tmp_path):
    with socket.socket() as taken:
        taken.bind((live.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port} cannot be had"):
            live.Live(port)
        command = [str(picture_file), *TINY, "--outdir", str(tmp_path / "runs"), "--live", "--port", str(port)]
        result = CliRunner().invoke(cli.train, command)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: --port")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("flags", "says"), [(["--port", "80"], "give --live too"), (["--live", "--port", "70000"], "1 to 65535")]
)
def test_ports_that_make_no_sense(flags, says, picture_file):
    result = CliRunner().invoke(cli.train, [str(picture_file), *flags])
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_training_is_served_while_it_runs(picture_file, tmp_path, monkeypatch):
    seen = {}

    def show(address):
        seen["address"], seen["page"] = address, get(address)[1].decode()

    monkeypatch.setattr(live, "show", show)
    command = [str(picture_file), *TINY, "--outdir", str(tmp_path), "--live", "--not_cuda"]
    result = CliRunner().invoke(cli.train, command, catch_exceptions=False)
    assert result.exit_code == 0
    assert f"Watch it at {seen['address']}" in result.stderr
    assert "stripes.png" in seen["page"]
    assert "not begun" in seen["page"]
    with pytest.raises(urllib.error.URLError):
        get(seen["address"])


def test_the_browser_is_opened_where_there_is_one(tmp_path, monkeypatch):
    import webbrowser

    opened, program = tmp_path / "opened", tmp_path / "browser"
    program.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(webbrowser, "_tryorder", None)
    monkeypatch.setattr(webbrowser, "open", lambda address: os.system(f"{program} {address}"))
    if os.uname().sysname == "Linux":
        live.show("http://127.0.0.1:1/")  # no screen: nothing is started
        time.sleep(0.2)
        assert not opened.exists()
    monkeypatch.setenv("DISPLAY", ":0")
    live.show("http://127.0.0.1:1/")
    for _ in range(100):
        if opened.exists() and opened.read_text():
            break
        time.sleep(0.05)
    assert opened.read_text().strip() == "http://127.0.0.1:1/"

    def broken(address):
        raise RuntimeError("no browser")

    monkeypatch.setattr(webbrowser, "open", broken)
    live.show("http://127.0.0.1:1/")  # never fails
