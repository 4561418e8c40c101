import signal
from pathlib import Path

import pytest

from tests.helpers import make_environment


def pytest_configure() -> None:
    """Let children be interrupted: a shell starts background jobs that ignore Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment in which nothing is installed."""
    return make_environment(tmp_path_factory.mktemp("bare") / "env", dependencies=False)
