"""One seed for a whole run: property tests and simulations draw from it, and the first line of the run prints it."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, settings

from tests.loaded_command import LOADED
from understudy.judging import court
from understudy.judging.fork_server import ForkServer
from understudy.testing.postgres_server import NoServer, PostgresServer

SEED_VARIABLE = "UNDERSTUDY_TEST_SEED"

# No deadlines anywhere: on a busy machine a slow example says nothing about the code. Hypothesis would by itself try
# the same examples in every CI run; ours are new each time, and the printed seed gives them again.
settings.register_profile("dev", deadline=None, print_blob=True)
settings.register_profile(
    "ci", deadline=None, print_blob=True, derandomize=False, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", parent=settings.get_profile("ci"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


# First, because hypothesis reads its option in a hook of the same name.
@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.option.hypothesis_seed is None:
        # Through the environment, so that the workers of xdist have the same one.
        config.option.hypothesis_seed = os.environ.setdefault(
            SEED_VARIABLE, str(random.SystemRandom().randrange(2**32))
        )


@pytest.fixture(scope="session", autouse=True)
def compiled_components(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests compile is kept for the run, and nowhere near the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


class _KeptServer(ForkServer):
    """A fork server that outlives a verification; those that it forked are ended with theirs, as always."""

    def close(self) -> None:
        """Go on."""

    @property
    def is_fit(self) -> bool:
        """True if another verification can have it."""
        return self._process.poll() is None

    def close_really(self) -> None:
        super().close()


@pytest.fixture(scope="session", autouse=True)
def one_fork_server() -> Iterator[None]:
    """One fork server for all verifications of a test process: it runs no code of theirs, and takes a third of a second to load.

    Where a test has its own path for modules, it gets a fork server of its own; so do commands in processes of their own.
    """
    usual = _path()
    kept: list[_KeptServer] = []

    def start(path: Sequence[str]) -> ForkServer:
        if list(path) != usual:
            return ForkServer(path)
        if not kept or not kept[-1].is_fit:
            kept.append(_KeptServer(path))
        return kept[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(court, "ForkServer", start)
        yield
    for server in kept:
        server.close_really()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for this test process. It forgets what a crash of the machine would take: tests kill processes."""
    try:
        server = PostgresServer("fsync=off", "max_connections=60", "shared_buffers=16MB")
    except NoServer as missing:
        pytest.skip(str(missing))
    yield server
    server.remove()


@pytest.fixture(scope="session", autouse=True)
def loaded_command() -> Iterator[None]:
    """The process that commands are forked from ends with the tests."""
    yield
    LOADED.close()


def _path() -> list[str]:
    return [os.path.abspath(entry) for entry in sys.path]


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {config.option.hypothesis_seed} (again with {SEED_VARIABLE}={config.option.hypothesis_seed})"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of this run, for simulations that draw their own random numbers."""
    return int(request.config.option.hypothesis_seed)
