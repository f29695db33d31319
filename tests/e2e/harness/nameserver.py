"""An authoritative name server (Knot DNS) with signed zones, unsigned ones and ones that do not validate, below a root of its own.

    with Nameserver() as dns:
        dns.domain("good.test")                  # a signed zone; its DS is in the root
        dns.domain("plain.test", signed=False)   # not signed, and the root proves it
        dns.domain("forged.test", bogus=True)    # signed by another key than its DS says: whatever is asked there is bogus
        dns.set("good.test", "MX", "10 mx.good.test.")
        dns.set("mx.good.test", "A", "127.0.0.2")
        dns.start()
        node = new_posthouse(settings=dns.settings)

set() replaces what a name has of a type, without values it removes it; a running server has it when set() returns. A name
belongs to the longest domain() that it is in, else to the root, which is signed. A domain() below another makes one name
bogus: domain("_tcp.mx.good.test", bogus=True) breaks the TLSA records of mx.good.test and nothing else.

All times to live are 0, so that nothing is remembered; but libunbound keeps for a minute what was bogus.

.settings are dns.resolver and dns.trust_anchor_file for it, and what nameserver.mail(port) adds: where MX hosts listen.
Names of the harness's own (names.py) is a server without DNSSEC that can be silent and counts questions.
"""
import itertools
import re
import shutil

from .process import Process, free_port, make_folder, remove_folder, run, wait_until

CONFIG = """
server:
    listen: 127.0.0.1@{port}
    rundir: {folder}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: notice
database:
    storage: {folder}
policy:
  - id: signed
    algorithm: ecdsap256sha256
    single-type-signing: on
    manual: on
    nsec3: off
    signing-threads: 1
template:
  - id: default
    storage: {folder}
    file: {folder}/zone-%s
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
zone:
"""
SOA = "@ 0 SOA ns.root.test. admin.root.test. {serial} 3600 600 86400 0\n@ 0 NS ns.root.test.\n"
ROOT = "."
WRONG = "12345 13 2 " + "00" * 32  # a DS of no key


def unavailable():
    missing = [name for name in ("knotd", "knotc", "keymgr") if not _program(name)]
    return f"{', '.join(missing)} missing (Debian package: knot)" if missing else None


def _program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


class Nameserver:
    def __init__(self):
        self.port = free_port()
        self.folder = make_folder("dns")
        self.folder.chmod(0o755)
        self.trust_anchor = self.folder / "trust-anchor"
        self.settings = {"dns.resolver": f"127.0.0.1@{self.port}", "dns.trust_anchor_file": self.trust_anchor}
        self.zones = {}    # name: "signed", "unsigned" or "bogus"
        self.records = {}  # (name, type): values
        self.delegations = {}
        self.serials = itertools.count(1)
        self.process = None
        self.set("ns.root.test", "A", "127.0.0.1")
        self.domain(ROOT)
        self.trust_anchor.write_text("\n".join(f". IN DS {value}" for value in self.delegations.pop(ROOT)) + "\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stop()
        remove_folder(self.folder)

    # ------------------------------------------------------------------ what is said

    def domain(self, name, signed=True, bogus=False):
        self.zones[name] = "bogus" if bogus else "signed" if signed else "unsigned"
        self._write_config()
        if self.zones[name] != "unsigned":
            self._keymgr(name, "generate", "algorithm=ecdsap256sha256", "ksk=yes", "zsk=yes")
        if self.zones[name] == "signed":
            lines = self._keymgr(name, "ds").splitlines()
            self.delegations[name] = [line.partition(" DS ")[2] for line in lines if " 13 2 " in line]
        elif self.zones[name] == "bogus":
            self.delegations[name] = [WRONG]
        self._renew()

    def set(self, name, kind, *values):
        self.records[name, kind] = values
        self._renew()

    def tlsa(self, host, *values, port=25):
        self.set(f"_{port}._tcp.{host}", "TLSA", *values)

    # ------------------------------------------------------------------ how

    def start(self):
        self._write_zones()
        self.process = Process("knotd", [_program("knotd"), "-c", self.folder / "conf"], self.folder / "log")
        wait_until(self._loaded, "the zones are served")
        return self

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None

    def _renew(self):
        if self.process:
            self._write_zones()
            self._knotc("reload")
            wait_until(self._loaded, "the zones are served")

    def _loaded(self):
        if not self.process.running():
            raise RuntimeError("knotd ended:\n" + self.process.log()[-4000:])
        done = self._knotc("zone-status", check=False)
        return done.returncode == 0 and len(re.findall(rf"serial: {self.serial}\b", done.stdout)) == len(self.zones)

    def _file(self, zone):
        return self.folder / f"zone-{zone.rstrip('.') or 'root'}"

    def _write_config(self):
        text = CONFIG.format(port=self.port, folder=self.folder)
        for zone, kind in self.zones.items():
            text += f'  - domain: "{zone}"\n    file: {self._file(zone)}\n'
            if kind != "unsigned":
                text += "    dnssec-signing: on\n    dnssec-policy: signed\n"
        (self.folder / "conf").write_text(text)

    def _zone_of(self, name):
        """Whose record it is; for a delegation: without the zone itself."""
        fitting = [zone for zone in self.zones if zone != ROOT and (name == zone or name.endswith("." + zone))]
        return max(fitting, key=len, default=ROOT)

    def _write_zones(self):
        self.serial = next(self.serials)
        lines = {zone: ["$ORIGIN " + zone.rstrip(".") + ".\n", SOA.format(serial=self.serial)] for zone in self.zones}
        for (name, kind), values in self.records.items():
            lines[self._zone_of(name)] += [f"{name}. 0 {kind} {value}\n" for value in values]
        for zone in self.zones:
            if zone != ROOT:
                above = lines[self._zone_of(zone.partition(".")[2])]
                above.append(f"{zone}. 0 NS ns.root.test.\n")
                above += [f"{zone}. 0 DS {value}\n" for value in self.delegations.get(zone, [])]
        for zone, text in lines.items():
            self._file(zone).write_text("".join(text))

    def _keymgr(self, *arguments):
        return run([_program("keymgr"), "-c", self.folder / "conf", *arguments]).stdout

    def _knotc(self, *arguments, check=True):
        return run([_program("knotc"), "-c", self.folder / "conf", *arguments], check=check)
