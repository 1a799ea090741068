"""The stand-in for Python that TorchServe calls."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WORKER = Path(__file__).resolve().parents[2] / "stack" / "worker.py"


def run(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", WORKER, script, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_torchserve_is_imported_without_torch(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "import ts.model_service_worker\n"
        "print('torch' in sys.modules, sys.argv[1:], __name__)\n"
        "from importlib.util import find_spec\n"
        "print(find_spec('torch') is not None)\n"
    )
    told = run(script, "--port", "9000")
    assert told.stdout.splitlines() == ["False ['--port', '9000'] __main__", "True"], told.stderr


def test_whoever_needs_torch_gets_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from ts.protocol.otf_message_handler import create_predict_response\n"
        "import torch\n"
        "from ts.context import Context, RequestProcessor\n"
        "context = Context('lesion', '', {}, 1, None, '0')\n"
        "context.request_processor = [RequestProcessor({})]\n"
        "answer = create_predict_response([torch.ones(2)], {0: 'id'}, 'ok', 200, context=context)\n"
        "print(len(answer) > 100)\n"
    )
    told = run(script)
    assert told.stdout.strip() == "True", told.stderr


def test_only_what_matters_is_printed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import logging\n"
        "logging.info('Backend received inference at: 1')\n"
        "logging.info('[PID]42')\n"
        "logging.info('Torch worker started.')\n"
        "logging.getLogger('ts.metrics.caching_metric').info('[METRICS]a.count:1|#Level:Model')\n"
        "logging.error('something broke')\n"
    )
    assert run(script).stdout.splitlines() == [
        "[PID]42",
        "Torch worker started.",
        "[METRICS]a.count:1|#Level:Model",
        "something broke",
    ]
