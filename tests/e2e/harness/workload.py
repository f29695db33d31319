"""What strikes each statement while mail goes on: the parts of test_faults.py and test_faults_api.py that are the same.

A workload is cut into steps. Played once, it tells which statement each step runs (the proxy of faults.py sees them); then each
statement of each step is struck in each mode while the step is played again. A step repeats what it was told to try later,
exactly as a client would, and fails at any answer that is not a temporary one: 451 4.3.0 or another 4xx by SMTP,
NO [UNAVAILABLE] by IMAP, -ERR [SYS/TEMP] by POP3, 503 by the API.

The statements are read from the source: one that no step reaches must be named in ELSEWHERE, with the reason. Those of
API_SOURCES and API_STATEMENTS are test_faults_api.py's to reach; all others are test_faults.py's.
"""
import collections
import contextlib
import email
import fnmatch
import itertools
import poplib
import re
import smtplib
import time
import zlib

from .api import ApiError
from .faults import FaultyPostgres
from .posthouse import PASSWORD, ROOT, make_message, subject_of
from .process import DEADLINE, wait_equal, wait_until

ALIAS = "nan@faults.test"
ANN, BOB, CAROL, OUT = "ann@faults.test", "bob@faults.test", "carol@primary.faults.test", "dan@outside.test"
GUARDED, TOKENED = "gus@guarded.faults.test", "tom@tokened.faults.test"
HOP = {"host": "127.0.0.1", "port": 9, "priority": 1}
HOP_OF_NOBODY = {"host": "127.0.0.1", "port": 9}
PARTS = 2
DONE, GONE = (409,), (404,)  # what a repetition is told when the first try was done and its answer lost


API_SOURCES = ("provision*", "queue_act", "queue_bulk*", "queue_filter", "queue_view", "suspension*", "continuity_policy")
API_STATEMENTS = ("decision_find", "event_list", "event_attempts", "audit_list", "node_count", "queue_claim_rejected")
API_STATEMENTS += ("hold_discarded_read", "hold_discard_lock", "hold_discard_event", "hold_discard_bump", "hold_discard_mark",
                   "hold_discard_message", "hold_discard_entry")
API_STATEMENTS += ("similar_list",)
API_STATEMENTS += ("outage_view_list", "outage_view_get", "outage_view_count")

# Statements that no step reaches, or not often enough to be struck.
ELSEWHERE = {
    "schema_has_table": "start and --migrate: test_runtime.py (database away at start)",
    "schema_list": "the same",
    "installation_salt_key": "once at start",
    "setup_session": "the connection's own; without it there is no connection",
    "db_relax": "set with the units that may be lost",
    "db_in_order": "set with a page that is read: what fails there fails the page",
    "node_take_number": "start: tests/storage/test_node.c, test_nodes.py",
    "node_free_stale_cells": "the same",
    "queue_bury": "the same",
    "queue_heir_read": "after a worker was killed: test_nothing_lost.py",
    "queue_heir_doubt": "the same",
    "node_leave_cells": "an orderly stop",
    "node_leave_number": "the same",
    "accept_find_uids": "asked only when an acceptance was lost: tests/storage/test_accept.c kills the server under one",
    "provision_witness": "asked only when a change was lost, as in mode lost of the others",
    "destination_ensure": "when leases are given back or taken back: test_delivery.py, tests/storage/test_node.c",
    "destination_untried": "when a probe came to nothing; else the next one comes later: test_queue_running.py",
    "destination_join": "when mail comes for a destination that is away: test_queue_running.py; what fails is made good by the next claim",
    "queue_release": "an orderly stop with mail in memory: test_delivery.py",
    "queue_claim_again": "asked only when the answer to a claim was lost: test_delivery.py",
    "queue_renew": "every 15 s for what stays in memory so long",
    "queue_reclaim": "every 5 s, and does nothing while no worker has died",
    "token_find": "remembered for five seconds; a token that cannot be looked up: test_api.py (the database goes)",
    "token_mark_used": "once an hour for a token",
    "credential_upgrade": "once for an imported hash, and may fail: test_password_hashes.py strikes it in every way",
    "primary_password_keep": "once for a password, and may fail: test_primary_password.py strikes it in every way",
    "primary_password_drop": "the same",
    "app_password_mark_used": "once in ten minutes, and may be lost",
    "certificate_mark_used": "the same",
    "guard_write": "may be lost by design: the process that counted knows, the others learn of the next",
    "guard_read": "every second; test_bans.py takes the database away",
    "guard_forget": "every ten minutes",
    "known_changes": "every 700 ms; what is known stays: test_clients_limits.py",
    "allow_list": "the same",
    "suspension_list": "the same",
    "held_account_list": "the same",
    "breaker_policy_list": "the same",
    "breaker_failing": "every second; what fails is asked again",
    "similar_clean": "every five minutes; groups of which nothing is held stay until the next",
    "breaker_country_note": "some times a second, and may be lost: the address comes again",
    "breaker_make": "a part of the transaction of breaker_close",
    "breaker_country_own": "a part of the transaction of breaker_close",
    "breaker_country_forget": "once an hour",
    "breaker_over": "every second, of breakers that close by themselves; what fails is done at the next: test_breaker.py",
    "breaker_failures": "a part of the transaction of report_delete, when mail bounces",
    "held_folder_drop": "every forty seconds; test_held_folders.py",
    "content_rule_version": "the same",
    "content_rule_list": "the same",
    "audit_forget": "once an hour; what stays goes an hour later: test_audit_log.py",
    "suspension_pass_take": "every second; what fails is tried again in the next",
    "suspension_find_customer": "a twin of suspension_find_sender; what a pass does not find, the next does, a minute later",
    "suspension_find_destination": "the same",
    "suspension_find_domain": "the same",
    "suspension_find_sender": "the same: a pass is made once a minute for a suspension; test_suspensions.py",
    "suspension_hold_waiting": "the same",
    "delivery_policy_list": "the same",
    "srs_key_list": "the same; test_srs.py strikes it",
    "dns_list_all": "the same",
    "client_policy_uses": "the same",
    "greylist_write": "may be lost by design: who was put off comes again",
    "greylist_write_clients": "the same",
    "provision_ban_get": "needs a ban: test_bans.py",
    "provision_ban_require": "the same",
    "provision_ban_lift": "the same",
    "accept_waiting_make": "a part of the transaction of accept_entries, when RCPT knew of an outage: test_outage.py",
    "accept_waiting_wake": "the same",
    "accept_delayed": "a part of the transaction of accept_entries, of a delay notice: test_dsn.py",
    "accept_late": "the same, of a notice that mail is late: test_deliver_by.py",
    "queue_claim_late_again": "asked only when the answer to such a claim was lost, as queue_claim_again",
    "outage_age_stop": "each second, before what is over is looked for; what cannot be asked is not over then: test_outage.py",
    "queue_delayed_read": "every some seconds for mail that was put off; a notice that could not be asked for comes later",
    "queue_not_delayed": "the same",
    "queue_claim_rejected_again": "asked only when the answer to such a claim was lost, as queue_claim_again",
    "cache_number": "not asked with the cache off, as here; test_cache.py takes the database away",
    "queue_count_states": "kept for ten seconds and more; the database away leaves the numbers out: test_metrics.py",
    "queue_count_destinations": "the same",
    "queue_count_away": "the same",
    "queue_waiting_read": "a collector's connection (ATRN): test_atrn.py takes the database away",
    "queue_waiting_count": "the same",
    "queue_audit_find": "the same: test_etrn.py, test_atrn.py",
    "queue_audit_event": "the same",
    "directory_collected": "the same",
    "provision_domain_require_collector": "a part of the transaction of provision_domain_insert: test_atrn.py",
    "maintenance_learned": "every some minutes; what it deletes: tests/storage/test_learned.c",
    "learned_note_all": "may be lost by design: it is asked again",
    "learned_note_not_all": "the same",
    "learned_note": "the same",
    "directory_route_named": "only where default_route names a route: test_routes.py; a twin of directory_route",
    "tls_report_add_domains": "a part of the transaction of tls_report_add_rows",
    "tls_report_add_rows": "may be lost by design; test_tlsrpt.py strikes it in every way",
    "tls_report_take": "by time; test_tlsrpt.py strikes it in every way",
    "tls_report_read": "the same",
    "tls_report_end": "the same",
    "sts_policy_find": "mail by MX: test_sts.py strikes it in every way",
    "sts_policy_put": "the same",
    "sts_policy_failed": "the same",
    "sts_policy_due": "by time: test_sts.py strikes it",
    "sts_policy_forget": "the same",
    "srs_key_make": "a part of the transaction of srs_key_forget",
    "srs_key_forget": "by time: test_srs.py strikes it",
    "maintenance_health": "every some minutes",
    "provision_domain_forget_health": "a part of the transaction of provision_domain_set",
    "outage_is_open": "a part of the transaction of outage_insert",
    "outage_report_list": "every second; test_outage_report.py strikes it",
    "outage_count": "the same",
    "outage_report_sent": "the same",
    "outage_report_made": "the same",
    "outage_report_kept": "the same",
    "outage_report_mailboxes": "the same",
    "outage_report_again": "a minute after an outage, and again a second later",
    "outage_report_end": "the same",
    "webhook_expire": "every half minute, and may fail",
    "hop_size_find": "for large messages: test_door.py strikes it",
    "hop_size_put": "may be lost by design: it is learned again; test_door.py strikes it",
    "hop_size_forget": "once an hour",
    "event_last_attempts": "a report of a delay, or of the end of a lifetime, goes without what it asks: test_notices.py",
    "hint_notify": "may be lost by design: what it hints at is polled for",
}
ELSEWHERE.update({name: "only for a domain that wants anything but delivery: test_deleted_mail.py strikes it" for name in (
    "deletion_some", "deletion_lock", "deletion_event", "deletion_cancel", "deletion_hold")})
ELSEWHERE["outage_fresh"] = "only where more than a page waits to be shown; what fails is done by the next tick: test_outage_order.py"
ELSEWHERE["outage_read_wanted"] = "what cannot be asked is not counted, and is deleted all the same: test_outage_report.py"
ELSEWHERE["outage_read_some"] = "a part of the transaction of mailbox_expunge, in an outage: test_outage_report.py"
ELSEWHERE["outage_read_all"] = "the same, when a mailbox goes"
ELSEWHERE["mailbox_some_uids"] = "only for a mailbox with very many that wait: test_deleted_mail.py"
ELSEWHERE["deletion_all"] = "the same, when a mailbox goes: the twin of deletion_some"
ELSEWHERE.update({name: "only with IMAP access to a primary: test_carry.py strikes it" for name in (
    "imap_access_of", "carry_items", "carry_begin", "carry_copies", "carry_done", "carry_accounts",
    "carry_place", "carry_mailbox")})
ELSEWHERE.update({name: "the same, when that is in trouble, and may be lost: its time is over then" for name in (
    "carry_put_off", "carry_put_off_all")})
ELSEWHERE.update({name: "the same, and is asked or done anew in the next turn: test_carry_once.py" for name in (
    "carry_extend", "carry_left", "carry_left_drop", "carry_taken", "carry_drop_account")})
ELSEWHERE.update({name: "only for what was sent to a primary without it; the id makes it once: test_carry.py" for name in ("carry_sent", "carry_forget")})
ELSEWHERE.update({name: "by time, and what fails is done at the next run: test_deleted_mail.py" for name in (
    "carry_keep_due", "carry_keep_lock", "carry_keep_bump", "carry_keep_read", "carry_keep_release", "carry_keep_expunge", "carry_keep_end")})
ELSEWHERE.update({name: "what is not known now is met again: test_health.py strikes it in every way" for name in (
    "health_read", "health_write", "health_tasks", "outage_note_back", "outage_note_shown", "outage_planned")})
ELSEWHERE["health_unforce"] = "needs a force whose time is over, and is tried again each half second: test_health_borders.py strikes it"
ELSEWHERE["health_tell_window"] = "needs a maintenance window, and is tried again each half second: test_health_borders.py strikes it"
ELSEWHERE.update({name: "needs a drill of an account, and is tried again each tick: test_drills.py strikes it" for name in (
    "drill_due", "drill_begin", "drill_open", "drill_waiting", "drill_hold", "drill_unshown", "drill_note_shown", "drill_note_back",
    "drill_release", "drill_is_even", "drill_end")})
ELSEWHERE.update({name: "a part of the transaction of drill_hold" for name in ("drill_lock", "drill_event")})
ELSEWHERE["drill_list"] = "with what is known; what is known stays: test_clients_limits.py"
ELSEWHERE["outage_view_since"] = "asked while a drain goes on; without an answer the estimate is null: test_recovery.py"
ELSEWHERE["outage_view_count_drill"] = "the twin of outage_view_count, of an account's drill: test_drills.py"
ELSEWHERE.update({name: "test_webhooks.py strikes it in every way" for name in (
    "webhook_claim", "webhook_messages", "webhook_remove", "webhook_succeeded", "webhook_put_off", "webhook_failed", "webhook_release")})
ELSEWHERE.update({name: "only where there is a breaker policy: test_breaker.py strikes it in every way" for name in (
    "breaker_read", "breaker_write_new", "breaker_write", "breaker_open", "breaker_work", "breaker_notice_there", "breaker_told", "breaker_walk",
    "breaker_hold_waiting", "breaker_looked", "similar_ungrouped", "similar_lock", "similar_make", "similar_join", "breaker_forget", "breaker_close")})
ELSEWHERE.update({name: "every some minutes: tests/storage/test_accept.c, test_maintenance.c" for name in (
    "maintenance_gone", "maintenance_history", "maintenance_idle", "maintenance_lock", "maintenance_lost_mail",
    "maintenance_orphans", "maintenance_partitions", "maintenance_purge", "maintenance_released", "maintenance_sent", "maintenance_unlist",
    "maintenance_usage", "maintenance_outage_read", "maintenance_greylist", "maintenance_greylist_client")})


def statements(of_api):
    """Name and whether it only reads."""
    found = {}
    for path in (ROOT / "storage").glob("*.c"):
        source = any(fnmatch.fnmatch(path.stem, pattern) for pattern in API_SOURCES)
        for name, sql in re.findall(r"struct db_statement \w+ = \{\s*\"(\w+)\",\s*\"?([\w ]*)", path.read_text()):
            if (source or name in API_STATEMENTS) == of_api:
                found[name] = sql.startswith("select")
    assert len(found) > 50
    return found


class TryLater(Exception):
    """An answer that says so."""


class Workload:
    """What the steps of both files use; a subclass has the steps, each a method step_NAME."""

    def __init__(self, node, sink, outside):
        self.node, self.sink, self.outside = node, sink, outside
        self.sent = collections.defaultdict(list)  # recipient: subjects that were answered with 250
        self.numbers = itertools.count(1)

    def steps(self):
        return [getattr(self, name) for name in dir(self) if name.startswith("step_")]

    # ------------------------------------------------------------------ what may be answered

    def patiently(self, action):
        end = time.monotonic() + DEADLINE
        while True:
            try:
                return action()
            except TryLater as later:
                assert time.monotonic() < end, f"still told to try later: {later}"
                time.sleep(0.05)  # as a client does

    @staticmethod
    def smtp_later(error):
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            code, text = next(iter(error.recipients.values()))
        elif isinstance(error, smtplib.SMTPResponseException):
            code, text = error.smtp_code, error.smtp_error
        else:
            raise error
        if not 400 <= code < 500:
            raise error
        raise TryLater(text)

    def mail(self, recipient, login=None, sender=None, size=0, parameters=(), null=False):
        def once():
            subject = f"m{next(self.numbers)}"
            message = make_message(subject, sender=sender or login or "joe@client.test", to=recipient,
                                   body="Hello.\n" + ("x" * 70 + "\n") * (size // 71))
            try:
                if login:
                    with self.node.submission(login) as client:
                        client.sendmail("" if null else login, [recipient], message, parameters)
                else:
                    with self.node.smtp() as client:
                        client.sendmail(sender or "joe@client.test", [recipient], message, parameters)
            except smtplib.SMTPException as error:
                self.smtp_later(error)
            self.sent[recipient].append(subject)
            return subject
        return self.patiently(once)

    def api(self, method, path, body=None, done_before=()):
        """done_before: statuses that a repetition gets when the first try was done and its answer lost."""
        def once():
            status, _, parsed = self.node.api.request(method, path, body)
            if status in (429, 503) or (status == 409 and "try again" in str(parsed)):
                raise TryLater(parsed)
            if status not in done_before and not 200 <= status < 300:
                raise ApiError(method, path, status, parsed)
            return parsed
        return self.patiently(once)

    # ------------------------------------------------------------------ what came of it

    def settled(self):
        """What is reported after a delivery belongs to the step that made it."""
        wait_equal(lambda: self.node.query("select count(*) from queue_entry where recipient not like 'dead@%'"), [["0"]],
                   "the queue is empty", timeout=90)

    def relayed(self):
        return [subject_of(message.data) for message in self.sink.messages if CAROL in message.recipients]

    def gone_out(self):
        return [subject_of(message.data) for message in self.outside.messages]

    def box(self, login):
        return self.patiently(lambda: self.box_once(login))

    def box_once(self, login):
        try:
            with self.node.pop3(login) as connection:
                return [email.message_from_bytes(b"\r\n".join(connection.top(number + 1, 0)[1]))["Subject"]
                        for number in range(connection.stat()[0])]
        except poplib.error_proto as error:
            if "[SYS/TEMP]" not in str(error):
                raise
            raise TryLater(error) from error


@contextlib.contextmanager
def working(new_posthouse, own_postgres, sink, outside, settings=()):
    """A posthoused whose database fails on purpose, with what every step finds there."""
    faulty = FaultyPostgres(own_postgres)
    node = new_posthouse(postgres=faulty, default_route=outside.port, settings={
        "daemon.workers": 1, "delivery.probe_interval": "200ms", "database.statement_timeout": "500ms",
        "database.cache_size": 0, **dict(settings)})
    try:
        node.start()
        node.api.customer("faults")
        node.api.hosted_domain("faults.test", "faults")
        node.api.relay_domain("primary.faults.test", "faults", sink.port)
        node.api.relay_domain("dead.faults.test", "faults", 9)
        for address in (BOB, CAROL):
            node.api.account(address, "faults")
        node.api.post("/v1/accounts", {"address": ANN, "customer": "faults", "password": PASSWORD, "aliases": [ALIAS]})
        node.api.post("/v1/relay-grants", {"customer": "faults", "account": ANN, "messages_per_day": 1000000})
        node.api.post("/v1/networks", {"cidr": "127.0.0.0/8", "customer": "faults"})
        node.send("joe@client.test", "dead@dead.faults.test", make_message("dead"))
        yield node
        node.close()
    finally:
        faulty.close()


# ---------------------------------------------------------------------- striking

def play(steps, faulty, statement, mode):
    """The first of the steps, until the fault has struck in it; if it does not come by, the others in which it did before."""
    fault = faulty.arm(statement, mode)
    for step in itertools.islice(itertools.cycle(steps), max(3, len(steps))):
        try:
            step()
        except AssertionError as error:
            raise AssertionError(f"{statement} {mode}: {error}") from error
        try:
            wait_until(lambda: fault.struck, f"{statement} is met", timeout=4)
            return
        except AssertionError:
            continue
    faulty.disarm()
    raise AssertionError(f"{statement} was met in {steps[0].__name__} before, and is not any more")


def is_mine(statement, part):
    """The statements are shared out to PARTS tests that run side by side, whatever steps each of those meets them in."""
    return zlib.crc32(statement.encode()) % PARTS == part


def strike_all(workload, of_api, part):
    """Each statement of the API, or of the rest, that is this part's, in each way; in which steps each is met, the best first."""
    faulty = workload.node.postgres
    steps, waits = workload.steps(), getattr(workload, "step_renewal", None)
    steps.sort(key=lambda step: step != waits)  # so that what is met on the way is met there
    rounds = collections.defaultdict(int)  # (statement, step): in how many of the rounds it was met
    took = collections.defaultdict(float)
    for step in steps * 2:
        faulty.seen.clear()
        began = time.monotonic()
        step()
        workload.settled()  # what it has caused belongs to it
        took[step] += time.monotonic() - began
        for statement in faulty.seen:
            rounds[statement, step] += 1
    met = {statement for statement, _ in rounds}
    # what goes on in the background is met here and there; it belongs where it is met each time, and to a step that causes it
    # rather than to the one that only waits, unless that is what the waiting is for; and then to the quickest
    assigned = {statement: sorted((step for step in steps if rounds[statement, step]),
                                  key=lambda step: (-rounds[statement, step],
                                                    (step == waits) != statement.startswith("node_"), took[step]))
                for statement in met}
    reads = statements(of_api)
    assert met | set(ELSEWHERE) >= set(reads), f"no step reaches {sorted(set(reads) - met - set(ELSEWHERE))}"

    for statement, met_in in sorted(assigned.items(), key=lambda item: (item[1][0].__name__, item[0])):
        step = met_in[0]
        if statement in ELSEWHERE or statement not in reads or not is_mine(statement, part):
            continue
        modes = ["refused", "cut", "lost"]
        if step == waits:
            modes = ["lost"]
        elif step.__name__.startswith("step_api") and not reads[statement]:
            modes.remove("refused")  # for the sake of time: test_api.py has errors of every kind
        elif reads[statement]:
            modes.remove("lost")  # for who only reads that is the same as "cut"
        for mode in modes:
            play(met_in, faulty, statement, mode)
    return assigned
