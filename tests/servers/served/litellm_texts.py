"""A provider of LiteLLM's proxy: embeddings, and a model that says which documents it got."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import texts
from litellm import CustomLLM, EmbeddingResponse, ModelResponse
from litellm.types.utils import Usage
from media_facts import facts


class Texts(CustomLLM):
    async def acompletion(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """JSON of each document of the last message: the kind of its part, and its facts."""
        parts = kwargs["messages"][-1]["content"]
        found = [{"part": part["type"], **facts(_bytes(part))} for part in parts[1:]]
        message = {"role": "assistant", "content": json.dumps(found)}
        return ModelResponse(
            model=kwargs["model"],
            choices=[{"index": 0, "message": message, "finish_reason": "stop"}],
        )

    async def aembedding(self, *args: Any, **kwargs: Any) -> EmbeddingResponse:
        """One embedding a text, in their order."""
        asked = kwargs["input"]
        words = sum(len(text.split()) for text in asked)
        return EmbeddingResponse(
            model=kwargs["model"],
            data=[
                {"object": "embedding", "index": at, "embedding": texts.embedded(text)}
                for at, text in enumerate(asked)
            ],
            usage=Usage(prompt_tokens=words, completion_tokens=0, total_tokens=words),
        )


def _bytes(part: dict[str, Any]) -> bytes:
    said = part[part["type"]]
    coded = said.get("url") or said.get("data") or said.get("file_data")
    return b64decode(coded.partition(";base64,")[2] or coded, validate=True)


provider = Texts()
