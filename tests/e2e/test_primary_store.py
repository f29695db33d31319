"""The primary that others are tested with: Postfix delivering by LMTP into Dovecot."""
from harness.dovecot import MASTER, MASTER_PASSWORD
from harness.posthouse import make_message
from harness.process import wait_equal, wait_until

CAROL = "carol@relayed.test"


def test_mail_reaches_dovecot_through_postfix(posthouse, postfix, dovecot):
    postfix.deliver_to(dovecot)
    postfix.start()
    posthouse.api.customer("store")
    posthouse.api.relay_domain("relayed.test", "store", postfix.port)
    posthouse.send("joe@outside.test", CAROL, make_message("hello", to=CAROL))
    wait_equal(lambda: [item.subject for item in dovecot.store(CAROL)["INBOX"]], ["hello"], "it is in the INBOX")
    with dovecot.imap(f"{CAROL}*{MASTER}", MASTER_PASSWORD) as connection:
        connection.select("INBOX")
        connection.store("1", "+FLAGS", r"(\Flagged $Label)")
    assert dovecot.store(CAROL)["INBOX"][0].flags == {r"\Flagged", "$Label"}


def test_filters_and_names(new_dovecot, postfix, posthouse):
    store = new_dovecot(separator=".", prefix="INBOX.", sent="Gesendet")
    store.filter('require "fileinto"; if header :contains "Subject" "list" { fileinto :create "INBOX.Lists"; }'.replace(
        '"fileinto";', '["fileinto", "mailbox"];'))
    store.start()
    postfix.serve("filtered.relayed.test")
    postfix.deliver_to(store)
    postfix.start()
    posthouse.api.customer("filtered")
    posthouse.api.relay_domain("filtered.relayed.test", "filtered", postfix.port)
    dora = "dora@filtered.relayed.test"
    for subject in ("list one", "other"):
        posthouse.send("joe@outside.test", dora, make_message(subject, to=dora))
    wait_equal(lambda: {name: [item.subject for item in items] for name, items in store.store(dora).items() if items},
               {"INBOX": ["other"], "INBOX.Lists": ["list one"]}, "each is in its place")
    store.kill()
    store.start()
    wait_until(lambda: "INBOX.Gesendet" in store.store(dora), "it is there again")
