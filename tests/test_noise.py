import subprocess
import sys

import pytest
import torch

from consingan.grid.noise import Draw, mixed, walk


def test_the_same_place_gives_the_same_numbers_and_another_place_others():
    draw = Draw(7, ("sample", 3))
    assert torch.equal(draw.normal((4, 5)), Draw(7, ("sample", 3)).normal((4, 5)))
    others = [Draw(8, ("sample", 3)), Draw(7, ("sample", 4)), Draw(7, ("walk", 3)), draw.at(0)]
    assert not any(torch.equal(draw.normal((4, 5)), other.normal((4, 5))) for other in others)


def test_addresses_do_not_run_together():
    assert not torch.equal(Draw(1).at(1, 23).normal((9,)), Draw(1).at(12, 3).normal((9,)))
    assert not torch.equal(Draw(1).at("1").normal((9,)), Draw(1).at(1).normal((9,)))


def test_the_global_generator_is_neither_used_nor_moved():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first = Draw(1).normal((3,))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(99)
    assert torch.equal(Draw(1).normal((3,)), first)


def test_numbers_are_the_same_in_another_process():
    code = "from consingan.grid.noise import Draw; print(Draw(5, ('a', 1)).normal((3,)).tolist())"
    printed = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout for _ in range(2)]
    assert printed[0].strip() == str(Draw(5, ("a", 1)).normal((3,)).tolist())
    assert printed[0] == printed[1]


def test_distributions():
    normal, uniform = Draw(0).normal((200, 200)), Draw(0).uniform((200, 200))
    assert normal.mean().item() == pytest.approx(0, abs=0.02)
    assert normal.std().item() == pytest.approx(1, abs=0.02)
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.01)
    assert 0 <= uniform.min() < uniform.max() < 1


def test_walk_follows_its_recurrence():
    anchor, draw, alpha, beta = torch.full((1, 1, 2, 2), 3.0), Draw(4), 0.1, 0.8

    def fresh_at(time):
        return draw.at(time).normal(anchor.shape)

    steps = list(walk(anchor, 3, alpha, beta, fresh_at))
    before, now = anchor, 0.99 * anchor + 0.01 * fresh_at("first")
    for frame in range(3):
        fresh = fresh_at(frame)
        after = alpha * anchor + (1 - alpha) * (now + beta * (now - before) + (1 - beta) * fresh)
        before, now = now, after
        torch.testing.assert_close(steps[frame], after)


def test_walk_with_full_pull_stands_still_and_longer_walks_begin_alike():
    anchor = torch.randn(1, 2, 3, 3)

    def fresh(time):
        return Draw(0).at(time).normal(anchor.shape)

    assert all(torch.equal(step, anchor) for step in walk(anchor, 4, 1.0, 0.5, fresh))
    short, long = list(walk(anchor, 2, 0.1, 0.9, fresh)), list(walk(anchor, 5, 0.1, 0.9, fresh))
    assert all(torch.equal(a, b) for a, b in zip(short, long[:2], strict=True))


def test_walk_stays_near_its_anchor():
    anchor = torch.randn(1, 1, 20, 20)
    last = list(walk(anchor, 200, 0.1, 0.9, lambda time: Draw(0).at(time).normal(anchor.shape)))[-1]
    assert (last - anchor).square().mean().sqrt() < 1.5


def test_numbers_for_the_host_are_those_of_the_place():
    draw = Draw(3, ("window", 1))
    assert draw.numbers(2) == draw.uniform((2,)).tolist()
    assert draw.numbers(1) == [draw.uniform().item()]


def test_a_mixture_goes_from_the_picture_to_noise():
    picture, noise = torch.full((1, 3, 2, 2), 0.5), torch.full((2, 3, 2, 2), -1.5)
    assert torch.equal(mixed(picture, noise, 0.0), picture.expand(2, -1, -1, -1))
    assert torch.equal(mixed(picture, noise, 1.0), noise)
    assert torch.equal(mixed(picture, noise, 0.25), torch.zeros(2, 3, 2, 2))
