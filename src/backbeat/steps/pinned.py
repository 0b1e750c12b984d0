"""Inputs as the claim pinned them: what is performed on is what was claimed and promised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backbeat.canonical import digest
from backbeat.contract.media import with_media_types
from backbeat.data import open_dataset, references
from backbeat.errors import Conflict
from backbeat.reference import DataRef, Dataset
from backbeat.step import StepContext

if TYPE_CHECKING:
    import pyarrow.dataset as ds

    from backbeat.contract import DataContract

__all__ = ["open_pinned", "pin", "pin_contract", "read_kept", "require_kept"]


def pin(ctx: StepContext, dataset: Dataset) -> str:
    """One digest over the files that a floating reference means now, and over their contract."""
    return _digest(references(ctx.store, dataset), _contract(ctx, dataset))


def open_pinned(
    ctx: StepContext, name: str, dataset: Dataset
) -> tuple[ds.Dataset, tuple[DataRef, ...]]:
    """Open an input whose claim is `ctx.inputs[name]`, and hold it against its contract.

    Raises:
        Conflict: The files, or the contract, have changed since the claim.
        ContractBroken: The data does not keep its contract.
    """
    refs, contract = references(ctx.store, dataset), _contract(ctx, dataset)
    if _digest(refs, contract) != ctx.inputs[name]:
        theirs = f", or its contract ({dataset.contract})," if contract else ""
        raise Conflict(
            f"the {name} ({dataset.uri}){theirs} changed while the step ran: nothing was written",
            hint="let the producer finish (write to a temporary name, then rename), then run again",
        )
    data = open_dataset(ctx.store, refs)
    if contract is not None:
        _require(contract, data, name, dataset)
        said = {each.name: each.media_type for each in contract.columns if each.media_type}
        if said:
            # most writers of files do not say it themselves
            data = data.replace_schema(with_media_types(data.schema, said))
    return data, refs


def read_kept(ctx: StepContext, name: str, dataset: Dataset) -> tuple[DataRef, ...]:
    """Resolve a reference that is only recorded; data that names a contract must keep it.

    Raises:
        ContractBroken: The data does not keep its contract.
    """
    refs, contract = references(ctx.store, dataset), _contract(ctx, dataset)
    if contract is not None:
        _require(contract, open_dataset(ctx.store, refs), name, dataset)
    return refs


def pin_contract(ctx: StepContext, uri: str) -> str:
    """The digest of what a contract says now."""
    from backbeat.contract import load_contract

    return load_contract(ctx.store, uri).digest()


def require_kept(ctx: StepContext, name: str, uri: str, files: Sequence[str], *, what: str) -> None:
    """Hold files that are about to be published against the contract `ctx.inputs[name]`.

    Args:
        ctx: The step's context.
        name: The input under which the contract was pinned.
        uri: The contract.
        files: Store keys of Parquet files.
        what: What they are, for the message.

    Raises:
        Conflict: The contract has changed since the claim.
        ContractBroken: The files do not keep it.
    """
    from backbeat.contract import load_contract, require

    contract = load_contract(ctx.store, uri)
    if contract.digest() != ctx.inputs[name]:
        raise Conflict(
            f"the contract {uri} changed while the step ran: nothing was published",
            hint="run again, under the contract that is there now",
        )
    refs = [DataRef(uri=key, digest="") for key in files]
    require(contract, open_dataset(ctx.store, refs), what=what)


def _contract(ctx: StepContext, dataset: Dataset) -> DataContract | None:
    if dataset.contract is None:
        return None
    from backbeat.contract import load_contract

    return load_contract(ctx.store, dataset.contract)


def _require(contract: DataContract, data: ds.Dataset, name: str, dataset: Dataset) -> None:
    from backbeat.contract import require

    require(contract, data, what=f"{name} ({dataset.title})")


def _digest(refs: Sequence[DataRef], contract: DataContract | None) -> str:
    files = [[ref.uri, ref.digest] for ref in refs]
    if contract is None:
        return digest(files)
    return digest({"files": files, "contract": contract.digest()})
