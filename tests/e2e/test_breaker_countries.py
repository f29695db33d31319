"""The circuit breaker, and from which countries an account sends."""
import os
import smtplib
import subprocess

from harness.posthouse import PASSWORD, PROGRAM, make_message
from harness.process import wait_equal, wait_until
from harness.requests import problem
from test_breaker import ANN, DAN, breaker, node, policy  # noqa: F401: node is a fixture

COUNTRIES = {"DE": ["127.0.0.1/32"], "FR": ["127.0.0.2/32", "192.0.2.0/24"], "IT": ["127.0.0.3/32", "2001:db8::/32"], "ZZ": ["127.0.0.0/8"]}


def submit_from(node, address, subject):
    with smtplib.SMTP_SSL("localhost", node.ports["submissions"], local_hostname="client.test", context=node.certificate.context(), timeout=30,
                          source_address=(address, 0)) as client:
        client.login(ANN, PASSWORD)
        client.sendmail(ANN, [DAN], make_message(subject, sender=ANN))


def test_countries(node, outside):
    for country, networks in COUNTRIES.items():
        node.api.request("PUT", f"/v1/address-countries/{country}", {"networks": networks})
    made = policy(node, customer="burst", messages=1000, countries=1)
    assert made["countries"] == 1
    for address in ("127.0.0.1", "127.0.0.2"):  # the first is its own, and one more may be
        submit_from(node, address, "journey")
    wait_equal(lambda: (breaker(node)["state"], breaker(node)["new_countries"]), ("closed", 1), "one is new")
    submit_from(node, "127.0.0.3", "third")
    wait_equal(lambda: breaker(node)["state"], "open", "it is opened")
    now = breaker(node)
    assert (now["measure"], now["value"], now["limit"]) == ("countries", 2, 1) and "countries" in now["reason"]
    wait_until(lambda: b"from 2 countries" in (node.inbox(ANN) or [b""])[0], "its owner is told")
    # closed: they are its own
    now = node.api.patch(f"/v1/breakers/{ANN}", {"state": "closed"})
    assert now["new_countries"] == 0
    node.wait_known()
    for number in range(4):
        submit_from(node, f"127.0.0.{1 + number % 3}", "on")
    submit_from(node, "127.0.0.77", "a fourth")  # ZZ: the longest network counts
    wait_equal(lambda: (breaker(node)["state"], breaker(node)["new_countries"]), ("closed", 1), "and the next is one")
    assert node.query("select country from breaker_country order by 1") == [["DE"], ["FR"], ["IT"], ["ZZ"]]
    # on the next day all are old
    node.query("update breaker_country set first_on = first_on - 1, last_on = last_on - 1 returning 1")
    assert breaker(node)["new_countries"] == 0


def test_the_table_of_countries(node):
    def show(key):
        return node.api.get(f"/v1/address-countries/{key}")
    for country, networks in COUNTRIES.items():
        assert node.api.request("PUT", f"/v1/address-countries/{country.lower()}", {"networks": networks})[0] == 204
    assert node.api.get("/v1/address-countries")["items"] == [{"country": c, "networks": len(n)} for c, n in sorted(COUNTRIES.items())]
    assert [item["country"] for item in node.api.get("/v1/address-countries", limit="1", cursor="DE")["items"]] == ["FR"]
    assert show("it") == show("2001:db8:7::1") == show("127.0.0.3") == {"country": "IT", "networks": 2}
    node.api.request("PUT", "/v1/address-countries/FR", {"networks": ["127.0.0.3/32"]})
    assert show("127.0.0.3")["country"] == "FR" and show("IT")["networks"] == 1 and show("127.0.0.2")["country"] == "ZZ"
    for key in ("XX", "198.51.100.1", "nowhere"):
        problem(node, 404, "GET", f"/v1/address-countries/{key}", None)
        problem(node, 404, "DELETE", f"/v1/address-countries/{key}", None)
    problem(node, 422, "PUT", "/v1/address-countries/DE", {"networks": ["127.0.0.1/8"]}, field="networks[0]")
    problem(node, 422, "PUT", "/v1/address-countries/DE", {}, field="networks")
    problem(node, 404, "PUT", "/v1/address-countries/DEU", {"networks": []})
    node.api.delete("/v1/address-countries/ZZ")
    problem(node, 404, "GET", "/v1/address-countries/ZZ", None)
    environment = dict(os.environ, POSTHOUSE_URL=f"http://127.0.0.1:{node.ports['admin']}", POSTHOUSE_TOKEN=node.token)

    def run(*words, told=""):
        done = subprocess.run([PROGRAM.parent / "posthouse", *words], env=environment, input=told, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout
    run("address-countries", "replace", "NL", told="198.51.100.0/24\n203.0.113.0/24\n")
    assert "NL" in run("address-countries", "show", "203.0.113.9") and "NL" in run("address-countries", "list")
    run("address-countries", "delete", "NL")
    assert "NL" not in run("address-countries", "list")
    many = [f"10.{a}.{b}.0/24" for a in range(100) for b in range(250)]
    assert node.api.request("PUT", "/v1/address-countries/US", {"networks": many})[0] == 204
    assert show("10.42.7.9") == {"country": "US", "networks": 25000}
