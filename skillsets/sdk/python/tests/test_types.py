"""The package is typed: what it has and what its tests do with it passes mypy --strict."""

import pathlib
import subprocess
import sys

import troupe_skillset

TESTS = pathlib.Path(__file__).parent


def test_is_typed_strictly(tmp_path: pathlib.Path) -> None:
    package = pathlib.Path(troupe_skillset.__file__).parent
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", f"--cache-dir={tmp_path}", str(package),
                           *map(str, sorted(TESTS.glob("*.py")))], cwd=package.parent, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
