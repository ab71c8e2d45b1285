"""What can be known of the container files without building them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_container_files(name):
    text = (ROOT / name).read_text()
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY")]
    assert {source for line in copied for source in line} >= {"pyproject.toml", "constraints.txt", "consingan"}
    assert all(list(ROOT.glob(source)) for line in copied for source in line)
    let_through = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in let_through
    assert {f"!{source}" for line in copied for source in line} <= set(let_through)
    (run,) = re.findall(r"^RUN (.*)$", text, re.MULTILINE)
    assert run.startswith("pip install")
    assert run.endswith(
        ". -c constraints.txt"
    )  # the versions that are tested, of the packages that pyproject.toml names
    assert "torchvision" not in text
