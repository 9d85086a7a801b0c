"""The event loop for top-level `await`: made when the first cell needs it and kept, so that tasks live on between cells."""

from . import trusted


class Loop:
    """Runs coroutines of cells on one asyncio loop."""

    def __init__(self):
        self._loop = None

    def run(self, coroutine):
        """Run to completion. An interrupt cancels the coroutine first, so that its `finally` blocks run."""
        asyncio = trusted.load("asyncio")
        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.new_event_loop()
        # asyncio.run() in an earlier cell leaves the thread without a current loop.
        asyncio.set_event_loop(self._loop)
        task = self._loop.create_task(coroutine)
        try:
            return self._loop.run_until_complete(task)
        except KeyboardInterrupt as interrupt:
            if task.done():
                raise
            task.cancel()
            where = None
            try:
                self._loop.run_until_complete(task)
            except (Exception, asyncio.CancelledError) as ended:
                where = ended.__traceback__  # shows the line that was awaited; the interrupt itself hit the loop
            raise interrupt.with_traceback(where or interrupt.__traceback__) from None
        finally:
            if task.done() and not task.cancelled():
                task.exception()  # mark it as seen, or asyncio complains about an error that was reported

    def reset(self):
        """Cancel what still runs and forget the loop."""
        loop, self._loop = self._loop, None
        if loop is None or loop.is_closed() or loop.is_running():
            return
        asyncio = trusted.load("asyncio")
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=1))
        loop.close()

    def after_fork(self):
        """In a forked child: the epoll descriptor is shared with the parent, so the loop must not be used there."""
        self._loop = None
