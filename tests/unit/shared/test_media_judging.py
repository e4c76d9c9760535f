"""Whether a file may be sent, by its name and all of its bytes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from shared.media.content_facts import ContentFacts, ReceivedFile
from shared.media.file_types import PAGES, PROGRAMS, FileTypes
from shared.media.judging import JudgedFile, MediaRefused, judge
from shared.messages import Kind

TYPES = FileTypes()
HEADS = {
    "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00",
    "gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00!\xf9\x04",
    "webp": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "wav": b"RIFF\x24\x00\x00\x00WAVEfmt ",
    "avi": b"RIFF\x24\x00\x00\x00AVI LIST",
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1\x00",
    "zip": b"PK\x03\x04\x14\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00",
    "doc": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00\x00\x00\x00\x00\x00\x00\x00",
    "mp4": b"\x00\x00\x00 ftypisom\x00\x00\x02\x00",
    "heic": b"\x00\x00\x00 ftypheic\x00\x00\x00\x00",
    "mov": b"\x00\x00\x00\x08wide\x00\x00\x00\x00mdat",
    "webm": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01",
    "mp3": b"ID3\x04\x00\x00\x00\x00\x00\x00TSSE\x00\x00",
    "ogg": b"OggS\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    "amr": b"#!AMR\n\x3c\x00",
    "tif": b"II*\x00\x08\x00\x00\x00",
    "gz": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "7z": b"7z\xbc\xaf\x27\x1c\x00\x04",
}
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>\xc3\xa4</body></html>"
XML = b'<?xml version="1.0" encoding="UTF-8"?>\n<Invoice xmlns="urn:x"><ID>1</ID></Invoice>'
CSV = "Müller;12,50 €\r\nÅngström;1\r\n"


def facts_of(tmp_path: Path, content: bytes, size: int = 0) -> ContentFacts:
    """As they are gathered from blocks of ``size`` bytes; 0: all at once."""
    file = ReceivedFile(tmp_path / "file")
    for start in range(0, len(content), size or max(1, len(content))):
        file.write(content[start : start + (size or len(content))])
    facts = file.finish()
    assert (tmp_path / "file").read_bytes() == content
    return facts


def document(tmp_path: Path, name: str, content: bytes, declared: str = "", types: FileTypes = TYPES) -> JudgedFile:
    return judge(Kind.FILE, name, facts_of(tmp_path, content), declared, types)


def image(tmp_path: Path, name: str, content: bytes, declared: str = "") -> JudgedFile:
    return judge(Kind.IMAGE, name, facts_of(tmp_path, content), declared, TYPES)


@pytest.mark.parametrize(
    "declared",
    ["", "application/octet-stream", "image/jpg", "image/pjpeg", "image/png; charset=binary", "text/html", "nonsense"],
)
@pytest.mark.parametrize(
    ("head", "name", "sent", "content_type"),
    [
        ("jpg", "a.jpg", "a.jpg", "image/jpeg"),
        ("jpg", "photo.JPEG", "photo.JPEG", "image/jpeg"),
        ("jpg", "photo", "photo.jpg", "image/jpeg"),
        ("jpg", "", "image.jpg", "image/jpeg"),
        ("jpg", "photo.jfif", "photo.jpg", "image/jpeg"),
        ("jpg", "photo.png", "photo.jpg", "image/jpeg"),
        ("jpg", "Dr. Who", "Dr. Who.jpg", "image/jpeg"),
        ("jpg", "IMG 2.1", "IMG 2.1.jpg", "image/jpeg"),
        ("jpg", "thumb.php", "thumb.jpg", "image/jpeg"),
        ("png", "a.jpg", "a.png", "image/png"),
        ("png", "a.PNG", "a.PNG", "image/png"),
        ("png", "blob", "blob.png", "image/png"),
        ("png", "a.heic", "a.png", "image/png"),
    ],
)
def test_an_image_is_known_by_its_bytes(
    tmp_path: Path, head: str, name: str, sent: str, content_type: str, declared: str
) -> None:
    assert image(tmp_path, name, HEADS[head], declared) == JudgedFile(sent, content_type)


@pytest.mark.parametrize("head", sorted(HEADS.keys() - {"jpg", "png"}))
def test_what_is_no_image_for_the_sender(tmp_path: Path, head: str) -> None:
    with pytest.raises(MediaRefused, match="JPEG or PNG"):
        image(tmp_path, "a.png", HEADS[head], "image/png")


@pytest.mark.parametrize("content", [b"", PAGE, b"text", b"\x89PNG", b"<svg xmlns='x'/>"])
def test_what_is_no_image_at_all(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(MediaRefused):
        image(tmp_path, "a.png", content, "image/png")


@pytest.mark.parametrize("head", sorted(HEADS))
def test_bytes_fit_the_extensions_of_their_own_type_alone(tmp_path: Path, head: str) -> None:
    own = {
        "jpg": {"jpg", "jpeg", "jfif"},
        "zip": {"zip", "docx", "xlsx", "pptx", "odt", "ods", "odp", "odg", "pages", "numbers", "key", "epub"},
        "doc": {"doc", "xls", "ppt", "msg", "docx", "xlsx", "pptx"},
        "mp4": {"mp4", "m4v", "m4a", "mov", "3gp"},
        "heic": {"heic", "heif", "mp4", "m4v", "m4a", "mov", "3gp"},
        "ogg": {"ogg", "oga", "opus"},
        "webm": {"webm", "mkv"},
        "tif": {"tif", "tiff"},
        "gz": {"gz", "tgz"},
    }.get(head, {head})
    facts = facts_of(tmp_path, HEADS[head])
    fitting = set()
    for extension in TYPES.listed().replace(".", "").split(", "):
        media_type = TYPES.of(extension)
        assert media_type is not None
        if media_type.fits(facts):
            fitting.add(extension)
    assert fitting == own


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pdf", HEADS["pdf"]),
        ("a.pdf", b"\xef\xbb\xbf" + HEADS["pdf"]),
        ("a.pdf", b"\r\n\r\n" + HEADS["pdf"]),
        ("a.pdf", b"junk of a scanner\n" * 50 + HEADS["pdf"]),
        ("a.xlsx", HEADS["doc"]),
        ("a.docx", HEADS["doc"]),
        ("a.doc", b"{\\rtf1\\ansi"),
        ("a.rtf", b"\n{\\rtf1\\ansi"),
        ("invoice.xml", XML),
        ("invoice.xml", b"\xef\xbb\xbf" + XML),
        ("invoice.xml", XML.decode().replace("UTF-8", "UTF-16").encode("utf-16")),
        ("invoice.xml", b"<Invoice/>"),
        ("list.csv", CSV.encode()),
        ("list.csv", CSV.encode("utf-8-sig")),
        ("list.csv", CSV.encode("cp1252")),
        ("list.csv", CSV.encode("utf-16")),
        ("list.csv", CSV.encode("utf-16-le")),
        ("list.csv", CSV.encode("utf-16-be")),
        ("list.csv", "имя;цена\r\n".encode("cp1251")),
        ("list.csv", "名前,価格\r\n".encode("shift_jis")),
        ("list.csv", "名前,価格\r\n".encode("iso2022_jp")),
        ("a.txt", b"text \xff"),
        ("a.txt", b"the end of DOS\r\n\x1a"),
        ("a.txt", "x 😀\n".encode() * 300_000),
        ("a.txt", "x 😀\n".encode("utf-16") * 2),
        ("a.txt", b"a < b and <b>bold</b>"),
        ("photo.jfif", HEADS["jpg"]),
        ("clip.MOV", HEADS["mov"]),
        ("signed.xml.p7m", b"\x30\x82\x01\x00\x00"),
    ],
)
@pytest.mark.parametrize("size", [0, 7])
def test_documents_that_people_send(tmp_path: Path, name: str, content: bytes, size: int) -> None:
    facts = facts_of(tmp_path, content, size if len(content) < 10_000 else 65_537)
    extension = name.rpartition(".")[2].lower()
    media_type = TYPES.of(extension)
    assert media_type is not None
    assert judge(Kind.FILE, name, facts, "application/octet-stream", TYPES) == JudgedFile(name, media_type.content_type)


@pytest.mark.parametrize(
    ("name", "content", "declared"),
    [
        ("a.pdf", b"", ""),
        ("a.pdf", PAGE, "application/pdf"),
        ("a.pdf", b"<html>%PDF-1.7", ""),
        ("a.pdf", b"x" * 1024 + b"%PDF-1.7", ""),
        ("a.pdf", b"MZ\x90\x00", "application/pdf"),
        ("a.docx", HEADS["pdf"], ""),
        ("a.docx", PAGE, ""),
        ("a.xls", HEADS["zip"], ""),
        ("a.txt", b"nul \x00", "text/plain"),
        ("a.csv", random.Random(1).randbytes(3000), "text/csv"),
        ("a.csv", "ä;b\r\n".encode("cp1252") * 1000 + b"\x01", "text/csv"),
        ("a.csv", b"\xff\xfe" + b"\x00\xd8" * 3, ""),
        ("a.csv", HEADS["gz"], ""),
        ("list.csv", PAGE, "text/csv"),
        ("list.csv", b"\xef\xbb\xbf \n<!-- saved --><HTML lang=en>", "text/csv"),
        ("list.csv", "<!doctype html><p>ä".encode("utf-16"), "text/csv"),
        ("list.csv", b"<p>Sign in</p>", "text/html; charset=utf-8"),
        ("a.xml", b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x"><html/>', ""),
        ("a.xml", b"no mark-up", ""),
        ("a.exe", b"MZ\x90\x00", ""),
        ("a.pdf.exe", HEADS["pdf"], ""),
        ("a.apk", HEADS["zip"], ""),
        ("a.html", PAGE, "text/html"),
        ("a.svg", b"<svg/>", "image/svg+xml"),
        ("a.xlsm", HEADS["zip"], ""),
        ("noname", b"MZ\x90\x00", ""),
        ("noname", PAGE, ""),
        ("", random.Random(1).randbytes(300), ""),
    ],
)
@pytest.mark.parametrize("found", [True, False])
def test_what_must_not_reach_anybody(tmp_path: Path, name: str, content: bytes, declared: str, found: bool) -> None:
    with pytest.raises(MediaRefused):
        judge(Kind.FILE, name, facts_of(tmp_path, content), declared, TYPES, found)


def test_a_refusal_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(MediaRefused, match="it is an HTML page, not application/pdf"):
        document(tmp_path, "page.pdf", PAGE)
    with pytest.raises(MediaRefused, match="it is a PNG image, not application/pdf"):
        document(tmp_path, "page.pdf", HEADS["png"])
    with pytest.raises(MediaRefused, match="it is empty"):
        document(tmp_path, "page.pdf", b"")


@pytest.mark.parametrize(
    ("name", "content", "declared", "sent"),
    [
        ("", HEADS["pdf"], "", "file.pdf"),
        ("blob", HEADS["png"], "", "blob.png"),
        ("Offer 2.1", HEADS["pdf"], "", "Offer 2.1.pdf"),
        ("Dr. Müller", HEADS["pdf"], "", "Dr. Müller.pdf"),
        ("report", HEADS["zip"], "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "report.xlsx"),
        ("report", HEADS["zip"], "application/octet-stream", "report.zip"),
        ("report", HEADS["zip"], "application/pdf", "report.zip"),
        ("report", HEADS["doc"], "application/msword", "report.doc"),
        ("odt", b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/vnd.oasis.opendocument.text", "", "odt.odt"),
        ("list", CSV.encode("cp1252"), "text/csv; charset=windows-1252", "list.csv"),
        ("list", CSV.encode(), "", "list.txt"),
        ("card", b"BEGIN:VCARD\r\n", "text/plain", "card.vcf"),
        ("date", b"BEGIN:VCALENDAR\r\n", "", "date.ics"),
        ("invoice", XML, "text/xml", "invoice.xml"),
        ("invoice", XML, "", "invoice.xml"),
        ("invoice", XML, "text/html", "invoice.xml"),
    ],
)
def test_a_name_without_an_extension_gets_that_of_its_bytes(
    tmp_path: Path, name: str, content: bytes, declared: str, sent: str
) -> None:
    assert document(tmp_path, name, content, declared).filename == sent


@pytest.mark.parametrize(
    ("name", "content", "sent"),
    [
        ("invoice.php", HEADS["pdf"], "invoice.pdf"),
        ("list.aspx", CSV.encode(), "list.txt"),
        ("get.ashx", HEADS["pdf"], "get.pdf"),
        ("a.dcox", HEADS["zip"], "a.zip"),
    ],
)
def test_an_extension_of_an_address_that_says_nothing_is_replaced(
    tmp_path: Path, name: str, content: bytes, sent: str
) -> None:
    facts = facts_of(tmp_path, content)
    assert judge(Kind.FILE, name, facts, "", TYPES, found=True).filename == sent
    with pytest.raises(MediaRefused):
        judge(Kind.FILE, name, facts, "", TYPES)


def test_an_operator_names_further_types(tmp_path: Path) -> None:
    types = FileTypes(["apk", ".STP=model/step", "html", "pdf=application/x-pdf"])
    assert document(tmp_path, "a.apk", HEADS["zip"], "", types) == JudgedFile("a.apk", "application/octet-stream")
    assert document(tmp_path, "a.stp", b"ISO-10303-21;", "", types) == JudgedFile("a.stp", "model/step")
    assert document(tmp_path, "a.html", PAGE, "text/html", types) == JudgedFile("a.html", "text/html")
    assert document(tmp_path, "a.pdf", HEADS["pdf"], "", types) == JudgedFile("a.pdf", "application/x-pdf")
    for name, content in (("a.pdf", PAGE), ("a.exe", b"MZ"), ("a.stp", PAGE), ("a.stp", b"")):
        with pytest.raises(MediaRefused):
            document(tmp_path, name, content, "", types)


def test_any_type_but_programs_and_pages(tmp_path: Path) -> None:
    types = FileTypes(["*"])
    for name in ("model.step", "a.xyz", "noname", "save.dat1"):
        assert document(tmp_path, name, random.Random(1).randbytes(300), "", types).filename == name
    assert document(tmp_path, "a.pdf", HEADS["pdf"], "", types).content_type == "application/pdf"
    for extension in PROGRAMS | PAGES:
        with pytest.raises(MediaRefused):
            document(tmp_path, f"a.{extension.upper()}", b"x", "", types)
    for name, content in (("a.xyz", PAGE), ("noname", PAGE), ("noname", b"MZ\x90\x00"), ("a.pdf", HEADS["png"])):
        with pytest.raises(MediaRefused):
            document(tmp_path, name, content, "", types)
    assert document(tmp_path, "a.apk", HEADS["zip"], "", FileTypes(["*", "apk"])).filename == "a.apk"


@pytest.mark.parametrize("entry", ["", "a b", "dwg=", "dwg=image", "=image/png", "*.dwg", "**", "a/b", "ü", "x" * 17])
def test_a_type_that_cannot_be_read_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="is no extension"):
        FileTypes([entry])
