import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "types", "layers", "tests"]
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


def _install(session: nox.Session, group: str) -> None:
    session.install("-e", ".")
    session.install(*nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), group))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after `--` go to pytest."""
    _install(session, "test")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and spelling."""
    _install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of package and tests."""
    _install(session, "test")
    session.run("mypy")


@nox.session
def layers(session: nox.Session) -> None:
    """Check who imports whom."""
    _install(session, "lint")
    session.run("lint-imports")


@nox.session
def overhead(session: nox.Session) -> None:
    """Measure what the agent costs, on a quiet machine."""
    _install(session, "test")
    session.run("python", "-m", "tests.benchmarks", *session.posargs)
