import pytest

from autoinstrument._boot.process import is_infrastructure, parse


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python app.py -m x", ([], "script", "app.py")),
        ("python -m pip list", ([], "m", "pip")),
        ("python -mpip list", ([], "m", "pip")),
        ("python -Im pip", (["-I"], "m", "pip")),
        ("python -Bcprint", (["-B"], "c", "print")),
        ("python -X dev -W error x.py", (["-X", "dev", "-W", "error"], "script", "x.py")),
        ("python -Xdev -Werror app.py", (["-Xdev", "-Werror"], "script", "app.py")),
        ("python -BW error -m mod", (["-BW", "error"], "m", "mod")),
        (
            "python --check-hash-based-pycs never app.py",
            (["--check-hash-based-pycs", "never"], "script", "app.py"),
        ),
        ("python - -m x", ([], "script", "-")),
        ("python -i", (["-i"], "", "")),
        ("python", ([], "", "")),
    ],
)
def test_command_line_is_taken_apart(command: str, expected: tuple[list[str], str, str]) -> None:
    assert parse(command.split()) == expected


@pytest.mark.parametrize(
    "argv",
    [
        ["python", "-m", "pip", "install", "x"],
        ["python", "-m", "pip.__main__"],
        ["python", "/usr/bin/pip3.13", "list"],
        ["python", "C:\\Scripts\\pip.exe", "list"],
        ["python", "C:\\Scripts\\hatch-script.py"],
        ["python", "/e/lib/python3.13/site-packages/pip", "install", "x"],
        ["python", "-I", "/e/site-packages/pip/__pip-runner__.py", "install"],
        ["python", "/e/pip/_vendor/pyproject_hooks/_in_process/_in_process.py", "build_wheel"],
        ["python", "-m", "ensurepip"],
        ["python", "-W", "ignore", "-c", 'runpy.run_module("pip", run_name="__main__")'],
        ["python", "-s", "-c", "from multiprocessing.resource_tracker import main;main(7)"],
        ["python", "/e/debugpy/adapter", "--for-server", "1"],
        ["python", "/e/bin/asyncscope", "doctor"],
        ["python", "-m", "autoinstrument", "run", "app.py"],
        ["python", "-m", "venv", "env"],
    ],
    ids=lambda argv: " ".join(argv[1:3]),
)
def test_tools_and_helpers_are_left_alone(argv: list[str]) -> None:
    assert is_infrastructure(argv)


@pytest.mark.parametrize(
    "argv",
    [
        ["python"],
        ["python", "app.py", "pip"],
        ["python", "pip.py"],
        ["python", "build.py"],
        ["python", "build"],
        ["python", "-m", "pipeline"],
        ["python", "-m", "site.app"],
        ["python", "-m", "uvicorn", "app:app"],
        ["python", "-c", "import asyncio"],
        ["python", "-c", "from multiprocessing.spawn import spawn_main; spawn_main(pipe_handle=7)"],
        ["python", "-c", "from multiprocessing.forkserver import main; main(1, 2, [])"],
        ["python", "/e/bin/pytest", "-q"],
    ],
    ids=lambda argv: " ".join(argv[1:3]) or "shell",
)
def test_programs_are_watched(argv: list[str]) -> None:
    assert not is_infrastructure(argv)
