"""A guard against the pipeline growing dearer: CPU time against bare Celery's, in the same run, so that neither the
machine nor its neighbours matter much. The figures proper are those of `make bench`."""

from __future__ import annotations

import pytest

from benchmarks.contenders import Shape
from benchmarks.cpu import measure
from benchmarks.figures import times

#: What bare Celery's task costs, in units of a transaction in a batch, all processes included: the best of two turns
#: must reach it. Measured 6 to 9 on an idle machine and 5 on a busy one; raise it when the pipeline gets cheaper.
LEAST_TIMES_BARE = 4.0


@pytest.mark.processes
@pytest.mark.timeout(600)
def test_a_transaction_in_a_batch_costs_a_fraction_of_a_bare_task() -> None:
    shapes = {"bare": Shape("bare"), "batch": Shape("batch", upkeep=False)}
    rows = measure(shapes, turns=2, counts={"bare": 500, "batch": 5_000})
    found = times(rows["batch"], rows["bare"])["CPU"]
    assert found["max"] >= LEAST_TIMES_BARE, f"only {found['max']:.1f} times cheaper than bare Celery: {rows}"
