"""TLS to a server of ours: whom to trust, what to show of oneself, how much to check."""

from __future__ import annotations

import ssl
from typing import NamedTuple

FULL, ISSUER, NOTHING = "full", "ca", "none"
"""What is checked of the server's certificate: issuer and host name, the issuer alone, nothing."""


class FileNames(NamedTuple):
    """The settings that name the files, for what is said when one cannot be used."""

    ca: str
    cert: str
    key: str


def client_context(names: FileNames, ca_file: str, cert_file: str, key_file: str, verify: str) -> ssl.SSLContext:
    """For a client. Raises ValueError with the setting whose file cannot be used. Without ``ca_file`` the authorities of the
    system are trusted; without ``key_file`` the key is in ``cert_file`` too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if verify == NOTHING else _trusting(names.ca, ca_file)
    # Python 3.13 asks more of a certificate than 3.11; authorities of one's own seldom write all of it.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = verify == FULL
    if verify == NOTHING:
        context.verify_mode = ssl.CERT_NONE
    if cert_file:
        try:
            # A password, since without one a key that wants one asks for it on the terminal.
            context.load_cert_chain(cert_file, key_file or None, password="")
        except OSError as error:
            raise ValueError(
                f"{names.cert}, {names.key}: a certificate and its own key without a password are wanted ({_words(error)})"
            ) from None
    return context


def _trusting(setting: str, ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise ValueError(f"{setting}: a file with certificates in PEM form is wanted ({_words(error)})") from None


def _words(error: OSError) -> str:
    # ssl.SSLError is an OSError too.
    return (isinstance(error, ssl.SSLError) and error.reason) or error.strerror or type(error).__name__
