"""mmdet's and mmseg's own ways of starting a run work with our Runner, with the operators in place first."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.mm
def test_another_tools_script(tmp_path):
    tool = tmp_path / "train.py"
    tool.write_text("import sys, helper, mmcv.ops\nprint(__name__, sys.argv[1:], helper.HERE)\n")
    (tmp_path / "helper.py").write_text("HERE = 'beside the script'\n")
    command = [sys.executable, "-W", "ignore", "-m", "mixpro_bench.compat", str(tool), "a.py", "--resume"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.strip() == "__main__ ['a.py', '--resume'] beside the script", done.stderr


def test_a_missing_script():
    done = subprocess.run([sys.executable, "-m", "mixpro_bench.compat", "nothing.py"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("usage: python -m mixpro_bench.compat TOOL")
