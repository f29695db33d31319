"""Fixtures of the end-to-end tests; README tells which to use when."""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import posthouse as posthouse_module  # noqa: E402
from harness import dovecot as dovecot_module  # noqa: E402
from harness import lanes, template  # noqa: E402
from harness.certificate import Certificate  # noqa: E402
from harness.postfix import Postfix, unavailable  # noqa: E402
from harness.postgres import Postgres  # noqa: E402
from harness.posthouse import Posthouse  # noqa: E402
from harness.process import make_folder, remove_folder  # noqa: E402
from harness.sink import Sink  # noqa: E402

_living = []


def pytest_configure(config):
    if not posthouse_module.PROGRAM.exists():
        raise pytest.UsageError(f"{posthouse_module.PROGRAM} is not there: build it, or set POSTHOUSED")
    if template.FOLDER not in os.environ:  # those that run side by side get it from their parent
        config.template = make_folder("template")
        os.environ[template.FOLDER] = str(config.template)


def pytest_unconfigure(config):
    if hasattr(config, "template"):
        del os.environ[template.FOLDER]
        remove_folder(config.template)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the end of the log of every posthoused that lives."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for node in _living:
            report.sections.append((f"log of {node.folder.name}", node.log()[-12000:]))


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: lanes.rank(item.path.name))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return lanes.scheduler(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def certificate():
    folder = make_folder("tls")
    yield Certificate(folder)
    remove_folder(folder)


@pytest.fixture(scope="session")
def postgres():
    """One cluster for the whole run; each posthoused gets a database of its own in it. Do not stop it."""
    server = Postgres(durable=False, tidy=True)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def own_postgres():
    """A cluster for this test alone, which it may stop, kill and start."""
    server = Postgres(durable=False)
    try:
        yield server.start()
    finally:
        server.close()


def _node(*arguments, **options):
    node = Posthouse(*arguments, **options)
    _living.append(node)
    return node


def _close(node):
    try:
        node.close()
    finally:
        _living.remove(node)


@pytest.fixture(scope="module")
def outside():
    """Where mail for the rest of the world goes (the default route of `posthouse`)."""
    with Sink() as sink:
        yield sink


@pytest.fixture(scope="module")
def posthouse(postgres, certificate, outside):
    """A running posthoused with an empty database, shared by the tests of one file: use names of your own."""
    node = _node(postgres, certificate, default_route=outside.port)
    try:
        yield node.start()
    finally:
        _close(node)


@pytest.fixture
def new_posthouse(certificate, request):
    """new_posthouse(postgres=..., settings={"section.key": value}, default_route=port): not started yet."""
    made = []

    def make(postgres=None, settings=None, default_route=None):
        node = _node(postgres or request.getfixturevalue("postgres"), certificate, settings=settings,
                     default_route=default_route)
        made.append(node)
        return node

    yield make
    for node in reversed(made):
        _close(node)


@pytest.fixture
def sink():
    """A next hop for this test alone."""
    with Sink() as server:
        yield server


@pytest.fixture
def postfix():
    """Postfix as the primary of relayed.test, not started yet."""
    reason = unavailable()
    if reason:
        pytest.skip(reason)
    server = Postfix("relayed.test")
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def new_dovecot(certificate):
    """new_dovecot(separator="/", ...): not started yet."""
    reason = dovecot_module.unavailable()
    if reason:
        pytest.skip(reason)
    made = []

    def make(**options):
        made.append(dovecot_module.Dovecot(certificate, **options))
        return made[-1]

    yield make
    for server in reversed(made):
        server.close()


@pytest.fixture
def dovecot(new_dovecot):
    """Dovecot as a primary's mail store; it runs."""
    return new_dovecot().start()
