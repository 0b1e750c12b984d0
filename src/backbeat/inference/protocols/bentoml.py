"""BentoML: an endpoint is a method of a service, its body the method's arguments.

    bentoml+http://host:3000/classify
    bentoml+http://host:3000/classify?argument=rows

The service's schema says what the rows are called and whether they are arrays or records; without
`?argument=` they are the first parameter. https://docs.bentoml.com/en/latest/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backbeat.errors import InvalidAnswer, InvalidStep, NotFound
from backbeat.inference.address import Endpoint
from backbeat.inference.message import Request, Response
from backbeat.inference.protocol import Answer, Field, ModelInfo
from backbeat.inference.protocols.http_json import HttpJson, get, no_parameters
from backbeat.inference.protocols.json_answers import as_outputs, read_json
from backbeat.inference.protocols.json_rows import as_lists, as_records, json_request

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BentoML"]

# of numpy's names, which a service declares its tensors with
_DATATYPES = {
    "bool": "BOOL",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
}
_ANY_NUMBER = "FP64"


class BentoML(HttpJson):
    """BentoML's services, from 1.2 on."""

    path = re.compile(r"(?P<root>.*)/(?P<method>[^/]+)")
    example = "bentoml+http://<host>:3000/<method>"
    options = frozenset({"argument"})

    def ready(self, endpoint: Endpoint) -> Request:
        """Ask whether the service, and what it depends on, is ready."""
        return get(f"{self.root(endpoint)}/readyz")

    def describe(self, endpoint: Endpoint) -> Request | None:
        """Ask for the schema, as BentoML's own client does; `/docs.json` has no array's type."""
        return get(f"{self.root(endpoint)}/schema.json")

    def read_description(self, endpoint: Endpoint, response: Response) -> ModelInfo:
        """The service's name and the parameters of the method; raises NotFound without one."""
        schema = self.good_json(endpoint, response)
        try:
            route = f"/{self.named(endpoint)['method']}"
            methods = {found["route"]: found for found in schema["routes"]}
            # a service may have a prefix, which the address has as its root
            found = methods.get(route) or methods.get(endpoint.path)
            inputs = () if found is None else _parameters(found["input"])
            service = str(schema["name"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidAnswer(
                f"{endpoint.authority} does not describe its methods as BentoML 1.2 and newer do.",
                hint="look whether the address is one of a BentoML service",
            ) from error
        if found is None:
            raise NotFound(
                f"{endpoint.authority} has no endpoint {route}.",
                hint=f"its endpoints are: {', '.join(sorted(methods)) or 'none'}",
            )
        return ModelInfo(name=service, inputs=inputs)

    def encode(
        self,
        endpoint: Endpoint,
        info: ModelInfo,
        rows: pa.RecordBatch,
        parameters: Mapping[str, Any],
    ) -> Request:
        """Rows as one argument of the method, parameters as the others."""
        declared = {field.name: field for field in info.inputs}
        argument = endpoint.options.get("argument", next(iter(declared), None))
        if argument is None:
            raise InvalidStep(
                f"{endpoint.authority} does not say which parameter takes the rows.",
                hint="write ?argument=<name> behind the address",
            )
        if declared and argument not in declared:
            raise InvalidStep(
                f"{endpoint.path} has no parameter {argument!r}.",
                hint=f"its parameters are: {', '.join(declared)}",
            )
        of_numbers = argument in declared and declared[argument].datatype
        value = as_lists(rows) if of_numbers else as_records(rows)
        if argument:
            return json_request(endpoint.url, {**parameters, argument: value}, rows)
        no_parameters(endpoint, parameters)
        return json_request(endpoint.url, value, rows)

    def decode(
        self, endpoint: Endpoint, info: ModelInfo, rows: pa.RecordBatch, response: Response
    ) -> Answer:
        """What the method returned as rows."""
        return Answer(
            outputs=as_outputs(endpoint, read_json(endpoint, response), rows.num_rows),
            model=info.name,
            request_id=response.headers.get("x-bentoml-request-id", ""),
        )


def _parameters(schema: Mapping[str, Any]) -> tuple[Field, ...]:
    # a parameter that is given by its position alone is the whole body, and has no name
    if schema.get("root_input"):
        return (_field("", schema),)
    return tuple(_field(name, told) for name, told in schema["properties"].items())


def _field(name: str, schema: Mapping[str, Any]) -> Field:
    """A parameter; its datatype is empty where its rows are records."""
    if schema.get("type") == "tensor":
        shape = tuple(-1 if size is None else int(size) for size in schema.get("shape") or ())
        datatype = _DATATYPES.get(str(schema.get("dtype")), _ANY_NUMBER)
        return Field(name=name, datatype=datatype, shape=shape or (-1,))
    items = schema.get("items")
    of_arrays = isinstance(items, Mapping) and items.get("type") == "array"
    return Field(name=name, datatype=_ANY_NUMBER if of_arrays else "", shape=(-1,))
