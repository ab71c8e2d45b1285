"""A cluster with certificates, configured as docs/cluster.md says, and clients that have none or others."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import TINY

from consingan.batch.errand import run_of

pytest.importorskip("distributed", reason="needs the package distributed (the extra cluster)")
OPENSSL = shutil.which("openssl")
pytestmark = [
    pytest.mark.skipif(OPENSSL is None, reason="needs the command openssl"),
    pytest.mark.slow,
]
ROOT = Path(__file__).parent.parent
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def certificate(folder: Path, name: str, *by: str) -> None:
    """``name.pem`` and ``name.key``, of its own authority or signed by another."""
    how = ("req", "-x509", *KEY, "-days", "2", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
    signed = ("-CA", f"{by[0]}.pem", "-CAkey", f"{by[0]}.key") if by else ()
    subprocess.run([OPENSSL, *how, *signed], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, picture_file) -> Path:
    """Certificates, a folder of one picture, and the configuration of the documentation with the files' own paths."""
    top = tmp_path_factory.mktemp("tls")
    certificate(top, "ca")
    certificate(top, "other")
    for name in ("scheduler", "worker", "client"):
        certificate(top, name, "ca")
    (top / "pictures").mkdir()
    shutil.copy(picture_file, top / "pictures" / "a.png")
    text = (ROOT / "docs" / "cluster.md").read_text()
    (block,) = re.findall(r"^    distributed:\n(?:^     .*\n)+", text, re.MULTILINE)
    (top / "with" / "dask").mkdir(parents=True)
    (top / "without" / "dask").mkdir(parents=True)
    lines = [line.removeprefix("    ") for line in block.splitlines()]
    (top / "with" / "dask" / "distributed.yaml").write_text("\n".join(lines).replace("/etc/consingan", str(top)))
    return top


def environment(folder: Path, config: str, **more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("DASK")}
    return {**own, "DASK_CONFIG": str(folder / config / "dask"), "PYTHONPATH": str(ROOT), **more}


@pytest.fixture(scope="module")
def address(folder):
    """Of a scheduler with one worker, on the loopback."""
    file = folder / "scheduler.json"

    def started(module: str, *words: str) -> subprocess.Popen:
        command = [sys.executable, "-m", f"distributed.cli.{module}", *words, "--host", "127.0.0.1", "--no-dashboard"]
        with open(folder / f"{module}.log", "w") as log:
            return subprocess.Popen(command, env=environment(folder, "with"), stdout=log, stderr=log, cwd=folder)

    scheduler = started("dask_scheduler", "--protocol", "tls", "--port", "0", "--scheduler-file", str(file))
    worker = started("dask_worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-nanny")
    until = time.monotonic() + 60
    while not (file.exists() and file.read_text()) and time.monotonic() < until:
        time.sleep(0.2)
    yield re.findall(r"tls://[\d.:]+", file.read_text())[0]
    for process in (worker, scheduler):
        process.terminate()
        process.wait(timeout=30)


def batch(folder: Path, address: str, config: str, **more: str) -> subprocess.CompletedProcess:
    words = ["batch", "pictures", *TINY, "--not_cuda", "--quiet", "--outdir", config, "--scheduler", address]
    command = [sys.executable, "-m", "consingan", *words]
    variables = environment(folder, config, **more)
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=120)


def test_a_job_goes_through_with_the_certificates_of_the_documentation(folder, address):
    done = batch(folder, address, "with")
    assert (done.returncode, done.stderr) == (0, "")
    assert run_of(folder / "with", "a").model.is_file()


@pytest.mark.parametrize(
    ("certificates", "scheme", "words"),
    [
        (None, "tls", "TLS expects"),
        (("ca", "other"), "tls", "SSL"),
        (("gone", "gone"), "tls", "No such file"),
        (None, "tcp", "cannot be reached"),
    ],
    ids=["none", "another authority's", "files that are not there", "not encrypted"],
)
def test_a_client_without_its_certificate_ends_in_a_sentence(folder, address, certificates, scheme, words):
    more = {}
    if certificates:
        files = {"CA_FILE": f"{certificates[0]}.pem"}
        files |= {"CLIENT__CERT": f"{certificates[1]}.pem", "CLIENT__KEY": f"{certificates[1]}.key"}
        more = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(folder / file) for name, file in files.items()}
    there = address.replace("tls", scheme)
    begun = time.monotonic()
    done = batch(folder, there, "without", **more)
    assert time.monotonic() - begun < 25
    assert done.returncode == 2
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith(f"Error: --scheduler {there} cannot be reached (")
    assert words in sentence
    assert "certificates in Dask's configuration" in sentence
