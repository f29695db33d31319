"""What a domain wants while its primary is away: the resource."""
import pytest

from harness.requests import problem

PATH = "/v1/domains/relay.policy.test/continuity-policy"
MEMBERS = {"probe_interval", "check_interval", "probe_address", "down_after", "up_after", "slow_after", "deleted_mail", "deleted_hold_days", "deleted_then",
           "copy_keep_days"}


@pytest.fixture
def node(posthouse):
    posthouse.api.customer("policy")
    posthouse.api.relay_domain("relay.policy.test", "policy", 9)
    yield posthouse
    posthouse.api.delete("/v1/domains/relay.policy.test")
    posthouse.api.delete("/v1/customers/policy")


def test_each_domain_has_one(node):
    first = node.api.get(PATH)
    assert first["domain"] == "relay.policy.test" and MEMBERS < set(first)
    assert all(first[member] is None for member in MEMBERS)
    problem(node, 404, "GET", "/v1/domains/nowhere.test/continuity-policy")
    assert node.api.request("GET", PATH + "?limit=1")[0] in (400, 422)


def test_put_says_all_and_patch_what_is_given(node):
    made = node.api.put(PATH, {"down_after": 5, "probe_address": "Probe@RELAY.policy.test", "slow_after": 0})
    assert (made["down_after"], made["probe_address"], made["slow_after"], made["up_after"]) == (5, "probe@relay.policy.test", 0, None)
    changed = node.api.patch(PATH, {"up_after": 1, "probe_address": None})
    assert (changed["down_after"], changed["probe_address"], changed["up_after"]) == (5, None, 1)
    assert node.api.get(PATH) == changed
    again = node.api.put(PATH, {"check_interval": 60})
    assert (again["down_after"], again["check_interval"]) == (None, 60)
    node.api.delete(PATH)
    node.api.delete(PATH)
    assert node.api.get(PATH)["check_interval"] is None


@pytest.mark.parametrize("member, value", [
    ("probe_interval", 0), ("probe_interval", 3601), ("down_after", 0), ("up_after", 101), ("slow_after", -1), ("check_interval", "often"),
    ("deleted_mail", "maybe"), ("deleted_hold_days", 0), ("deleted_then", "ask"), ("copy_keep_days", -1), ("down_after", 1.5), ("down_after", True), ("probe_address", "probe@elsewhere.test"), ("probe_address", "nobody"), ("probe_address", ""),
    ("nonsense", 1)])
def test_what_is_refused_names_the_field(node, member, value):
    for method in ("PUT", "PATCH"):
        problem(node, 422, method, PATH, {member: value}, field=member)
    assert node.query("select count(*) from continuity_policy p join domain d on d.id = p.domain_id where d.name = 'relay.policy.test'") == [["0"]]


def test_an_alias_has_its_targets(node):
    node.api.post("/v1/domains", {"name": "alias.policy.test", "customer": "policy", "kind": "alias", "target": "relay.policy.test"})
    problem(node, 409, "GET", "/v1/domains/alias.policy.test/continuity-policy")
    problem(node, 409, "PUT", "/v1/domains/alias.policy.test/continuity-policy", {})
    node.api.delete("/v1/domains/alias.policy.test")


def test_it_goes_with_its_domain_and_is_audited(node):
    node.api.post("/v1/domains", {"name": "gone.policy.test", "customer": "policy", "kind": "relay", "next_hops": [{"host": "127.0.0.1"}]})
    node.api.put("/v1/domains/gone.policy.test/continuity-policy", {"down_after": 9})
    assert node.query("select method, status from audit_log where path = '/v1/domains/gone.policy.test/continuity-policy'") == [["PUT", "200"]]
    node.api.delete("/v1/domains/gone.policy.test")
    assert node.query("select count(*) from continuity_policy where down_after = 9") == [["0"]]
