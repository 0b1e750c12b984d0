"""The messages of the Open Inference Protocol over gRPC, without generated code.

They are built in a pool of their own: the stubs of KServe and of Triton both register theirs in
protobuf's default pool, which refuses the second one, so that no process can have both.
https://github.com/kserve/open-inference-protocol, specification/protocol/open_inference_grpc.proto
"""

from __future__ import annotations

from typing import Any

from backbeat.errors import UnmetNeed

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from google.protobuf.message import DecodeError
except ImportError as error:
    raise UnmetNeed(
        "This address goes over gRPC, and protobuf is not installed.",
        hint='install "backbeat[grpc]"',
    ) from error

__all__ = ["MESSAGES", "SERVICE", "DecodeError"]

SERVICE = "/inference.GRPCInferenceService/"

_PACKAGE = "inference"
# a field a line: its number, how often, its type, its name; a type with a dot is one of ours
_PROTO = """
message InferParameter
1 oneof bool bool_param
2 oneof int64 int64_param
3 oneof string string_param
4 oneof double double_param
message InferTensorContents
1 repeated bool bool_contents
2 repeated int32 int_contents
3 repeated int64 int64_contents
4 repeated uint32 uint_contents
5 repeated uint64 uint64_contents
6 repeated float fp32_contents
7 repeated double fp64_contents
8 repeated bytes bytes_contents
message Tensor
1 optional string name
2 optional string datatype
3 repeated int64 shape
4 map .InferParameter parameters
5 optional .InferTensorContents contents
message ModelReadyRequest
1 optional string name
2 optional string version
message ModelReadyResponse
1 optional bool ready
message ModelMetadataRequest
1 optional string name
2 optional string version
message ModelMetadataResponse
1 optional string name
2 repeated string versions
3 optional string platform
4 repeated .Tensor inputs
5 repeated .Tensor outputs
message ModelInferRequest
1 optional string model_name
2 optional string model_version
3 optional string id
4 map .InferParameter parameters
5 repeated .Tensor inputs
7 repeated bytes raw_input_contents
message ModelInferResponse
1 optional string model_name
2 optional string model_version
3 optional string id
4 map .InferParameter parameters
5 repeated .Tensor outputs
6 repeated bytes raw_output_contents
"""


def _built() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="open_inference.proto", package=_PACKAGE, syntax="proto3"
    )
    message: Any = None
    for words in (line.split() for line in _PROTO.strip().splitlines()):
        if words[0] == "message":
            message = file.message_type.add(name=words[1])
            continue
        number, often, kind, name = words
        if often == "map":
            entry = message.nested_type.add(name=f"{name.title()}Entry")
            entry.options.map_entry = True
            _add(entry, 1, "optional", "string", "key")
            _add(entry, 2, "optional", kind, "value")
            kind, often = f".{message.name}.{entry.name}", "repeated"
        field = _add(message, int(number), often, kind, name)
        if often == "oneof":
            if not message.oneof_decl:
                message.oneof_decl.add(name="choice")
            field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        made.name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{_PACKAGE}.{made.name}")
        )
        for made in file.message_type
    }


def _add(message: Any, number: int, often: str, kind: str, name: str) -> Any:
    field = message.field.add(name=name, number=number)
    field.label = field.LABEL_REPEATED if often == "repeated" else field.LABEL_OPTIONAL
    if kind.startswith("."):
        field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")
    return field


MESSAGES = _built()
