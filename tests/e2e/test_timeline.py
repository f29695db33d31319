"""What a reader and a primary see of an outage, in which order and how soon. bench/continuity measures it.

The bounds are those of issue 5 (a second from 250 to EXISTS, five seconds from the good probe to the first message) with a margin that
only a fault exceeds: a machine that is busy is none.
"""
import contextlib
import re
import statistics
import time
from datetime import datetime

from harness.idle import Idle
from harness.posthouse import make_message, subject_of
from harness.process import PATIENCE, wait_until

READER = "carol@relayed.test"
MARGIN = 5 * PATIENCE
SECOND, FIRST = 1 * MARGIN, 5 * MARGIN


def logged(node, words):
    """When the last line with these words was written, in seconds of time.time()."""
    (line,) = [line for line in node.log().splitlines() if words in line][-1:]
    return datetime.fromisoformat(re.search(r"time=(\S+)Z", line)[1] + "+00:00").timestamp()


def test_from_the_outage_to_the_first_drained_message(new_posthouse, sink):
    node = new_posthouse(settings={"delivery.probe_interval": "300ms"}).start()
    node.api.customer("timeline")
    node.api.relay_domain("relayed.test", "timeline", sink.port)
    node.api.account(READER, "timeline")
    node.query("update account set created_at = now() - interval '1 hour'")  # to a new one mail is shown half a second later
    sink.stop()
    node.send("joe@outside.test", READER, make_message("0 waits", to=READER))
    wait_until(lambda: node.subjects(READER) == ["0 waits"], "what waited is readable")
    took = []
    with contextlib.closing(Idle(node, READER)) as idle, node.smtp() as connection:
        for number in range(1, 31):
            connection.sendmail("joe@outside.test", [READER], make_message(f"{number} comes", to=READER))
            answered = time.monotonic()
            count, told = idle.exists()
            assert count == number + 1, "each is told of by itself, after its 250"
            took.append(told - answered)
    took.sort()
    print(f"250 to EXISTS: median {statistics.median(took) * 1000:.1f} ms, 99th percentile {took[-1] * 1000:.1f} ms")
    assert took[-1] < SECOND
    assert not sink.messages, "all of that before the primary has any"
    sink.start()
    first = wait_until(lambda: sink.messages and time.time(), "the first is there", timeout=60, interval=0.005)
    answers = logged(node, "primary answers again")
    print(f"good probe to first message: {first - answers:.2f} s")
    assert first - answers < FIRST
    wait_until(lambda: len(sink.messages) == 31, "all are there", timeout=60)
    assert [subject_of(message.data).split()[0] for message in sink.messages] == [str(number) for number in range(31)], "in order"
    wait_until(lambda: node.api.get("/v1/outages?state=closed")["items"], "it is over")
    (report,) = node.api.get("/v1/outages?state=closed")["items"]
    times = [report[name] for name in ("started_at", "ended_at")]
    assert times == sorted(times) and report["time_to_readable_ms"] < 1000 * SECOND and report["time_to_drain_ms"] is not None
