"""TLS to a server of ours: whom to trust, what to show of oneself, how much to check."""

from __future__ import annotations

import ssl

FULL, ISSUER, NOTHING = "full", "ca", "none"
"""What is checked of the server's certificate: issuer and host name, the issuer alone, nothing."""


def client_context(settings: str, ca_file: str, cert_file: str, key_file: str, verify: str) -> ssl.SSLContext:
    """For a client. ``settings``: what the names of the settings begin with, such as REDIS_TLS; a file that cannot be used
    raises ValueError with its setting. Without ``ca_file`` the authorities of the system are trusted."""
    context = _trusting(f"{settings}_CA_FILE", ca_file)
    # Python 3.13 asks more of a certificate than 3.11; authorities of one's own seldom write all of it.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = verify == FULL
    if verify == NOTHING:
        context.verify_mode = ssl.CERT_NONE
    if cert_file:
        try:
            # A password, since without one a key that wants one asks for it on the terminal.
            context.load_cert_chain(cert_file, key_file, password="")
        except OSError as error:
            names = f"{settings}_CERT_FILE, {settings}_KEY_FILE"
            raise ValueError(
                f"{names}: a certificate and its own key without a password are wanted ({_words(error)})"
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
