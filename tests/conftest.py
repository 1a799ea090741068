"""Fixtures that every folder of tests may ask for."""

import signal

pytest_plugins = ["tests.torchserve"]

# What nohup makes tests ignore, the processes that they start would ignore too; a handler is not passed on.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)
