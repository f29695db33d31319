"""Policies of the circuit breaker by API, and all of it by command line."""
import os
import subprocess

from harness.posthouse import PROGRAM
from harness.process import wait_until
from harness.requests import problem
from test_breaker import ABUSE, ANN, burst, node, policy, queue  # noqa: F401: node is a fixture


def test_policies(node):
    made = policy(node, customer="burst", label="ours")
    assert (made["enabled"], made["then"], made["hold_seconds"], made["open_seconds"], made["notify"]) == (True, "reject", 30 * 86400, None, None)
    assert node.api.get(f"/v1/breaker-policies/{made['id']}") == made and node.api.get("/v1/breaker-policies")["items"] == [made]
    assert node.api.get("/v1/breaker-policies", customer="burst")["items"] == [made]
    problem(node, 409, "POST", "/v1/breaker-policies", {"customer": "burst"})
    problem(node, 422, "POST", "/v1/breaker-policies", {"customer": "burst", "account": ANN}, field="account")
    for member, value in (("messages", 0), ("recipients", 10**7), ("failures", -1), ("factor", 1), ("then", "burn"), ("notify", "nobody"),
                          ("open_seconds", 0), ("hold_seconds", 1), ("account", "nobody@burst.test"), ("domain", "no.test"), ("customer", "none")):
        problem(node, 422, "POST", "/v1/breaker-policies", {member: value}, field=member)
    changed = node.api.patch(f"/v1/breaker-policies/{made['id']}", {"factor": 9, "open_seconds": 600, "notify": "Abuse@Burst.test", "enabled": False})
    assert changed == {**made, "factor": 9, "open_seconds": 600, "notify": ABUSE, "enabled": False}
    assert node.api.patch(f"/v1/breaker-policies/{made['id']}", {"notify": None, "open_seconds": None, "label": None})["notify"] is None
    node.api.delete(f"/v1/breaker-policies/{made['id']}")
    for path in (f"/v1/breaker-policies/{made['id']}", "/v1/breakers/nobody@burst.test"):
        problem(node, 404, "GET", path, None)
    problem(node, 422, "PATCH", f"/v1/breakers/{ANN}", {"state": "open"}, field="state")
    problem(node, 409, "PATCH", f"/v1/breakers/{ANN}", {"state": "closed"})
    of_account = policy(node, account=ANN)
    node.api.delete(f"/v1/accounts/{ANN}")
    problem(node, 404, "GET", f"/v1/breaker-policies/{of_account['id']}", None)


def test_the_command_line(node):
    environment = dict(os.environ, POSTHOUSE_URL=f"http://127.0.0.1:{node.ports['admin']}", POSTHOUSE_TOKEN=node.token)

    def run(*words):
        done = subprocess.run([PROGRAM.parent / "posthouse", *words], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout
    run("breaker-policies", "create", "ours", "--domain", "burst.test", "--least-messages", "5", "--least-recipients", "50", "--least-failures", "5",
        "--factor", "3", "--then", "discard", "--hold-seconds", "600", "--open-seconds", "900", "--notify", ABUSE)
    (made,) = node.api.get("/v1/breaker-policies")["items"]
    assert (made["messages"], made["factor"], made["open_seconds"], made["then"]) == (5, 3, 900, "discard")
    run("breaker-policies", "change", made["id"], "--open-seconds", "", "--least-messages", "6")
    assert "ours" in run("breaker-policies", "list") and "discard" in run("breaker-policies", "show", made["id"])
    burst(node)
    assert ANN in run("breakers", "list") and "open" in run("breakers", "show", ANN)
    wait_until(lambda: [entry for entry in queue(node) if entry["group"]], "it is in a group")
    (group,) = node.api.get(f"/v1/breakers/{ANN}/groups")["items"]
    assert group["id"] in run("held-groups", "list", "--account", ANN) and ANN in run("queue", "list", "--group", group["id"])
    run("queue-actions", "create", "cancel", "--no-bounce", "--group", group["id"])
    run("breakers", "change", ANN, "--state", "closed", "--learn")
    assert ANN not in run("breakers", "list")
    run("breaker-policies", "delete", made["id"])
