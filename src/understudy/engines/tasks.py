"""Tasks of ours that wait for a wit: nothing that the wit does to all tasks of its loop reaches them."""

from __future__ import annotations

from asyncio import current_task, tasks


def hide_task() -> None:
    """Keep the running task out of `asyncio.all_tasks()`: a wit that cancels all that it finds there would never end."""
    task = current_task()
    if task is not None:
        # Documented for whoever writes tasks of their own, under "Extending asyncio".
        tasks._unregister_task(task)
