"""The example of a service: its pictures are the model's, and what can be asked for is bounded."""

import io
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from consingan import SingleImageModel

pytest.importorskip("fastapi", reason="needs pip install 'consingan[service]'")
testclient = pytest.importorskip("fastapi.testclient", reason="needs pip install 'consingan[service]'")
FOLDER = Path(__file__).parent.parent / "examples" / "service"


@pytest.fixture
def service(trained_run, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("CONSINGAN_MODEL", str(trained_run / "model.safetensors"))
    import service

    yield service
    del sys.modules["service"]


@pytest.fixture
def client(service):
    return testclient.TestClient(service.app)


def pixels(answer) -> np.ndarray:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_its_pictures_are_the_models(client, trained_run):
    made = pixels(client.get("/sample?seed=7&size=40x30"))
    ours = SingleImageModel.load(trained_run).sample(1, size=(30, 40), seed=7)[0]
    expected = ((ours + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(made, expected)
    assert not np.array_equal(made, pixels(client.get("/sample?seed=8&size=40x30")))


def test_many_at_once(client, service, monkeypatch):
    monkeypatch.setattr(service, "places", service.threading.BoundedSemaphore(100))
    one_by_one = [client.get(f"/sample?seed={seed}&size=40x30").content for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda seed: client.get(f"/sample?seed={seed}&size=40x30").content, range(6)))
    assert together == one_by_one


@pytest.mark.parametrize(
    "query",
    ["size=4000x4000", "size=8x900", "size=1000x100", "size=big", "size=-4x30", "seed=-1", "seed=4294967296", "seed=x"],
)
def test_what_is_out_of_bounds_is_refused(client, query, service, monkeypatch):
    monkeypatch.setattr(service, "drawn", None)  # nothing is computed
    assert client.get(f"/sample?{query}").status_code == 422


def test_when_all_places_are_taken(client, service, monkeypatch):
    monkeypatch.setattr(service, "places", service.threading.BoundedSemaphore(1))
    service.places.acquire()
    answer = client.get("/sample?size=40x30")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    service.places.release()
    assert client.get("/sample?size=40x30").status_code == 200
    assert client.get("/sample?size=40x30").status_code == 200  # a place is given back


def test_who_waits_too_long_is_sent_away(client, service, monkeypatch):
    monkeypatch.setattr(service, "PATIENCE_S", 0.05)
    monkeypatch.setattr(service, "turns", service.threading.BoundedSemaphore(1))
    service.turns.acquire()
    answer = client.get("/sample?size=40x30")
    assert (answer.status_code, "No turn came" in answer.text) == (503, True)
