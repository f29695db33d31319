"""Each statement of the API fails in each way: 503, and a repetition finds it done or does it, once.

How, is told in harness/workload.py.
"""
import re
import time

import pytest

from harness.posthouse import PASSWORD
from harness.process import wait_until
from harness.workload import BOB, CAROL, DONE, GONE, HOP, HOP_OF_NOBODY, OUT, PARTS, TryLater, Workload, strike_all, working

pytestmark = [pytest.mark.slow, pytest.mark.faults]


class ApiWorkload(Workload):
    def make_customer(self):
        self.api("POST", "/v1/customers", {"name": "c"}, DONE)

    def step_api_outage_drain(self):
        """Of the domain whose primary is dead."""
        (outage,) = self.api("GET", "/v1/outages?open=true&domain=dead.faults.test")["items"]
        path = f"/v1/outages/{outage['id']}/drain"
        self.api("PATCH", path, {"newest_first": True})
        assert self.api("GET", path)["newest_first"]
        self.api("PATCH", path, {"newest_first": False})

    def step_api_customers(self):
        self.api("POST", "/v1/customers", {"name": "other"}, DONE)
        self.api("GET", "/v1/customers")
        self.api("GET", "/v1/customers/other")
        self.api("PATCH", "/v1/customers/other", {"state": "active"})
        self.api("DELETE", "/v1/customers/other", None, GONE)

    def step_api_domains(self):
        self.make_customer()
        self.api("POST", "/v1/domains", {"name": "h.test", "customer": "c", "kind": "hosted"}, DONE)
        self.api("POST", "/v1/domains", {"name": "r.test", "customer": "c", "kind": "relay", "next_hops": [HOP]}, DONE)
        self.api("PATCH", "/v1/domains/r.test", {"next_hops": [HOP]})
        self.api("POST", "/v1/domains", {"name": "s.test", "customer": "c", "kind": "alias", "target": "h.test"}, DONE)
        self.api("DELETE", "/v1/domains/s.test", None, GONE)
        self.api("PUT", "/v1/domains/r.test/recipients", {"addresses": ["a@r.test", "b@r.test"]})
        self.api("POST", "/v1/domains/r.test/recipients", {"address": "c@r.test"}, DONE)
        self.api("GET", "/v1/domains/r.test/recipients")
        self.api("GET", "/v1/domains/r.test/recipients/b@r.test")
        self.api("DELETE", "/v1/domains/r.test/recipients/a@r.test", None, GONE)
        self.node.query("insert into recipient_learned (cell, domain_id, address, valid, learned_at, until) select cell, id,"
                        " 'a@r.test', true, now(), now() from domain where name = 'r.test' on conflict do nothing")
        self.api("GET", "/v1/domains/r.test/learned-recipients")
        self.api("GET", "/v1/domains/r.test/learned-recipients/a@r.test", None, GONE)
        self.api("DELETE", "/v1/domains/r.test/learned-recipients/a@r.test", None, GONE)
        self.api("DELETE", "/v1/domains/r.test/learned-recipients")
        self.api("GET", "/v1/domains")
        self.api("GET", "/v1/domains?customer=c")
        self.api("GET", "/v1/domains/h.test")
        self.api("DELETE", "/v1/domains/h.test", None, GONE)
        self.api("DELETE", "/v1/domains/r.test", None, GONE)

    def step_api_invitations(self):
        path = f"/v1/accounts/{CAROL}/invitations"
        made = self.api("POST", path, {})
        self.api("GET", path)
        self.api("POST", f"/v1/invitations/{made['token']}", {"password": PASSWORD}, GONE)
        made = self.api("POST", path, {})
        self.api("DELETE", f"{path}/{made['id']}", None, GONE)
        self.node.query("insert into account (id, cell, customer_id, domain_id, address, inbox_id) select a.id + 1, a.cell, a.customer_id,"
                        f" a.domain_id, 'un' || a.address, 1 from account a where a.address = '{CAROL}' on conflict do nothing")
        assert self.api("POST", "/v1/domains/primary.faults.test/invitations", {})["items"]

    def step_api_accounts(self):
        self.make_customer()
        self.api("POST", "/v1/domains", {"name": "a.test", "customer": "c", "kind": "hosted"}, DONE)
        self.api("POST", "/v1/accounts", {"address": "u@a.test", "customer": "c", "password": PASSWORD,
                                          "aliases": ["v@a.test"]}, DONE)
        self.api("POST", "/v1/accounts", {"address": "u@a.test", "customer": "c", "password": PASSWORD}, DONE)
        self.api("PATCH", "/v1/accounts/u@a.test", {"aliases": ["w@a.test"]})
        for query in ("", "?customer=c", "?domain=a.test", "?customer=c&domain=a.test"):
            self.api("GET", f"/v1/accounts{query}")
        self.api("GET", "/v1/accounts/u@a.test")
        self.api("PATCH", f"/v1/accounts/{CAROL}", {"state": "continuity"})
        self.api("PATCH", f"/v1/accounts/{CAROL}", {"state": "active"})
        self.api("DELETE", "/v1/accounts/u@a.test", None, GONE)

    def step_api_app_passwords(self):
        path = f"/v1/accounts/{CAROL}/app-passwords"
        self.api("POST", path, {"label": "phone"}, DONE)
        for password in self.api("GET", path)["items"]:
            self.api("GET", f"{path}/{password['id']}")
            self.api("DELETE", f"{path}/{password['id']}", None, GONE)

    def step_api_certificates(self):
        path = f"/v1/accounts/{CAROL}/certificates"
        self.api("POST", path, {"label": "card", "fingerprint": "a" * 64}, DONE)
        for certificate in self.api("GET", path)["items"]:
            self.api("GET", f"{path}/{certificate['id']}")
            self.api("DELETE", f"{path}/{certificate['id']}", None, GONE)

    def step_api_expansions(self):
        self.make_customer()
        self.api("POST", "/v1/domains", {"name": "e.test", "customer": "c", "kind": "hosted"}, DONE)
        self.api("POST", "/v1/groups", {"address": "u@e.test", "members": [OUT]}, DONE)
        self.api("POST", "/v1/groups", {"address": "u@e.test", "members": [OUT]}, DONE)
        self.api("PATCH", "/v1/groups/u@e.test", {"members": [BOB], "senders": "customer"})
        self.api("GET", "/v1/groups?customer=c&domain=e.test")
        self.api("GET", "/v1/groups/u@e.test")
        self.api("DELETE", "/v1/groups/u@e.test", None, GONE)

    def step_api_networks(self):
        self.make_customer()
        self.api("POST", "/v1/networks", {"cidr": "192.0.2.0/24", "customer": "c"}, DONE)
        self.api("GET", "/v1/networks")
        for network in self.api("GET", "/v1/networks?customer=c")["items"]:
            self.api("GET", f"/v1/networks/{network['id']}")
            self.api("PATCH", f"/v1/networks/{network['id']}", {"customer": "c"})
            self.api("DELETE", f"/v1/networks/{network['id']}", None, GONE)

    def step_api_allowed_networks(self):
        self.make_customer()
        for customer in ("c", None):
            self.api("POST", "/v1/allowed-networks", {"network": "192.0.2.0/24", "customer": customer}, DONE)
        self.api("POST", "/v1/allowed-networks", {"network": "192.0.2.0/24"}, DONE)
        self.api("GET", "/v1/allowed-networks?customer=c")
        for allowed in self.api("GET", "/v1/allowed-networks")["items"]:
            path = f"/v1/allowed-networks/{allowed['id']}"
            self.api("GET", path)
            self.api("PATCH", path, {"label": "x"})
            self.api("DELETE", path, None, GONE)

    def step_api_credentials(self):
        for _ in range(2):
            self.api("POST", "/v1/credentials", {"name": "login", "user": "u", "password": "p"}, DONE)
        self.api("GET", "/v1/credentials")
        self.api("GET", "/v1/credentials/login")
        self.api("PATCH", "/v1/credentials/login", {"user": "v"})
        oauth = {"kind": "oauth", "user": "u", "token_url": "https://login.test/", "client_id": "c", "refresh_token": "r"}
        self.api("POST", "/v1/credentials", {"name": "by-token", **oauth}, DONE)
        self.api("DELETE", "/v1/credentials/by-token", None, GONE)
        self.api("POST", "/v1/credential-reseals", None)
        self.api("DELETE", "/v1/credentials/login", None, GONE)

    def step_api_routes(self):
        for name in ("way", "other-way"):
            for _ in range(2):
                self.api("POST", "/v1/routes", {"name": name, "customer": "faults", "next_hops": [HOP]}, DONE)
        self.api("GET", "/v1/routes?customer=faults")
        self.api("GET", "/v1/routes/way")
        self.api("PATCH", "/v1/routes/way", {"next_hops": [HOP]})
        for body in ({"account": CAROL}, {"sender_domain": "never.test"}):
            for _ in range(2):
                self.api("POST", "/v1/route-rules", {"customer": "faults", "route": "way", **body}, DONE)
        for each in self.api("GET", "/v1/route-rules")["items"]:
            self.api("GET", f"/v1/route-rules/{each['id']}")
            self.api("PATCH", f"/v1/route-rules/{each['id']}", {"route": "other-way"})
            self.api("DELETE", f"/v1/route-rules/{each['id']}", None, GONE)
        for name in ("way", "other-way"):
            self.api("DELETE", f"/v1/routes/{name}", None, GONE)

    def step_api_strangers(self):
        self.make_customer()
        self.api("POST", "/v1/domains", {"name": "s.test", "customer": "c", "kind": "hosted"}, DONE)
        for _ in range(2):
            self.api("POST", "/v1/dns-lists", {"zone": "bl.example", "score": 1}, DONE)
            self.api("POST", "/v1/client-policies", {"customer": "c"}, DONE)
            self.api("POST", "/v1/client-policies", {"domain": "s.test"}, DONE)
        self.api("GET", "/v1/client-policies?customer=c")
        for path, change in (("/v1/dns-lists", {"score": 2}), ("/v1/client-policies", {"label": "x"})):
            for each in self.api("GET", path)["items"]:
                self.api("GET", f"{path}/{each['id']}")
                self.api("PATCH", f"{path}/{each['id']}", change)
                self.api("DELETE", f"{path}/{each['id']}", None, GONE)
        self.api("DELETE", "/v1/domains/s.test", None, GONE)

    def step_api_grants(self):
        for who in ({"account": BOB}, {"domain": "faults.test"}):
            self.api("POST", "/v1/relay-grants", {"customer": "faults", "label": "fault", **who}, DONE)
        self.api("GET", "/v1/relay-grants")
        for grant in self.api("GET", "/v1/relay-grants?customer=faults")["items"]:
            if grant["label"] is None:
                continue  # ann's, which stays
            self.api("GET", f"/v1/relay-grants/{grant['id']}")
            self.api("PATCH", f"/v1/relay-grants/{grant['id']}", {"label": "other"})
            self.api("DELETE", f"/v1/relay-grants/{grant['id']}", None, GONE)
        self.api("POST", "/v1/relay-checks", {"sender": BOB, "recipient": OUT})

    def step_api_mail(self):
        for query in ("", "?domain=dead.faults.test", "?domain=outside.test", "?sender=<>", "?customer=faults", "?state=held",
                      "?state=active", "?destination=default"):
            self.api("GET", f"/v1/queue{query}")
        (queued,) = self.api("GET", "/v1/queue?domain=dead.faults.test")["items"]
        self.api("GET", f"/v1/messages/{queued['message']}")
        self.api("GET", f"/v1/messages/{queued['message']}/events")
        self.api("GET", f"/v1/queue/{queued['id']}/attempts")
        self.api("GET", "/v1/audit-log?action=POST")
        for path in ("/v1/outages", "/v1/bans", "/readyz", "/metrics"):
            self.api("GET", path)

    def step_hold(self):
        """What is decided about entries that nobody delivers."""
        (queued,) = self.api("GET", "/v1/queue?domain=dead.faults.test")["items"]
        path = f"/v1/queue/{queued['id']}"
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400))
        self.api("POST", f"{path}/hold", {"until": until, "then": "reject", "reason": "a fault"})
        self.api("GET", path)
        self.api("POST", f"{path}/release", None, DONE)
        wait_until(lambda: self.api("GET", path)["state"] == "waiting", "it is released", timeout=60)
        self.mail("dead2@dead.faults.test", sender="<>")
        (rejected,) = self.patiently(self.dead2)
        self.api("POST", f"/v1/queue/{rejected}/priority", {"priority": 3})
        self.api("POST", f"/v1/queue/{rejected}/redirect", {"next_hops": [HOP_OF_NOBODY]})
        wait_until(lambda: self.api("GET", f"/v1/queue/{rejected}")["state"] == "waiting", "it waits there", timeout=60)
        self.api("POST", f"/v1/queue/{rejected}/retry", None)
        wait_until(lambda: self.api("GET", f"/v1/queue/{rejected}")["state"] == "waiting", "it waits again", timeout=60)
        self.api("POST", f"/v1/queue/{rejected}/reject", None, GONE)
        self.settled()
        self.mail("dead2@dead.faults.test", sender="<>")
        (cancelled,) = self.patiently(self.dead2)
        self.api("POST", f"/v1/queue/{cancelled}/cancel", {"bounce": False}, GONE)
        self.settled()
        self.mail("dead2@dead.faults.test", sender="<>")
        (discarded,) = self.patiently(self.dead2)
        self.api("POST", f"/v1/queue/{discarded}/hold", {"approval": True, "then": "discard", "reason": "a fault"})
        self.api("GET", f"/v1/queue?message={self.api('GET', f'/v1/queue/{discarded}')['message']}&held_by=administrator")
        self.api("POST", f"/v1/queue/{discarded}/expire", None, GONE)
        self.settled()

    def step_suspensions(self):
        """Mail that waits until it is resumed."""
        sender = f"slow{next(self.numbers)}@client.test"
        self.api("POST", "/v1/suspensions", {"kind": "sender", "value": sender, "reason": "a fault"}, DONE)
        (made,) = (item for item in self.api("GET", "/v1/suspensions")["items"] if item["value"] == sender)
        path = f"/v1/suspensions/{made['id']}"
        self.api("GET", path)
        self.api("POST", "/v1/suspensions", {"kind": "sender", "value": sender, "reason": "twice"}, DONE)

        def is_obeyed():
            self.mail(CAROL, sender=sender)
            return wait_until(lambda: not (found := self.api("GET", f"/v1/queue?sender={sender}")["items"])
                              or found[0]["hold"] and found, "it has gone, or is held", timeout=60) is not True
        wait_until(is_obeyed, "it is obeyed")
        self.api("DELETE", path, None, GONE)
        self.settled()

    def step_delivery_policies(self):
        for _ in range(2):
            self.api("POST", "/v1/delivery-policies", {"domain": "outside.test", "lifetime": 1000}, DONE)
        assert [item["domain"] for item in self.api("GET", "/v1/delivery-policies")["items"]] == ["outside.test"]
        path = "/v1/delivery-policies/outside.test"
        self.api("GET", path)
        self.api("PATCH", path, {"retry_max": 2})
        self.api("DELETE", path, None, GONE)

    def step_continuity_policies(self):
        path = "/v1/domains/dead.faults.test/continuity-policy"
        self.api("PUT", path, {"probe_interval": 7})
        assert self.api("GET", path)["probe_interval"] == 7
        self.api("PATCH", path, {"down_after": 2})
        self.api("DELETE", path)
    def step_content_rules(self):
        rule = {"customer": "faults", "label": "fault", "direction": "in", "action": "refuse", "reason": "a fault", "size_over": 100000000}
        self.api("POST", "/v1/content-rules", rule)
        for made in self.api("GET", "/v1/content-rules?customer=faults")["items"]:  # also one whose answer was lost
            path = f"/v1/content-rules/{made['id']}"
            self.api("GET", path)
            self.api("PATCH", path, {"priority": 5})
            self.api("DELETE", path, None, GONE)

    def step_held_accounts(self):
        self.api("POST", "/v1/held-accounts", {"account": BOB, "reason": "a fault", "then": "reject"}, DONE)
        self.api("GET", "/v1/held-accounts")
        self.api("GET", f"/v1/held-accounts/{BOB}")
        self.api("GET", f"/v1/queue?account={BOB}")
        self.api("DELETE", f"/v1/held-accounts/{BOB}", None, GONE)

    def step_address_countries(self):
        self.api("PUT", "/v1/address-countries/XY", {"networks": ["198.51.100.0/24"]})
        self.api("GET", "/v1/address-countries")
        self.api("GET", "/v1/address-countries/XY")
        self.api("GET", "/v1/address-countries/198.51.100.7")
        self.api("DELETE", "/v1/address-countries/XY", None, GONE)

    def step_breakers(self):
        policy = {"customer": "faults", "label": "fault", "messages": 1000000, "recipients": 1000000, "failures": 1000000}
        for _ in range(2):  # the second is told of the first
            self.api("POST", "/v1/breaker-policies", policy, DONE)
        for made in self.api("GET", "/v1/breaker-policies?customer=faults")["items"]:
            path = f"/v1/breaker-policies/{made['id']}"
            self.api("GET", path)
            self.api("PATCH", path, {"factor": 5})
            self.api("DELETE", path, None, GONE)
        self.node.query("with h as (insert into held_account (account_id, held_by, reason, hold_seconds, hold_then)"
                        f" select id, 'breaker', 'a fault', 60, 'reject' from account where address = '{BOB}' on conflict do nothing returning account_id)"
                        " insert into breaker_open (account_id, measure, value, most, notice_id, told_at) select account_id, 'messages', 2, 1, 1, now()"
                        " from h returning 1")
        self.api("GET", "/v1/breakers")
        self.api("GET", f"/v1/breakers/{BOB}")
        self.api("GET", f"/v1/breakers/{BOB}/groups")
        self.api("GET", "/v1/queue?group=0000000000001")
        self.api("PATCH", f"/v1/breakers/{BOB}", {"state": "closed"}, DONE)

    def step_health(self):
        path = "/v1/domains/primary.faults.test"
        self.api("PUT", f"{path}/health", {"force": "up", "reason": "x"})
        self.api("PUT", f"{path}/health", {"force": "none"})
        self.api("GET", f"{path}/health")
        self.api("GET", f"{path}/health/events")
        window = self.api("POST", f"{path}/maintenance-windows", {"starts_at": "2099-01-01T00:00:00Z", "ends_at": "2099-01-01T00:10:00Z",
                                                                  "reason": "x"}, DONE)
        for window in self.api("GET", f"{path}/maintenance-windows")["items"]:
            self.api("GET", f"{path}/maintenance-windows/{window['id']}")
            self.api("DELETE", f"{path}/maintenance-windows/{window['id']}", None, GONE)
        for outage in self.api("GET", "/v1/outages?domain=dead.faults.test")["items"]:
            self.api("GET", f"/v1/outages/{outage['id']}")

    def step_webhooks(self):
        self.make_customer()
        self.api("POST", "/v1/webhooks", {"url": "https://127.0.0.1:9/"})
        self.api("POST", "/v1/webhooks", {"url": "https://127.0.0.1:9/", "customer": "c"})
        for each in self.api("GET", "/v1/webhooks")["items"]:
            path = f"/v1/webhooks/{each['id']}"
            self.api("GET", path)
            self.api("PATCH", path, {"label": "x"})
            self.api("POST", f"{path}/test", None)
            self.api("DELETE", path, None, GONE)
        self.api("POST", "/v1/credential-reseals", None)

    def step_imap_access(self):
        path = "/v1/domains/dead.faults.test/imap-access"
        self.api("POST", "/v1/credentials", {"name": "mailboxes", "user": "u", "password": "p", "tls": "encrypt"}, DONE)
        self.api("PUT", path, {"host": "127.0.0.1", "credential": "mailboxes"})
        assert self.api("GET", path)["port"] == 143
        self.api("PATCH", path, {"port": 9})
        self.api("GET", "/v1/domains/dead.faults.test/carrying")
        self.api("DELETE", path)
        self.api("DELETE", "/v1/credentials/mailboxes", None, GONE)

    def step_queue_actions(self):
        """Many at once, in the background."""
        action = self.api("POST", "/v1/queue-actions", {"action": "priority", "priority": 1, "domain": "dead.faults.test"})
        path = f"/v1/queue-actions/{action['id']}"
        self.api("POST", f"{path}/start", {"count": action["count"]}, DONE)
        wait_until(lambda: self.api("GET", path)["state"] == "done", "it is done", timeout=60)
        self.api("GET", "/v1/queue-actions")
        stopped = self.api("POST", "/v1/queue-actions", {"action": "retry", "domain": "nowhere.faults.test"})
        self.api("POST", f"/v1/queue-actions/{stopped['id']}/stop", None, DONE)

    def dead2(self):
        found = [entry["id"] for entry in self.api("GET", "/v1/queue?domain=dead.faults.test")["items"]
                 if entry["recipient"].startswith("dead2@") and entry["state"] == "waiting"]
        if not found:
            raise TryLater("it is being delivered")
        return found

    def step_decision(self):
        """A refusal, and then what the API tells of it."""
        def once():
            with self.node.smtp() as client:
                client.ehlo()
                for code, text in (client.mail("joe@client.test"), client.rcpt("nobody@faults.test")):
                    if code in (421, 451):
                        raise TryLater(text)
            assert code == 550
            return re.search(rb"\(decision (\w{13})\)$", text)[1].decode()
        path = "/v1/decisions/" + self.patiently(once)
        wait_until(lambda: self.api("GET", path, None, GONE).get("command") == "RCPT", "the refusal can be looked up")


@pytest.fixture
def workload(new_posthouse, own_postgres, sink, outside):
    with working(new_posthouse, own_postgres, sink, outside) as node:
        yield ApiWorkload(node, sink, outside)


@pytest.mark.parametrize("part", range(PARTS))
def test_every_statement_of_the_api_fails_in_every_way(workload, part):
    strike_all(workload, of_api=True, part=part)
    workload.settled()
    assert sorted(workload.relayed()) == sorted(workload.sent[CAROL]), "at the primary, once each"
