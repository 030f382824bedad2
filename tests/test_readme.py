"""The README's Python is run as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_code_in_the_readme_runs(number: int) -> None:
    """Each block runs to its end in a process of its own, with every warning an error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKS[number]], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Traceback" not in done.stderr
