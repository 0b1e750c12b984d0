"""Embeddings as a provider of LiteLLM's proxy, which has a mock of one text alone."""

from __future__ import annotations

from typing import Any

import texts
from litellm import CustomLLM, EmbeddingResponse
from litellm.types.utils import Usage


class Texts(CustomLLM):
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


provider = Texts()
