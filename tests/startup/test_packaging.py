"""What a build contains, and what installing and uninstalling it does to an environment."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.helpers import ROOT, child_environment, make_environment, pip, run_child

pytestmark = pytest.mark.slow

HOOK = "asyncscope_hook.pth"
BUILD = "import sys; from hatchling import build; print(getattr(build, sys.argv[1])(sys.argv[2]))"
STARTED = "import sys; print('autoinstrument._boot' in sys.modules)"


def build(kind: str, source: Path, folder: Path) -> Path:
    """Call the build back end as pip does and return the file that it made."""
    done = run_child("-c", BUILD, kind, folder, cwd=source, timeout_s=120)
    assert done.status == 0, done.err
    return folder / done.out.split()[-1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Build every kind of distribution from the checkout."""
    folder = tmp_path_factory.mktemp("built")
    sdist = build("build_sdist", ROOT, folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    places = {name: folder / name for name in ("wheel", "editable", "sdist")}
    for place in places.values():
        place.mkdir()
    return {
        "wheel": build("build_wheel", ROOT, places["wheel"]),
        "editable": build("build_editable", ROOT, places["editable"]),
        "sdist": build("build_wheel", unpacked, places["sdist"]),
    }


def site_of(python: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(run_child("-c", code, python=python).out.strip())


@pytest.mark.parametrize("kind", ["wheel", "editable", "sdist"])
def test_install_starts_and_uninstall_removes(
    kind: str, built: dict[str, Path], tmp_path: Path
) -> None:
    python = make_environment(tmp_path / "env", dependencies=False)
    pip(python, "install", "--no-index", "--no-deps", built[kind])
    site = site_of(python)
    assert (site / HOOK).read_text() == (ROOT / HOOK).read_text()
    on = {"ASYNCSCOPE_ENABLE": "1"}
    elsewhere = tmp_path / "env"
    for env, expected in (({}, "False\n"), (on, "True\n")):
        child = run_child("-c", STARTED, python=python, env=env, cwd=elsewhere)
        assert (child.status, child.out, child.err) == (0, expected, "")
    pip(python, "uninstall", "--yes", "asyncscope")
    assert list(site.glob("*asyncscope*")) == []  # pip removes the empty folder, too
    child = run_child("-c", STARTED, python=python, env=on, cwd=elsewhere)
    assert (child.status, child.out, child.err) == (0, "False\n", "")


def test_wheels_of_checkout_and_sdist_are_the_same(built: dict[str, Path]) -> None:
    names = []
    for kind in ("wheel", "sdist"):
        with zipfile.ZipFile(built[kind]) as archive:
            names.append({info.filename: info.CRC for info in archive.infolist()})
    assert names[0] == names[1]
    assert {HOOK, "autoinstrument/findings.md", "autoinstrument/py.typed"} <= set(names[0])
    assert "autoinstrument/_boot/chained/sitecustomize.py" in names[0]
    tops = {name.partition("/")[0] for name in names[0]}
    assert tops == {"autoinstrument", "asyncscope-0.1.0.dist-info", HOOK}


def test_hook_is_one_readable_line_and_utf_8() -> None:
    text = (ROOT / HOOK).read_bytes().decode("ascii")
    assert text.count("\n") == 1
    assert text.startswith("import os; ")


def test_uv_installs_and_uninstalls_the_hook(built: dict[str, Path], tmp_path: Path) -> None:
    uv = shutil.which("uv")
    if uv is None or run_child(uv, "--version", python="").status != 0:
        pytest.skip("uv is not installed")
    python = make_environment(tmp_path / "env", dependencies=False)
    for words in (["install", "--offline", "--no-deps", built["wheel"]], ["uninstall"]):
        named = [] if words[0] == "install" else ["asyncscope"]
        subprocess.run(
            [uv, "pip", *words, "--python", python, *named],
            check=True,
            capture_output=True,
            timeout=120,
            env=child_environment(),
        )
        expected = words[0] == "install"
        assert (site_of(python) / HOOK).exists() is expected
        child = run_child(
            "-c", STARTED, python=python, env={"ASYNCSCOPE_ENABLE": "1"}, cwd=tmp_path
        )
        assert (child.status, child.out, child.err) == (0, f"{expected}\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="permissions work otherwise there")
def test_installed_agent_watches_without_a_writable_home(
    built: dict[str, Path], tmp_path: Path
) -> None:
    python = make_environment(tmp_path / "env", dependencies=True)
    pip(python, "install", "--no-index", "--no-deps", built["wheel"])
    (tmp_path / "file").touch()
    home = tmp_path / "file" / "home"  # not even root can make it
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio\nasync def main(): print('ran')\nasyncio.run(main())\n"
        "import autoinstrument, sys\n"
        "print(sys.prefix in autoinstrument.__file__, 'autoinstrument.agent' in sys.modules)\n"
    )
    env = {"ASYNCSCOPE_ENABLE": "1", "HOME": str(home), "PYTHONNOUSERSITE": "1"}
    child = run_child(program, python=python, env=env, cwd=tmp_path)
    assert (child.status, child.out) == (0, "ran\nTrue True\n"), child.err
    assert "hook-unverified" not in child.err
