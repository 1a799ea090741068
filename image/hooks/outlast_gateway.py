"""Run a command, and pass SIGTERM on to it only when the gateway has drained and gone.

For what stops all containers in the same moment: podman-compose, and a machine that shuts down. TorchServe would forget
what the gateway waits for, and the network that both share would be taken away under the gateway's last answers.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable


def outlast(command: list[str], await_gateway: Callable[[], object]) -> int:
    """Returns when the command has ended, with its exit code as a shell would give it."""
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    with subprocess.Popen(command) as child:

        def end() -> None:
            asked.wait()
            await_gateway()
            child.terminate()

        threading.Thread(target=end, daemon=True).start()
        code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    from await_gateway import await_this_gateway

    sys.exit(outlast(sys.argv[1:], lambda: print(f"SIGTERM: {await_this_gateway()}", flush=True)))
