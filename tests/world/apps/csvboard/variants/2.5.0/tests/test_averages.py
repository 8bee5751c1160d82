"""Averages of columns."""


def test_the_average_is_of_the_rows_below_the_names(visitor):
    visitor.settled().upload(b"month,visits\nJanuary,40\nFebruary,2\n")
    assert visitor.get("/uploads/1/averages").json == {"averages": [None, 21.0]}
