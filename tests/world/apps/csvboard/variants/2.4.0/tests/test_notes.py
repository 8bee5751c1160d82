"""Notes on files."""

from tests.visitor import Visitor


def test_a_note_is_kept_for_its_owner(visitor):
    visitor.settled().upload(b"a\n1\n")
    assert visitor.get("/uploads/1/note").json == {"note": ""}
    assert visitor.post("/uploads/1/note", {"note": "of May"}).status_code == 200
    assert visitor.get("/uploads/1/note").json == {"note": "of May"}
    other = Visitor(visitor.app, visitor.path, "eve@example.com").settled()
    assert other.get("/uploads/1/note").status_code == 404
    assert other.post("/uploads/1/note", {"note": "mine"}).status_code == 404
