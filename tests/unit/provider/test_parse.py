"""A pushed request as a provider is given it: the rest of its path, and its query."""

from __future__ import annotations

import pytest

from shared.provider import BadRequest, PushedRequest


def test_a_request_to_the_id_alone_has_an_empty_path_and_no_query() -> None:
    request = PushedRequest({}, b"")

    assert (request.path, request.query) == ("", {})


def test_a_query_keeps_every_value_of_a_parameter_in_its_order() -> None:
    request = PushedRequest({}, b"", "line/3", "x=1&y=&x=2&name=a%20b%26c&plus=a+b")

    assert request.path == "line/3"
    assert request.query == {"x": ["1", "2"], "y": [""], "name": ["a b&c"], "plus": ["a b"]}


def test_a_query_that_is_no_utf_8_is_read_as_far_as_it_can_be() -> None:
    assert PushedRequest({}, b"", query_string="a=%FF").query == {"a": ["\ufffd"]}


def test_a_query_of_too_many_parameters_is_refused() -> None:
    request = PushedRequest({}, b"", query_string="&".join(f"a{number}=1" for number in range(101)))

    with pytest.raises(BadRequest, match="100 query parameters"):
        _ = request.query
