"""YAML as a file that people write by hand: nothing dropped, nothing followed, nothing made."""

from __future__ import annotations

from functools import cache
from typing import Any

from backbeat.errors import InvalidStep, UnmetNeed

__all__ = ["parse_yaml"]


def parse_yaml(content: bytes, name: str) -> Any:
    """Read YAML, and so JSON as well; a date stays text.

    Args:
        content: One document in UTF-8 or UTF-16.
        name: The file's name, for messages.

    Raises:
        InvalidStep: It is no YAML, has a key twice, a tag or a reference; says which line.
        UnmetNeed: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise UnmetNeed(
            f"{name} is YAML, and PyYAML is not installed", hint='install "backbeat[drift]"'
        ) from error
    try:
        return yaml.load(content, Loader=_loader())  # noqa: S506 - made of the safe one
    # a number of 5000 digits, or 0x_, is a ValueError of Python's own
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        if isinstance(error, RecursionError):
            problem = "it is nested too deeply"
        raise InvalidStep(
            f"{name}{line}: {problem}",
            hint="correct the YAML; tags and references are not read",
        ) from error


@cache
def _loader() -> Any:
    """PyYAML's safe loader, which neither drops a repeated key nor follows references."""
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.peek_event()  # type: ignore[no-untyped-call]
            # a reference can stand for any amount of data; a tag can fail in ways of its own
            if isinstance(event, yaml.events.AliasEvent):
                _refuse(event, "references (*) are not read")
            if event.tag is not None:
                _refuse(event, "tags (!) are not read")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    _refuse(key, "a key is a list or a mapping, and must be a name")
                if key.value in seen:
                    _refuse(key, f"{key.value!r} is there twice")
                seen.add(key.value)
            return super().construct_mapping(node, deep=deep)

    def _refuse(what: Any, problem: str) -> None:
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=what.start_mark)

    # YAML 1.1 reads 2013-05-04 as a date; in a file of names it is one
    Loader.yaml_implicit_resolvers = {
        first: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:timestamp"]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader
