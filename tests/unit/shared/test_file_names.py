"""Names of files: kept as people write them, refused where they are dangerous, read out of every usual header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.media.file_names import (
    MOST_UNITS,
    NameRefused,
    address_filename,
    found_filename,
    given_filename,
    header_filename,
    header_parameters,
    plain_filename,
    unseen_filename,
)

ORDINARY = [
    "a.pdf",
    "Zusage – März.pdf",
    "报价.xlsx",
    "a b (1).txt",
    "Screenshot 2026-11-03 at 9.41.07\u202fAM.png",
    "Screenshot 2026-11-03 at 9.41.07\u202fp.m..png",
    "facture\u00a0n°\u00a05.pdf",
    "見積書\u3000改訂.pdf",
    "نامه\u200cها.pdf",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family.pdf",
    "\u200eחשבונית\u200f 12.pdf",
    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f.pdf",
    "re\u0301sume\u0301.docx",
    "Acme Ltd..pdf",
    "what...ever.pdf",
    "zwei\u00adteilig.pdf",
    "ใ" * 66 + ".pdf",
    "ใ" * (MOST_UNITS - 4) + ".pdf",
    "a & b; c, d = 'e' \"f\" #1 100% [x] {y} ~ ^ + @.pdf",
    "12:30 <draft>?*|.pdf",
    "\uf8ff Pay.pdf",
    "\U0001fae9 new.pdf",
    "console.pdf",
    "com.example.pdf",
    "concert.pdf",
    "aux1.pdf",
]


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    assert given_filename(name) == name
    assert found_filename(name) == name


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("C:\\Users\\me\\Desktop\\offer.pdf", "offer.pdf"),
        ("c:\\offer.pdf", "offer.pdf"),
        ("D:/scans/offer 1.pdf", "offer 1.pdf"),
        ("\\\\server\\share\\offer.pdf", "offer.pdf"),
        ("C:\\..\\..\\offer.pdf", "offer.pdf"),
        (" offer.pdf ", "offer.pdf"),
        ("offer.pdf.", "offer.pdf"),
        ("offer.pdf\u200f", "offer.pdf"),
        ("offer.pdf\u3000", "offer.pdf"),
    ],
)
def test_what_is_not_part_of_the_name_goes(name: str, kept: str) -> None:
    assert given_filename(name) == kept


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        " . ",
        "../a.pdf",
        "/etc/a.pdf",
        "a/b.pdf",
        "a\\b.pdf",
        "C:\\",
        "C:\\a\\",
        "a\x00.pdf",
        "a\n.pdf",
        "a\x7f.pdf",
        "a\x9b.pdf",
        "a\u2028b.pdf",
        "\u202efdp.exe",
        "a\u202ab.pdf",
        "a\u2067b.pdf",
        "a\ud800.pdf",
        ".pdf",
        ".htaccess.pdf",
        "CON.pdf",
        "nul",
        "Aux.tar.gz",
        "com1.pdf",
        "LPT9 .pdf",
        "a" * (MOST_UNITS - 3) + ".pdf",
        "\U0001f600" * 126 + ".pdf",
    ],
)
def test_dangerous_names_are_refused(name: str) -> None:
    with pytest.raises(NameRefused):
        given_filename(name)


@given(st.text(max_size=600))
def test_a_name_that_nobody_chose_is_made_harmless(name: str) -> None:
    found = found_filename(name)
    assert found == "" or given_filename(found) == found


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ("a/../b.pdf", "b.pdf"),
        ("..\\..\\etc\\passwd", "passwd"),
        ("\u202efdp.exe", "fdp.exe"),
        ("a\x00b.pdf", "ab.pdf"),
        (".pdf", "pdf"),
        ("..", ""),
        ("con.pdf", "_con.pdf"),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
    ],
)
def test_names_out_of_answers_are_mended(found: str, kept: str) -> None:
    assert found_filename(found) == kept


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("", ""),
        ("attachment", ""),
        ("inline;", ""),
        ('attachment; filename="offer.pdf"', "offer.pdf"),
        ("attachment; filename=offer.pdf", "offer.pdf"),
        ("attachment;filename=my offer.pdf", "my offer.pdf"),
        ("attachment; filename='offer.pdf'", "'offer.pdf'"),
        ('ATTACHMENT; FileName="offer.pdf"; size=12', "offer.pdf"),
        ('attachment; filename="a; b; c.pdf"; x="y"', "a; b; c.pdf"),
        ('attachment; filename="the \\"best\\".pdf"', 'the "best".pdf'),
        ('attachment; filename="the "best".pdf"', 'the "best".pdf'),
        ('attachment; filename="the %22best%22.pdf"', 'the "best".pdf'),
        ("attachment; filename*=UTF-8''na%C3%AFve.pdf", "naïve.pdf"),
        ("attachment; filename*=utf-8'de'Gr%C3%BC%C3%9Fe%20%E2%82%AC.pdf; filename=x.pdf", "Grüße €.pdf"),
        ("attachment; filename=x.pdf; filename*=iso-8859-1''caf%E9.pdf", "café.pdf"),
        ("attachment; filename=x.pdf; filename*=no-such''caf%E9.pdf", "x.pdf"),
        ("attachment; filename=x.pdf; filename*=UTF-8''%FF.pdf", "x.pdf"),
        ("attachment; filename=x.pdf; filename*=broken", "x.pdf"),
        ('attachment; filename*0="long "; filename*1="name.pdf"', "long name.pdf"),
        ("attachment; filename*0*=utf-8''na%C3%AF; filename*1*=ve.pdf", "naïve.pdf"),
        ('attachment; filename="Angebot für Löwe.pdf"', "Angebot für Löwe.pdf"),
        (b'attachment; filename="caf\xe9 \x80.pdf"'.decode("utf-8", "surrogateescape"), "café €.pdf"),
        ('attachment; filename="na%C3%AFve.pdf"', "naïve.pdf"),
        ('attachment; filename="=?UTF-8?B?R3LDvMOfZS5wZGY=?="', "Grüße.pdf"),
        ('attachment; filename="=?iso-8859-1?Q?caf=E9_1.pdf?="', "café 1.pdf"),
        ('attachment; filename="=?no-such?Q?caf=E9.pdf?="', "=?no-such?Q?caf=E9.pdf?="),
        ('form-data; name="file"; filename="C:\\Users\\me\\Desktop\\offer.pdf"', "offer.pdf"),
        ('form-data; name="file"; filename="C:\\\\Users\\\\me\\\\offer.pdf"', "offer.pdf"),
        ('form-data; name="file"; filename="\\\\server\\share\\offer.pdf"', "offer.pdf"),
        ('form-data; name="file"; filename="a\\b.pdf"', "a\\b.pdf"),
        ('form-data; name="file"; filename="../a.pdf"', "../a.pdf"),
        ('form-data; name="file"; filename="/a.pdf"', "/a.pdf"),
    ],
)
def test_the_name_in_a_header(header: str, name: str) -> None:
    assert header_filename(header) == name


def test_the_parameters_of_a_header() -> None:
    header = 'form-data; name="a \\"b\\""; filename=""; Other = 1 '
    assert header_parameters(header) == {"name": 'a "b"', "filename": "", "other": "1"}


@given(st.text(max_size=300))
def test_any_header_can_be_read(header: str) -> None:
    header_filename(f"attachment; {header}")


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("Angebot.png", "Angebot.png"),
        ("Sommer%20%E2%80%93%20Angebot.png", "Sommer – Angebot.png"),
        ("..%2Fa.png", "../a.png"),
        ("100% sure.pdf", "100% sure.pdf"),
        ("a %20 b.pdf", "a %20 b.pdf"),
        ("the %22best%22.pdf", 'the "best".pdf'),
        ("%FF.pdf", "%FF.pdf"),
    ],
)
def test_names_that_a_client_encoded(given: str, plain: str) -> None:
    assert plain_filename(given) == plain


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/Gr%C3%BC%C3%9Fe%201.pdf", "Grüße 1.pdf"),
        ("/caf%E9.pdf", "café.pdf"),
        ("/", ""),
        ("/a/", ""),
        ("/a+b.pdf", "a+b.pdf"),
    ],
)
def test_the_name_in_an_address(path: str, name: str) -> None:
    assert address_filename(path) == name


def test_the_name_of_an_image_fits_the_senders_disk() -> None:
    name = unseen_filename("ใ" * 200, "jpg")
    assert name.endswith("ใ.jpg")
    assert len(name.encode()) <= 200
