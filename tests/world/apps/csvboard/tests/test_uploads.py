"""CSV files and their PDFs."""

import re

import pytest

import pdf
import uploads
from tests.visitor import Visitor


def test_a_file_is_shown_with_its_sums_and_comes_as_a_pdf(visitor):
    visitor.settled()
    assert visitor.upload(b"month,visits\nMay,40\nJune,2\n").status_code == 303
    page = visitor.get("/dashboard").text
    assert "data.csv: 2 rows" in page and "<td>June</td>" in page and "<td>42</td>" in page
    answer = visitor.get(re.search(r"/uploads/\d+\.pdf", page)[0])
    assert answer.mimetype == "application/pdf" and b"(June   2     ) Tj" in answer.data


def test_what_a_file_says_is_not_run_by_browsers(visitor):
    visitor.settled().upload(b"a\n<script>alert(1)</script>\n")
    assert "<script>" not in visitor.get("/dashboard").text


@pytest.mark.parametrize("content", [b"", b"only,names\n", b"a,b\n1\n", b"\xff\xfe\x00", b'a\n"unfinished\n'])
def test_what_is_not_csv_is_refused_in_words(visitor, content):
    answer = visitor.settled().upload(content)
    assert answer.status_code == 400 and "the file was refused" in answer.text
    assert visitor.rows("SELECT count(*) FROM uploads") == [(0,)]


def test_a_file_that_is_too_large_is_refused(visitor):
    assert visitor.settled().upload(b"a\n" + b"1\n" * uploads.MOST_BYTES).status_code == 413


def test_files_of_others_are_not_there(visitor):
    visitor.settled().upload(b"a\n1\n")
    other = Visitor(visitor.app, visitor.path, "eve@example.com").settled()
    assert other.get("/uploads/1.pdf").status_code == 404
    assert other.post("/uploads/1/delete").status_code == 404
    assert visitor.get("/uploads/1.pdf").status_code == 200


def test_without_a_session_there_is_nothing_to_see(visitor):
    assert visitor.get("/dashboard").headers["Location"].startswith("/login")
    assert visitor.post("/uploads").status_code == 302


def test_the_table_of_a_pdf_leads_to_its_objects():
    document = pdf.table("a (title)", [["n"], *([str(number)] for number in range(130))])
    start = int(re.search(rb"startxref\n(\d+)\n", document)[1])
    assert document[start:].startswith(b"xref\n0 10\n")
    offsets = [int(entry) for entry in re.findall(rb"(\d{10}) 00000 n", document)]
    assert [document[offset:].split(b" ")[0] for offset in offsets] == [str(n).encode() for n in range(1, 10)]
    assert b"(a \\(title\\) - page 3 of 3) Tj" in document
