"""`python -m stack pod`: both programs in one container, each started again, and ended one after the other."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from stack import pod

# Each says what happens to it, with its process id; the first takes its time when told to end, as a drain does.
FIRST = "trap 'sleep 1; echo first drained; exit' TERM; echo first $$; while :; do sleep 0.05; done"
SECOND = "sleep 600 & echo second $$ $!; trap 'echo second told; exit' TERM; while :; do sleep 0.05; done"


@contextlib.contextmanager
def running(*scripts: str, before: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    commands = {str(number): ["bash", "-c", script] for number, script in enumerate(scripts)}
    program = f"import json, sys; from stack import pod; sys.exit(pod.run(json.loads({json.dumps(commands)!r})))"
    words = [*before, sys.executable, "-c", program]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        patience = threading.Timer(60, process.kill)
        patience.start()
        try:
            yield process
        finally:
            process.terminate()
            patience.cancel()


def line(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout
    return process.stdout.readline().split()


def gone(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    return True


def test_a_signal_that_another_thread_receives_ends_it_too() -> None:
    with running(FIRST, SECOND) as process:
        assert {line(process)[0], line(process)[0]} == {"first", "second"}
        threads = [int(thread.name) for thread in Path(f"/proc/{process.pid}/task").iterdir()]
        os.kill(max(threads), signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_gateway_ends_first(number: signal.Signals) -> None:
    assert list(pod.COMMANDS) == ["gateway", "torchserve"]
    with running(FIRST, SECOND) as process:
        assert {line(process)[0], line(process)[0]} == {"first", "second"}
        process.send_signal(number)
        assert [line(process), line(process)] == [["first", "drained"], ["second", "told"]]
        assert process.wait(10) == 0


def test_under_nohup_it_outlives_its_terminal() -> None:
    with running(FIRST, before=["nohup"]) as process:
        assert line(process)[0] == "first"
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGUSR1)
        assert process.wait(10) == -signal.SIGUSR1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_nothing_outlives_it_when_it_is_killed() -> None:
    with running(FIRST, FIRST) as process:
        assert [line(process)[0], line(process)[0]] == ["first", "first"]
        process.kill()
        assert [line(process), line(process)] == [["first", "drained"]] * 2


def test_what_ends_is_started_again_without_the_other_and_leaves_nothing() -> None:
    with running(FIRST, SECOND) as process:
        started = dict(sorted((words[0], words[1:]) for words in (line(process), line(process))))
        killed, worker = (int(pid) for pid in started["second"])
        os.kill(killed, signal.SIGKILL)
        again = line(process)
        assert again[0] == "second"
        assert int(again[1]) != killed
        assert gone(worker)
        assert not gone(int(started["first"][0]))
        process.terminate()
        assert process.stderr
        assert "stack: 1 ended by itself (-9): once more in 0.2 s" in process.stderr.read()


def test_what_ends_is_started_again_though_nobody_reads_that() -> None:
    with running("echo tried; exit 3") as process:
        assert process.stderr
        process.stderr.close()
        assert [line(process) for _ in range(3)] == [["tried"]] * 3
        process.send_signal(signal.SIGTERM)
        process.wait(5)


def test_what_cannot_live_is_tried_less_and_less_often() -> None:
    with running("echo tried; exit 3") as process:
        began = time.monotonic()
        assert [line(process) for _ in range(4)] == [["tried"]] * 4
        assert time.monotonic() - began >= 0.2 + 0.4 + 0.8
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
