"""The unit for systemd: what it permits is enough, and systemd understands it."""
import configparser
import os
import shutil

import pytest

from harness.posthouse import PROGRAM, make_message
from harness.process import run, wait_until

UNIT = PROGRAM.parent / "doc/posthoused.service"


@pytest.fixture
def unit():
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(UNIT)
    return parser


@pytest.mark.skipif(os.geteuid() != 0, reason="it is about what is left of root")
def test_its_powers_are_enough(new_posthouse, unit):
    """A master with those only reads keys that are its user's, drops to him, and ends his processes."""
    node = new_posthouse(settings={"daemon.pid_file": None})
    powers = unit["Service"]["CapabilityBoundingSet"].lower().replace("cap_", "").split()
    node.under = ("setpriv", "--no-new-privs", "--inh-caps=-all", "--bounding-set", ",".join(["-all", *(f"+{name}" for name in powers)]))
    shutil.chown(node.folder / "secret-keys", node.user)
    node.start()
    with open(f"/proc/{node.process.pid}/status", encoding="ascii") as file:
        status = dict(line.split(":\t", 1) for line in file)
    assert bin(int(status["CapEff"], 16)).count("1") == len(powers)
    old = set(node.family()) - {node.process.pid}
    node.reload()
    wait_until(lambda: not old & set(node.family()), "the old processes have ended, when they were told to")
    wait_until(node.ready, "the new ones serve")
    node.api.customer("service")
    node.api.hosted_domain("service.test", "service")
    node.api.account("ann@service.test", "service")
    node.send("joe@outside.test", "ann@service.test", make_message("hello"))
    assert node.subjects("ann@service.test") == ["hello"]
    family = set(node.family())
    node.stop()
    assert not [pid for pid in family if os.path.exists(f"/proc/{pid}")]


def test_what_is_started(unit):
    assert unit["Service"]["ExecStart"].endswith("/sbin/posthoused") and unit["Service"]["ExecStart"].startswith("/")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_understands_it(tmp_path, unit):
    text = UNIT.read_text().replace(unit["Service"]["ExecStart"], "/bin/true")
    (tmp_path / "posthoused.service").write_text(text)
    done = run(["systemd-analyze", "verify", "--man=no", tmp_path / "posthoused.service"], timeout=60, check=False)
    assert (done.returncode, [line for line in (done.stdout + done.stderr).splitlines() if "posthoused.service" in line]) == (0, [])
