"""What is known when a DAG file is parsed is checked there; what is rendered, when it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from backbeat.errors import InvalidStep
from backbeat_provider.operators import (
    BatchInferenceOperator,
    DriftBranchOperator,
    DriftCheckOperator,
    DriftGateOperator,
    QualityCheckOperator,
    SignoffOperator,
)


def test_a_literal_of_the_wrong_type_fails_the_parse() -> None:
    """The DAG file does not import, and the message names task, field and value."""
    with pytest.raises(InvalidStep) as raised:
        DriftCheckOperator(
            task_id="drift", current="a.parquet", reference="p.json", effect_floor=2.0
        )
    assert str(raised.value) == (
        "task 'drift': drift.check/v1 does not validate: effect_floor: "
        "Input should be less than 1 (got 2.0) "
        "Hint: see `backbeat schema drift.check` (a retry will not help)"
    )


def test_a_literal_beside_a_template_is_checked_too() -> None:
    """One template does not hide what is wrong with the other fields."""
    with pytest.raises(InvalidStep, match=r"task 'score': .* shard_rows: Input should be greater"):
        BatchInferenceOperator(
            task_id="score",
            model="{{ params.model }}",
            data={"uri": "landing/{day}.parquet", "until": "{{ ds }}"},
            output_key="scores/{{ ds }}",
            key=("id",),
            shard_rows=0,
        )


def test_a_template_anywhere_inside_waits() -> None:
    """A field is left alone as soon as one string inside it is a template."""
    task = QualityCheckOperator(
        task_id="quality",
        data={"uri": "landing/{day}.parquet", "until": "{{ ds }}"},
        suite="{{ var.json.suite }}",
    )
    assert task.step_fields()["suite"] == "{{ var.json.suite }}"


def test_another_tasks_output_waits() -> None:
    """An output is a template too, and makes the other task an upstream one."""
    from airflow.sdk import DAG

    with DAG("outputs", schedule=None):
        drift = DriftCheckOperator(task_id="drift", current="a.parquet", reference="p.json")
        signoff = SignoffOperator(
            task_id="signoff",
            subject="Go?",
            evidence=drift.output,
            about={"version": drift.output["rows"]},
        )
    assert signoff.upstream_task_ids == {"drift"}


def test_a_quorum_out_of_reach_fails_the_parse() -> None:
    """Rules over several fields are checked where all of them are literal."""
    with pytest.raises(InvalidStep, match="a quorum of 2 cannot be reached by 1 approvers"):
        SignoffOperator(task_id="signoff", subject="Go?", approvers=["ada"])


def test_json_text_is_read_where_json_is_wanted() -> None:
    """A string for a list is parsed, as a rendered one would be."""
    task = DriftCheckOperator(
        task_id="drift", current="a.parquet", reference="p.json", columns='["carrier"]'
    )
    assert task.columns == '["carrier"]'


def test_a_verdict_that_does_not_exist_cannot_be_followed() -> None:
    """A misspelt verdict would silently skip everything, or let everything through."""
    with pytest.raises(InvalidStep, match="stop_on names 'drift', which is no drift verdict"):
        DriftGateOperator(
            task_id="drift", current="a.parquet", reference="p.json", stop_on=["drift"]
        )
    with pytest.raises(InvalidStep, match="follow names 'drift', which is no drift verdict"):
        DriftBranchOperator(
            task_id="drift", current="a.parquet", reference="p.json", follow={"drift": "train"}
        )


def test_a_template_that_renders_to_nonsense_is_final(
    folder: Path, context: Callable[..., dict[str, Any]]
) -> None:
    """The rendered field is validated before any work, and a retry would render the same."""
    task = DriftCheckOperator(
        task_id="drift", current="a.parquet", reference="p.json", q="{{ params.q }}"
    )
    task.q = "a twentieth"  # what rendering leaves
    with pytest.raises(AirflowFailException) as raised:
        task.execute(context(task))
    assert str(raised.value) == (
        "drift.check/v1 does not validate: q: Input should be a valid number, unable to parse "
        "string as a number (got 'a twentieth') "
        "Hint: see `backbeat schema drift.check` (a retry will not help)"
    )
    assert not folder.exists()
