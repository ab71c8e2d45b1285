"""The first signal asks, the second one stops at once; afterwards signals mean what they meant before."""

import signal
import threading

import pytest

from consingan.training.signals import SIGNALS, StopRequest


@pytest.fixture(autouse=True)
def handlers():
    """A fault in a test must not leave its handlers behind."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests run under nohup
    yield {**before, signal.SIGHUP: signal.SIG_DFL}
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_asks(number):
    with StopRequest() as stop:
        assert stop() is False
        assert stop.number is None
        signal.raise_signal(number)  # no exception
        assert stop() is True
        assert stop.number == number


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_the_second_signal_stops_at_once(first, second):
    with StopRequest() as stop:
        signal.raise_signal(first)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(second)
        assert stop.number == first


def test_all_usual_signals_are_taken():
    assert set(SIGNALS) == {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def test_a_hangup_that_is_ignored_stays_so():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGHUP)
        assert not stop()
        signal.raise_signal(signal.SIGTERM)
        assert stop()


@pytest.mark.parametrize("fault", [None, ValueError, KeyboardInterrupt])
def test_afterwards_the_old_handlers_are_back(handlers, fault):
    seen = []
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: seen.append(number))
    mine = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        with StopRequest():
            assert {number: signal.getsignal(number) for number in SIGNALS} != mine
            signal.raise_signal(SIGNALS[0])
            if fault:
                raise fault
    except (ValueError, KeyboardInterrupt):
        pass
    assert {number: signal.getsignal(number) for number in SIGNALS} == mine
    assert seen == []
    signal.raise_signal(SIGNALS[1])
    assert seen == [SIGNALS[1]]


def test_a_second_request_starts_unasked():
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
    with StopRequest() as again:
        assert stop() is True
        assert again() is False


def test_outside_the_main_thread_it_does_nothing(handlers):
    """Python allows handlers in the main thread only; training from a notebook's thread must work all the same."""
    seen = []

    def work():
        with StopRequest() as stop:
            seen.append((stop(), {number: signal.getsignal(number) for number in SIGNALS}))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, handlers)]
