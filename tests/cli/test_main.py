import subprocess

import pytest

from autoinstrument import __version__
from autoinstrument.cli.main import COMMANDS, main
from tests.helpers import SCRIPTS, child_environment, run_child


def test_version_names_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"asyncscope {__version__}"
    assert "is not installed" not in "".join(lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: asyncscope {command}" in capsys.readouterr().out


def test_unknown_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explode"])
    assert ended.value.code == 2
    assert "explode" in capsys.readouterr().err


@pytest.mark.slow
def test_module_and_script_are_the_same_command() -> None:
    by_module = run_child("-m", "autoinstrument", "version")
    by_script = run_child(SCRIPTS / "asyncscope", "version", python="")
    assert by_module.out == by_script.out
    assert by_module.out.startswith("asyncscope ")


@pytest.mark.slow
def test_reader_that_goes_away_is_no_error() -> None:
    with subprocess.Popen(
        [SCRIPTS / "asyncscope", "explain", "lock_deadlock"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
