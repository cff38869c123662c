"""A mail server from the package index (`aiosmtpd`) as a process on loopback, with recipients that it refuses.

`python -m tests.support.smtp_server PORT FOLDER [USER PASSWORD] [CERTIFICATE]`. It writes each mail that it accepts as a line of
FOLDER/accepted. With a certificate it requires STARTTLS. While FOLDER/drop exists, it accepts a mail and ends the connection
without an answer.
"""

import asyncio
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

REPO = Path(__file__).parents[2]
USER, PASSWORD = "callreel", "s3cret-of-the-relay"


@dataclass(frozen=True, slots=True)
class SmtpServer:
    port: int
    folder: Path

    def accepted(self) -> list[tuple[str, EmailMessage]]:
        """Recipient and message of each accepted mail, in their order."""
        file = self.folder / "accepted"
        lines = file.read_text().splitlines() if file.exists() else []
        found = [json.loads(line) for line in lines]
        return [(one["to"], _parsed(one["text"])) for one in found]

    def drops(self, drops: bool) -> None:
        """Whether it ends the connection after a mail, without an answer."""
        file = self.folder / "drop"
        file.touch() if drops else file.unlink()


def _parsed(text: str) -> EmailMessage:
    found = message_from_bytes(text.encode("ascii"), policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


@contextmanager
def smtp_server(
    port: int, folder: Path, *, signs_in: bool = True, certificate: Path | None = None
) -> Iterator[SmtpServer]:
    folder.mkdir(exist_ok=True)
    options = [*((USER, PASSWORD) if signs_in else ("", "")), str(certificate or "")]
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "tests.support.smtp_server",
        str(port),
        str(folder),
        *options,
    ]
    process = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n", "the mail server does not start"
        yield SmtpServer(port, folder)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def new_certificate(file: Path) -> Path:
    """Key and certificate of 127.0.0.1, which is its own authority, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a mail server")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    file.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()) + made.public_bytes(pem))
    return file


async def _serve(port: int, folder: Path, user: str, password: str, certificate: str) -> None:
    from aiosmtpd.smtp import SMTP, AuthResult

    class Handler:
        async def handle_RCPT(  # noqa: N802
            self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
        ) -> str:
            if address.startswith("unknown"):
                return "550 5.1.1 there is no such mailbox"
            if address.startswith("full") and not (folder / "emptied").exists():
                return "452 4.2.2 the mailbox is full"
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
            text = envelope.content.decode("ascii")
            with (folder / "accepted").open("a") as kept:
                kept.write("".join(json.dumps({"to": to, "text": text}) + "\n" for to in envelope.rcpt_tos))
            if (folder / "drop").exists():
                server.transport.abort()
            return "250 OK"

    def signs_in(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> Any:
        right = (given.login.decode(), given.password.decode()) == (user, password)
        return AuthResult(success=right, handled=False)

    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)

    def protocol() -> Any:
        return SMTP(
            Handler(), hostname="mail.test", tls_context=tls, require_starttls=tls is not None, auth_require_tls=False,
            authenticator=signs_in if user else None, auth_required=bool(user),
        )  # fmt: skip

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    number, place, *rest = sys.argv[1:]
    asyncio.run(_serve(int(number), Path(place), *rest))
