"""A small HTTP service that samples one trained model.

    pip install '.[service]'
    CONSINGAN_MODEL=RUN/model.safetensors uvicorn --app-dir examples/service service:app

``GET /sample?seed=7&size=400x200`` answers with a PNG. What a stranger can ask for is bounded: the size, how many are
computed at once, how many wait, and how long one waits. A picture that is being computed is computed to its end: its
time is bounded by ``LARGEST`` and ``LONGEST``.
"""

import io
import os
import threading
from functools import cache
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Response
from PIL import Image

from consingan import SingleImageModel, UserError

LARGEST = 1024 * 1024  # pixels of a picture
LONGEST = 8  # times the shorter side: the photo is shown as small as that is, and all of a long picture is searched
AT_ONCE = 2  # pictures that are computed at the same time
WAITING = 8  # requests that may wait for their turn
PATIENCE_S = 20.0  # for which one waits

app = FastAPI(title="New pictures of one picture")
turns = threading.BoundedSemaphore(AT_ONCE)
places = threading.BoundedSemaphore(AT_ONCE + WAITING)


@cache
def model() -> SingleImageModel:
    """The model of the environment variable CONSINGAN_MODEL, read at the first request."""
    return SingleImageModel.load(os.environ["CONSINGAN_MODEL"])


@app.get("/sample", response_class=Response, responses={200: {"content": {"image/png": {}}}})
def sample(
    seed: Annotated[int, Query(ge=0, lt=2**32)] = 0,
    size: Annotated[str, Query(pattern=r"^[0-9]{1,4}x[0-9]{1,4}$", description="WIDTHxHEIGHT in pixels")] = "256x192",
) -> Response:
    """A new picture; the same seed and size give the same one. FastAPI calls this in a thread of its own."""
    width, height = map(int, size.split("x"))
    least, most = sorted((width, height))
    if least < 16 or most > LONGEST * least or width * height > LARGEST:
        bounds = f"sides from 16 px, one at most {LONGEST} times the other, and at most {LARGEST} pixels"
        raise HTTPException(422, f"size is {size}; give {bounds}.")
    if not places.acquire(blocking=False):
        raise HTTPException(503, "Too many requests are waiting; try again later.", {"Retry-After": "5"})
    try:
        if not turns.acquire(timeout=PATIENCE_S):
            raise HTTPException(503, "No turn came in time; try again later.", {"Retry-After": "5"})
        try:
            return Response(drawn(seed, (height, width)), media_type="image/png")
        finally:
            turns.release()
    finally:
        places.release()


def drawn(seed: int, size: tuple[int, int]) -> bytes:
    """A sample as PNG."""
    try:
        picture = model().sample(1, size=size, seed=seed)[0]
    except UserError as error:
        raise HTTPException(422, str(error)) from error
    pixels = ((picture.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    held = io.BytesIO()
    Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]).save(held, "PNG")
    return held.getvalue()
