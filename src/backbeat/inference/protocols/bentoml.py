"""BentoML: an endpoint is a method of a service, its body the method's arguments.

    bentoml+http://host:3000/classify
    bentoml+http://host:3000/classify?argument=rows

The service's schema says what the rows are called and whether they are arrays or records; without
`?argument=` they are the first parameter. Parameters that are files (`list[Path]`, images) get a
binary column, as a form; other columns beside it go to the parameters of their names.
https://docs.bentoml.com/en/latest/build-with-bentoml/iotypes.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backbeat.contract.media import is_binary, media_type_of
from backbeat.errors import ContractBroken, InvalidAnswer, InvalidStep, NotFound
from backbeat.inference.address import Endpoint
from backbeat.inference.message import Request, Response
from backbeat.inference.protocol import Answer, Field, ModelInfo
from backbeat.inference.protocols.http_json import HttpJson, get, no_parameters
from backbeat.inference.protocols.json_answers import as_outputs, read_json
from backbeat.inference.protocols.json_rows import as_lists, as_records, as_table, json_request
from backbeat.inference.protocols.multipart import File, multipart_request

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
_FILES = "BYTES"
_ANY_BYTES = "application/octet-stream"


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
        if of_numbers == _FILES:
            return self._with_files(endpoint, info, declared[argument], rows, parameters)
        value = as_lists(rows) if of_numbers else as_records(rows)
        if argument:
            return json_request(endpoint.url, {**parameters, argument: value}, rows)
        no_parameters(endpoint, parameters)
        return json_request(endpoint.url, value, rows)

    def _with_files(
        self,
        endpoint: Endpoint,
        info: ModelInfo,
        files: Field,
        rows: pa.RecordBatch,
        parameters: Mapping[str, Any],
    ) -> Request:
        several = files.shape == (-1,)
        if not several and rows.num_rows != 1:
            raise ContractBroken(
                f"{endpoint.path} takes one file a request, and there are {rows.num_rows} rows.",
                hint="ask about one row at a time, `request_rows` of 1, or let it take a list",
            )
        names = rows.schema.names
        at = names.index(files.name) if files.name in names else 0
        binary = [
            name for name, kind in zip(names, rows.schema.types, strict=True) if is_binary(kind)
        ]
        if not is_binary(rows.schema.types[at]) or (files.name not in names and len(binary) != 1):
            raise ContractBroken(
                f"{endpoint.path} takes files as {files.name or 'its body'}, and the binary "
                f"columns are {', '.join(binary) or 'none'}.",
                hint="name the column as the parameter, or leave out all others",
            )
        media_type = media_type_of(rows.schema.field(at)) or _ANY_BYTES
        contents = [_content(names[at], row, value) for row, value in enumerate(rows.column(at))]
        if not files.name:
            no_parameters(endpoint, parameters)
            headers = {"accept": "application/json", "content-type": media_type}
            return Request(method="POST", url=endpoint.url, headers=headers, body=tuple(contents))
        taken = {field.name: field for field in info.inputs}
        beside = [name for place, name in enumerate(names) if place != at]
        unknown = sorted(name for name in beside if name not in taken)
        if unknown:
            raise ContractBroken(
                f"{endpoint.path} has no parameter for the columns {', '.join(unknown)}.",
                hint=f"its parameters are: {', '.join(taken)}",
            )
        values = {**parameters}
        for name in beside:
            (column,) = zip(*as_table(rows.select([name])), strict=True)
            values[name] = list(column) if several else column[0]
        parts = [
            File(name=files.name, filename=f"{row}", media_type=media_type, content=content)
            for row, content in enumerate(contents)
        ]
        return multipart_request(endpoint.url, parts, values)

    def decode(
        self, endpoint: Endpoint, info: ModelInfo, rows: pa.RecordBatch, response: Response
    ) -> Answer:
        """What the method returned as rows."""
        return Answer(
            outputs=as_outputs(endpoint, read_json(endpoint, response), rows.num_rows),
            model=info.name,
            request_id=response.headers.get("x-bentoml-request-id", ""),
        )


def _content(name: str, row: int, value: Any) -> memoryview:
    if not value.is_valid:
        raise ContractBroken(
            f"Column {name!r} is null in row {row}, and a file is never missing.",
            hint="leave such rows out",
        )
    return memoryview(value.as_buffer())


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
    if schema.get("type") == "file":
        return Field(name=name, datatype=_FILES, shape=())
    if isinstance(items, Mapping) and items.get("type") == "file":
        return Field(name=name, datatype=_FILES, shape=(-1,))
    of_arrays = isinstance(items, Mapping) and items.get("type") == "array"
    return Field(name=name, datatype=_ANY_NUMBER if of_arrays else "", shape=(-1,))
