"""A DNS server that says what the test wants, on a port of its own; a node asks it with {"dns.resolver": names.resolver}.

names.records[("2.0.51.198.bl.lists.example", "A")] = ["127.0.0.2"]; what is not there is NXDOMAIN, or empty if the name has other types.
A name in names.broken is SERVFAIL, one that ends in one of names.silent is not answered. names.asked counts questions.
"""
import collections
import ipaddress
import socket
import struct
import threading

TYPES = {"A": 1, "PTR": 12, "TXT": 16, "AAAA": 28}


def reverse(address):
    """As lists and reverse zones have it, without the zone."""
    pointer = ipaddress.ip_address(address).reverse_pointer
    return pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


def encode(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def rdata(kind, value):
    if kind == "PTR":
        return encode(value)
    if kind == "TXT":
        return bytes([len(value)]) + value.encode()
    return ipaddress.ip_address(value).packed


class Names:
    def __init__(self):
        self.records = {}
        self.broken, self.silent = set(), ()
        self.asked = collections.Counter()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.resolver = f"127.0.0.1@{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.sendto(b"", self.socket.getsockname())
        self.thread.join()
        self.socket.close()

    # ------------------------------------------------------------------ what is said

    def listed(self, address, zone, answer="127.0.0.2", text=None):
        name = f"{reverse(address)}.{zone}"
        self.records[name, "A"] = [answer]
        if text:
            self.records[name, "TXT"] = [text]

    def named(self, address, name, leads_to=None):
        family = "ip6" if ":" in address else "in-addr"
        self.records[f"{reverse(address)}.{family}.arpa", "PTR"] = [name]
        self.records[name, "AAAA" if ":" in address else "A"] = [leads_to or address]

    # ------------------------------------------------------------------ how

    def serve(self):
        while True:
            query, client = self.socket.recvfrom(4096)
            if not query:
                return
            reply = self.answer(query)
            if reply:
                self.socket.sendto(reply, client)

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        name, (kind,) = ".".join(labels), struct.unpack(">H", query[at + 1:at + 3])
        kind = next((word for word, number in TYPES.items() if number == kind), None)
        self.asked[name] += 1
        if any(name.endswith(end) for end in self.silent):
            return None
        known = any(other == name or other.endswith("." + name) for other, _ in self.records)
        code = 2 if name in self.broken else 0 if known else 3
        answers = b"" if code else b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", TYPES[kind], 1, 60, len(data)) + data
            for data in (rdata(kind, value) for value in self.records.get((name, kind), [])))
        count = 0 if code else len(self.records.get((name, kind), []))
        return query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, count, 0, 0) + query[12:at + 5] + answers
