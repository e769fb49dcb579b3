"""Respond to the requests by which collected frames are shown, sorted, deleted and brought back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from edgeclf.artifact.label_bounds import LONGEST_LABEL
from edgeclf.extras import extras
from edgeclf.streaming.collection.decisions import Decision
from edgeclf.streaming.collection.images import CollectedImages
from edgeclf.streaming.page.limits import Limits
from edgeclf.streaming.page.replies import BodyError, UnknownPathError, json_reply, read_body

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MOST_PENDING = 60
MOST_DECISIONS = 10
MOST_NAMES = 500
LONGEST_NAME = 200
_LABEL = 'the body must be JSON such as {"label": "cat"}'
_NAMES = f'the body must be JSON with "names", a list of 1 to {MOST_NAMES} of them'


class SortingRoutes:
    """The requests below `/api/collected`.

    Args:
        collected: the frames; None where none are collected.
        reading: does what touches the disk.
        limits: bounds of a request's body.
    """

    def __init__(self, collected: CollectedImages | None, reading: Executor, limits: Limits) -> None:
        self._collected, self._reading, self._limits = collected, reading, limits

    def routes(self) -> list[Any]:
        """Return the routes."""
        with extras("--web"):
            from starlette.routing import Route
        return [
            Route("/api/collected", self._pending),
            Route("/api/collected/label", self._label_many, methods=["POST"]),
            Route("/api/collected/discard", self._discard_many, methods=["POST"]),
            Route("/api/collected/undo", self._undo, methods=["POST"]),
            Route("/api/collected/{name}.jpg", self._picture),
            Route("/api/collected/{name}/label", self._label, methods=["POST"]),
            Route("/api/collected/{name}/discard", self._discard, methods=["POST"]),
        ]

    async def _pending(self, request: Request) -> Response:
        collected = self._collecting()

        def look() -> dict[str, Any]:
            return {
                "labels": collected.labels(),
                "images": [image.to_dict() for image in collected.pending(MOST_PENDING)],
                "waiting": collected.count(),
                "decisions": [_describe(one) for one in collected.decisions(MOST_DECISIONS)],
            }

        return json_reply(await self._on_disk(look))

    async def _picture(self, request: Request) -> Response:
        from starlette.responses import Response

        collected, name = self._collecting(), _name(request)
        return Response(await self._on_disk(lambda: collected.jpeg(name)), media_type="image/jpeg")

    async def _label(self, request: Request) -> Response:
        name = _name(request)
        label = _label_in(await self._document(request, _LABEL))
        decision, label = await self._sort([name], label)
        return json_reply({"name": name, "label": label, "decision": decision.id})

    async def _discard(self, request: Request) -> Response:
        collected, name = self._collecting(), _name(request)
        await self._document(request, "the body must be JSON such as {}")
        decision = await self._on_disk(lambda: collected.discard([name]))
        return json_reply({"name": name, "decision": decision.id})

    async def _label_many(self, request: Request) -> Response:
        document = await self._document(request, _NAMES)
        names = _names_in(document)
        decision, label = await self._sort(names, _label_in(document))
        return json_reply({**_describe_moved(names, decision), "label": label})

    async def _discard_many(self, request: Request) -> Response:
        collected = self._collecting()
        names = _names_in(await self._document(request, _NAMES))
        return json_reply(_describe_moved(names, await self._on_disk(lambda: collected.discard(names))))

    async def _undo(self, request: Request) -> Response:
        collected = self._collecting()
        expected = 'the body must be JSON such as {"decision": "0123456789abcdef"}'
        identity = (await self._document(request, expected)).get("decision")
        if not isinstance(identity, str) or len(identity) > LONGEST_NAME:
            raise BodyError(400, expected)
        return json_reply((await self._on_disk(lambda: collected.undo(identity))).to_dict())

    async def _sort(self, names: Sequence[str], label: str) -> tuple[Decision, str]:
        """Sort frames into a class: one of the known ones exactly as it is called, else without spaces around it."""
        collected = self._collecting()

        def work() -> tuple[Decision, str]:
            chosen = label if label in collected.labels() else label.strip()
            return collected.label(names, chosen), chosen

        decision, chosen = await self._on_disk(work)
        return decision, chosen

    async def _document(self, request: Request, expected: str) -> dict[str, Any]:
        body = await read_body(request, self._limits)
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise BodyError(400, expected) from error
        if not isinstance(document, dict):
            raise BodyError(400, expected)
        return document

    async def _on_disk(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._reading, work)

    def _collecting(self) -> CollectedImages:
        if self._collected is None:
            raise UnknownPathError("no frames are collected; start with --collect DIR")
        return self._collected


def _describe(decision: Decision) -> dict[str, Any]:
    return {"id": decision.id, "time": decision.time, "label": decision.label, "count": len(decision.images)}


def _describe_moved(names: Sequence[str], decision: Decision) -> dict[str, Any]:
    moved = [image.name for image in decision.images]
    return {"names": moved, "gone": sorted(set(names) - set(moved)), "decision": decision.id}


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    if not _may_be_name(name):
        raise UnknownPathError("there is no such image")
    return name


def _may_be_name(name: object) -> bool:
    return (
        isinstance(name, str)
        and 0 < len(name) <= LONGEST_NAME
        and not name.startswith(".")
        and name.isprintable()
        and not set(name) & set("/\\")
    )


def _names_in(document: dict[str, Any]) -> list[str]:
    names = document.get("names")
    if not isinstance(names, list) or not 0 < len(names) <= MOST_NAMES or not all(map(_may_be_name, names)):
        raise BodyError(400, _NAMES)
    return list(dict.fromkeys(names))


def _label_in(document: dict[str, Any]) -> str:
    label = document.get("label")
    if not isinstance(label, str) or not label.strip():
        raise BodyError(400, _LABEL)
    if len(label) > LONGEST_LABEL:
        raise BodyError(400, f"a label has at most {LONGEST_LABEL} characters")
    return label
