"""A check of ours for schemathesis, which loads this file by the variable SCHEMATHESIS_HOOKS."""

from __future__ import annotations

import schemathesis


@schemathesis.check
def no_fault_of_ours(ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case) -> None:
    """An actor may fail, and says at which step; the server may not."""
    if response.status_code >= 500:
        problem = response.json()
        assert problem.get("code") and problem.get("step"), f"{response.status_code}: {response.text}"
