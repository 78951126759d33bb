"""Sentences for errors of validation: what is wrong, and what to write instead."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

import pytest
from pydantic import AwareDatetime, BaseModel, Field, ValidationError, create_model
from pydantic_core.core_schema import ErrorType

from shared.runtime.sentences import ELSE, SENTENCES, explain_error


def explain(kind: Any, value: Any) -> str:
    model = create_model("Sample", field=(kind, ...))
    with pytest.raises(ValidationError) as refusal:
        model.model_validate({"field": value} if value is not ... else {})
    return explain_error(refusal.value.errors(include_url=False)[0])


class Inner(BaseModel):
    """An object within."""


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        (str, ..., "Fill this in."),
        (str, 7, "Write a text."),
        (Annotated[str, Field(min_length=1)], "", "Fill this in."),
        (Annotated[str, Field(min_length=16)], "x", "Write at least 16 characters."),
        (Annotated[str, Field(max_length=2)], "xyz", "Write at most 2 characters."),
        (int, "x", "Write a whole number."),
        (int, 1.5, "Write a whole number."),
        (float, [], "Write a number."),
        (Annotated[int, Field(ge=60)], 1, "Write 60 or more."),
        (Annotated[float, Field(le=604_800)], 1e9, "Write 604800 or less."),
        (Annotated[float, Field(gt=0)], 0, "Write more than 0."),
        (Annotated[float, Field(lt=0.5)], 1, "Write less than 0.5."),
        (bool, "perhaps", "Choose true or false."),
        (Literal["a", "b", "c"], "d", "Choose one of: a, b, c."),
        (Literal[0, 1], 2, "Choose one of: 0, 1."),
        (tuple[str, ...], "x", "Give a list."),
        (Annotated[tuple[str, ...], Field(max_length=1)], ["a", "b"], "List at most 1."),
        (dict[str, str], 7, "Give an object of names and values."),
        (Inner, 7, "Give an object of names and values."),
        (AwareDatetime, datetime(2026, 1, 1), "Write a time with its offset, as 2026-11-29T13:14:15Z."),  # noqa: DTZ001 - none is the point
        (AwareDatetime, "soon", "Write a time with its offset, as 2026-11-29T13:14:15Z."),
        (
            Annotated[str, Field(pattern=r"^[A-Z0-9_]+$")],
            "a",
            "Use capital letters, digits and _ only.",
        ),
        (
            Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,200}$")],
            "ü",
            "Use letters, digits and . _ : - only.",
        ),
        (
            Annotated[str, Field(pattern=r"^[A-Za-z0-9_:-][A-Za-z0-9._:-]*$")],
            ".",
            "Use letters, digits and . _ : - only.",
        ),
        (
            Annotated[str, Field(pattern=r"^[^\s\x00-\x1f\x7f-\x9f]+$")],
            " ",
            "Write visible characters, without spaces, line breaks and control characters.",
        ),
        (
            Annotated[str, Field(pattern=r"^[^\x00]*$")],
            "\0",
            "Write visible characters, without line breaks and control characters.",
        ),
    ],
)
def test_a_wrong_value_is_answered_with_what_to_write(kind: Any, value: Any, sentence: str) -> None:
    assert explain(kind, value) == sentence


def test_an_id_is_shown_as_one_looks() -> None:
    sentence = explain(UUID, "x")

    assert UUID(re.findall(r"[0-9a-f-]{36}", sentence)[0])


def test_each_type_that_has_a_sentence_is_one_of_the_library() -> None:
    assert SENTENCES.keys() <= {*get_args(ErrorType)}


def test_a_type_without_a_sentence_is_not_told_in_the_words_of_the_library() -> None:
    others = {*get_args(ErrorType)} - {
        *SENTENCES,
        "value_error",
        "assertion_error",
        "string_pattern_mismatch",
    }

    told = {explain_error({"type": kind, "loc": (), "msg": "jargon", "input": None}) for kind in others}

    assert len(others) > 30
    assert told == {ELSE}
