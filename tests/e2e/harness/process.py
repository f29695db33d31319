"""Processes, ports, folders and waiting.

Everything that a test starts is a Process: it has a log file, and it is stopped by its own pid, whatever happens.
"""
import contextlib
import itertools
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

# A sanitizer build is several times slower; deadlines are there to end a test that hangs, not to measure.
PATIENCE = float(os.environ.get("POSTHOUSE_TEST_PATIENCE", "1"))
DEADLINE = 30 * PATIENCE


def wait_until(condition, what, timeout=None, interval=0.02):
    """Calls condition until it returns something true, and returns that; fails with `what` at the deadline.

    AssertionError and OSError in the condition count as "not yet"; the last one is shown when time is up.
    """
    end = time.monotonic() + (timeout * PATIENCE if timeout else DEADLINE)
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain until {what}" + (f" (last: {last!r})" if last else ""))
        time.sleep(interval)


def wait_equal(get, expected, what, timeout=None, interval=0.05):
    """Calls get until it returns what is expected; at the deadline both are shown."""
    seen = []

    def same():
        seen[:] = [get()]
        return seen[0] == expected

    try:
        wait_until(same, what, timeout, interval)
    except AssertionError as error:
        raise AssertionError(f"{error}\nexpected {expected!r}\n    last {seen and seen[0]!r}") from None


PORTS = range(10240, 32768)  # below those from which the kernel takes ports for outgoing connections
LANES = 20
_lane = []  # the socket that stands for it, and its ports, in turn


def _take_lane():
    """Ports that are this process's alone, of all processes of tests on this machine, until it ends: whoever binds the name has them."""
    size = len(PORTS) // LANES
    for number in random.sample(range(LANES), LANES):
        guard = socket.socket(socket.AF_UNIX)
        try:
            guard.bind(f"\0posthouse-test-ports-{number}")
        except OSError:
            guard.close()
            continue
        break
    ports = PORTS[number * size:(number + 1) * size]
    return guard, itertools.cycle(ports)


def free_port():
    """A free loopback port. It comes again after a thousand others."""
    if not _lane:
        _lane.extend(_take_lane())
    for _ in range(1000):
        port = next(_lane[1])
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise RuntimeError("no free port found")


def port_open(port):
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def unprivileged(*names):
    """The first of these users that exists when we are root, else None: then what we start runs as we do."""
    if os.geteuid() != 0:
        return None
    for name in names:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            pass
    raise RuntimeError(f"none of the users {names} exists")


def make_folder(name, owner=None):
    """A new folder in /tmp that other users can enter. pytest's own are closed to them."""
    path = Path(tempfile.mkdtemp(prefix=f"posthouse-{name}-", dir="/tmp"))
    path.chmod(0o755)
    if owner:
        shutil.chown(path, owner)
    return path


def remove_folder(path):
    if os.environ.get("POSTHOUSE_TEST_KEEP"):
        print(f"kept: {path}")
        return
    shutil.rmtree(path, ignore_errors=True)


class Process:
    """A program that runs until it is stopped. Its output goes to a file, which `log()` reads."""

    def __init__(self, name, command, log_path, env=None, user=None, cwd="/"):
        self.name = name
        self.log_path = Path(log_path)
        self._file = open(self.log_path, "ab")
        extra = {}
        if user:
            entry = pwd.getpwnam(user)
            extra = {"user": user, "group": entry.pw_gid, "extra_groups": []}
        self._process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=self._file,
                                         stderr=subprocess.STDOUT, env=dict(os.environ, **(env or {})), cwd=cwd,
                                         start_new_session=True, **extra)
        self.pid = self._process.pid

    def running(self):
        return self._process.poll() is None

    def log(self):
        return self.log_path.read_text(errors="replace")

    def send_signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def wait(self, timeout=None):
        """The exit status, as subprocess tells it (negative: a signal)."""
        status = self._process.wait(timeout * PATIENCE if timeout else DEADLINE)
        if not self._file.closed:
            self._file.close()
        return status

    def stop(self, number=signal.SIGTERM, timeout=None):
        """Asks it to end, and ends it by force when it does not. The exit status; None if force was needed."""
        self.send_signal(number)
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.send_signal(signal.SIGKILL)
            self.wait()
            return None


def children(pid):
    """Process ids of the children of pid, now."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            pass
    return found


def alive(pid):
    """Is it running (and not merely waiting to be collected by its parent)?"""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@contextlib.contextmanager
def hurry(*pids):
    """These go before whatever else the machine does, where we may say so: for what is measured in time.

    By the real-time scheduler: a priority (nice) counts among the processes of one session only."""
    tasks = [int(task.name) for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]

    def schedule(policy, priority):
        for task in tasks:
            with contextlib.suppress(OSError):
                os.sched_setscheduler(task, policy, os.sched_param(priority))
    schedule(os.SCHED_RR, 1)
    try:
        yield
    finally:
        schedule(os.SCHED_OTHER, 0)


def run(command, timeout=None, check=True, **options):
    """Runs a command to its end; its output as text in .stdout and .stderr."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, errors="replace",
                          timeout=timeout * PATIENCE if timeout else DEADLINE, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{command[0]} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done
