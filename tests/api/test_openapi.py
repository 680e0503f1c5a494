"""The OpenAPI document says everything that a client's developer needs, and nothing that is not so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar

pytestmark = pytest.mark.anyio

Operation = dict[str, Any]


@pytest.fixture
def document(app: Litestar) -> dict[str, Any]:
    return app.openapi_schema.to_schema()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, Operation]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


async def test_every_operation_is_named_described_tagged_and_secured(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        assert operation["operationId"].isidentifier(), where
        assert operation["summary"], where
        assert operation["description"], where
        assert set(operation["tags"]) <= tags, where
        # Its links carry their own permission.
        needs: list[dict[str, list[str]]] = [{"bearer": []}, {"key": []}]
        if operation["operationId"] == "hearRecording":
            needs = []
        assert operation.get("security", []) == needs, where


async def test_every_refusal_that_can_happen_is_documented_as_a_problem(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        responses = operation["responses"]
        wanted = {"400", "401", "403", "503"} if "security" in operation else {"400", "503"}
        wanted |= {"404"} if "{" in path else set()
        wanted |= {"408", "413"} if "requestBody" in operation else set()
        assert wanted <= set(responses), f"{method} {path}"
        for status, response in responses.items():
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"], f"{method} {path} {status}"


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    names = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    assert set(references(document)) <= names


async def test_every_shape_is_described_and_has_a_plain_name(document: dict[str, Any]) -> None:
    for name, shape in document["components"]["schemas"].items():
        assert name.isidentifier(), name
        assert "_" not in name, name
        assert shape.get("description"), name


async def test_what_is_sent_is_bounded(document: dict[str, Any]) -> None:
    shapes = document["components"]["schemas"]
    channels = shapes["NewTrunk"]["properties"]["max_channels"]
    cps = shapes["NewTrunk"]["properties"]["max_cps"]

    assert shapes["NewTrunk"]["additionalProperties"] is False
    assert (channels["minimum"], channels["maximum"]) == (0, 100_000)
    assert (cps["minimum"], cps["maximum"]) == (0.01, 10_000)
    assert shapes["NewTrunk"]["properties"]["name"]["maxLength"] == 200
    assert shapes["CallingWindow"]["properties"]["weekdays"]["items"]["maximum"] == 7


def fractions(value: Any, whole: bool = False) -> Iterator[float]:
    """The bounds of whole numbers that are no whole numbers themselves."""
    if isinstance(value, dict):
        whole = value.get("type") == "integer" if "type" in value else whole
        for inner in value.values():
            yield from fractions(inner, whole)
    elif isinstance(value, list):
        for inner in value:
            yield from fractions(inner, whole)
    elif whole and isinstance(value, float):
        yield value


async def test_the_bounds_of_whole_numbers_are_whole(document: dict[str, Any]) -> None:
    [by_id] = [
        one for one in document["paths"]["/v1/calls/{call_id}"]["get"]["parameters"] if one["in"] == "path"
    ]
    bounds = by_id["schema"]["minimum"], by_id["schema"]["maximum"]

    assert bounds == (1, 2**63 - 1)
    assert list(fractions(document)) == []


async def test_a_text_under_a_field_is_its_description(document: dict[str, Any]) -> None:
    shapes = document["components"]["schemas"]

    assert shapes["Call"]["properties"]["caller"]["description"].startswith("The hotline that it showed")
    assert "clips" not in shapes["ScriptBody"]["properties"]


async def test_the_words_for_waiting_are_listed_in_full(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    waiting = next(schema for name, schema in schemas.items() if name.endswith("Waiting"))["properties"]

    assert {"schedule_closed", "nothing_queued", "channels_full"} <= set(waiting["reason"]["enum"])
    assert "window_closed" in str(waiting["detail"])


async def test_no_choice_is_a_whole_number_or_a_number_of_which_only_one_may_hold(
    document: dict[str, Any],
) -> None:
    """A whole number is both, so that it would be refused by every `oneOf` that names both."""

    def choices(value: Any) -> Iterator[list[dict[str, Any]]]:
        if isinstance(value, dict):
            if isinstance(value.get("oneOf"), list):
                yield value["oneOf"]
            for inner in value.values():
                yield from choices(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from choices(inner)

    found = [{one.get("type") for one in each} for each in choices(document)]
    assert any("number" in kinds for kinds in found)
    assert not [kinds for kinds in found if {"number", "integer"} <= kinds]
