from pathlib import Path

import pytest

from tests.helpers import make_environment


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment in which nothing is installed."""
    return make_environment(tmp_path_factory.mktemp("bare") / "env", dependencies=False)
