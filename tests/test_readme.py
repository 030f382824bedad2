"""The README's Python is run as it stands, and its table of plugins is what the plugins say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import plugin_table
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


def test_the_table_of_plugins_is_made_from_the_plugins() -> None:
    """Between its marks stands what tests/plugin_table.py makes; POLYPORT_GOLDEN=write writes it anew."""
    text = README.read_text()
    begin, end = re.search(r"<!-- plugins: .*?-->\n", text), text.index("<!-- /plugins -->")
    assert begin is not None
    made = f"{text[: begin.end()]}\n{plugin_table.tables()}\n\n{text[end:]}"
    if os.environ.get("POLYPORT_GOLDEN") == "write":
        README.write_text(made)
    assert README.read_text() == made
