"""An authority that gives certificates to clients and servers."""
import base64
import hashlib
import ssl

from .process import run


class Authority:
    def __init__(self, folder, name="authority"):
        self.folder, self.name = folder, name
        self.certificate, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        self._made = 0
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", self.key,
             "-out", self.certificate, "-days", "30", "-subj", f"/CN={name}"])
        self.certificate.chmod(0o644)

    def client(self, *addresses, name="a client", days=30):
        """Certificate and key of a client; negative days: it is over."""
        self._made += 1
        base = self.folder / f"{self.name}-{self._made}"
        request, extensions = base.with_suffix(".csr"), base.with_suffix(".ext")
        certificate, key = base.with_suffix(".crt"), base.with_suffix(".key")
        run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
             "-out", request, "-subj", f"/CN={name}"])
        alternative = ",".join(f"email:{address}" for address in addresses)
        extensions.write_text("extendedKeyUsage=clientAuth\n" + (f"subjectAltName={alternative}\n" if alternative else ""))
        run(["openssl", "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-set_serial",
             str(self._made), "-days", str(days), "-extfile", extensions, "-out", certificate])
        return certificate, key


    def server(self, *names, days=30):
        """A server's context: its certificate for these names, and the authority's behind it."""
        self._made += 1
        base = self.folder / f"{self.name}-{self._made}"
        request, extensions, certificate, key = (base.with_suffix(end) for end in (".csr", ".ext", ".crt", ".key"))
        run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
             "-out", request, "-subj", f"/CN={names[0]}"])
        extensions.write_text("subjectAltName=" + ",".join(f"DNS:{name}" for name in names) + "\n")
        run(["openssl", "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-set_serial",
             str(self._made), "-days", str(days), "-extfile", extensions, "-out", certificate])
        certificate.write_text(certificate.read_text() + self.certificate.read_text())
        return served(certificate, key), certificate


def served(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def tlsa(certificate, usage=3, selector=1, matching=1):
    """The value of a TLSA record for the first certificate of a file."""
    text = certificate.read_text().partition("-----END CERTIFICATE-----")
    data = ssl.PEM_cert_to_DER_cert(text[0] + text[1] + "\n")
    if selector == 1:
        key = run(["openssl", "x509", "-in", certificate, "-noout", "-pubkey"]).stdout
        data = base64.b64decode("".join(key.splitlines()[1:-1]))
    data = {0: data, 1: hashlib.sha256(data).digest(), 2: hashlib.sha512(data).digest()}[matching]
    return f"{usage} {selector} {matching} {data.hex()}"


def fingerprint(client):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(client[0].read_text())).hexdigest()
