"""Ctrl-C that waits for the end of what is being shown."""

import os
import signal
import threading

import pytest

from gptcli.show.terminal.interrupt import Interrupt


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_waits_for_the_check() -> None:
    done = []

    def work() -> None:
        with Interrupt() as interrupt:
            interrupt.check()
            press()
            done.append("it waited")
            interrupt.check()
            done.append("never")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["it waited"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_does_not_wait() -> None:
    done = []

    def work() -> None:
        with Interrupt():
            press()
            done.append("it waited")
            press()
            done.append("never")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["it waited"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_meaning_is_left_alone() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt:
            press()
            interrupt.check()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_a_thread_nothing_is_changed() -> None:
    seen: list[object] = []

    def work() -> None:
        with Interrupt() as interrupt:
            interrupt.check()
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
