"""A table as a PDF 1.4 file with a font every reader has, so that nothing is needed to write it:
https://opensource.adobe.com/dc-acrobat-sdk-docs/pdfstandards/pdfreference1.4.pdf"""

from __future__ import annotations

LINES, WIDTH = 60, 90
TOP, LEFT, LEADING, SIZE = 800, 40, 12, 9


def table(title: str, rows: list[list[str]]) -> bytes:
    """A document of as many pages as the rows need."""
    lines = _lines(rows)
    chunks = [lines[start : start + LINES] for start in range(0, len(lines), LINES)]
    count = len(chunks)
    pages = [_page(f"{title} - page {number} of {count}", chunk) for number, chunk in enumerate(chunks, 1)]
    return _document(pages)


def _lines(rows: list[list[str]]) -> list[str]:
    widths = [min(max(len(cell) for cell in column), 24) for column in zip(*rows, strict=True)]
    return ["  ".join(cell[:width].ljust(width) for cell, width in zip(row, widths, strict=True))[:WIDTH] for row in rows]


def _page(heading: str, lines: list[str]) -> bytes:
    """The operators that write one page: section 5.3 of the reference."""
    text = "".join(f"({_escaped(line)}) Tj T*\n" for line in [heading, "", *lines])
    return f"BT /F1 {SIZE} Tf {LEADING} TL {LEFT} {TOP} Td\n{text}ET".encode("cp1252", "replace")


def _escaped(text: str) -> str:
    """Text within parentheses; what no reader could show becomes a space."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return plain.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def _document(pages: list[bytes]) -> bytes:
    """Catalog, page tree and font are objects 1 to 3; each page and its content follow."""
    numbers = range(4, 4 + 2 * len(pages), 2)
    kids = " ".join(f"{number} 0 R" for number in numbers)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
    ]
    for number, content in zip(numbers, pages, strict=True):
        box = "/MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >>"
        objects.append(f"<< /Type /Page /Parent 2 0 R {box} /Contents {number + 1} 0 R >>".encode())
        objects.append(f"<< /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream")
    return _file(objects)


def _file(objects: list[bytes]) -> bytes:
    """Objects, then the table of where each begins: section 3.4 of the reference."""
    body, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    entries = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
    return body + f"xref\n0 {size}\n0000000000 65535 f \n{entries}{trailer}".encode()
