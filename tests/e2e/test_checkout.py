"""What a checkout must bear beside being built in var/, as all other tests have it."""
import os
import shutil

from harness.posthouse import PROGRAM, ROOT
from harness.process import run

FOLDERS = ("core", "storage", "relay", "protocols", "admin-api", "daemon")


def test_the_rules_of_the_tree_hold_where_it_was_built_in_place(tmp_path):
    """make check after ./configure in the checkout, as README has it: what make writes among the sources is none."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.o", "*.lo", "*.la", ".libs", ".deps"))
    shutil.copy(PROGRAM.parent / "admin-api/openapi_text.h", tmp_path / "admin-api")
    done = run([ROOT / "tests/layers"], timeout=120, check=False, env=dict(os.environ, srcdir=str(tmp_path)))
    assert done.returncode == 0, done.stdout


def demo(tree, *arguments):
    return run([tree / "run-demo", *arguments], timeout=60, check=False, env=dict(os.environ))


def test_the_demo_is_stopped_where_nothing_runs_and_says_what_it_leaves(tmp_path):
    """A folder with a blank in its name, and the id of a process that has ended."""
    tree = tmp_path / "my clone"
    tree.mkdir()
    shutil.copy(ROOT / "run-demo", tree)
    (tree / "var/demo").mkdir(parents=True)
    gone = run(["sh", "-c", "echo $$"], timeout=10).stdout
    (tree / "var/demo/posthoused.pid").write_text(gone)
    done = demo(tree, "--stop")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    state = done.stdout.strip().removesuffix(".").rpartition(" and ")[2]
    assert done.stdout == f"Stopped. The mail stays for the next start, in {tree}/var/demo and {state}.\n"
    assert state.startswith("/var/tmp/posthouse-demo-")
    os.rmdir(state)
