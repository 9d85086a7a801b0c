"""asyncio without descriptors: a loop that runs callbacks and sleeps. The platform has no socket pair to wake it with."""

import time

# The longest sleep at once, in seconds. A wait without an end is made of these.
_NAP = 60.0


def change(asyncio):
    """Make every new event loop of the module `asyncio` one that works here."""
    import selectors

    class Sleeper(selectors.SelectSelector):
        """A selector of nothing: there are no descriptors to wait for, so waiting is sleeping."""

        def select(self, timeout=None):
            if timeout is None:
                time.sleep(_NAP)
            elif timeout > 0:
                time.sleep(min(timeout, _NAP))
            return []

    class EventLoop(asyncio.SelectorEventLoop):
        """The event loop of the WebAssembly tier."""

        def __init__(self, selector=None):
            super().__init__(selector or Sleeper())

        def _make_self_pipe(self):
            self._ssock = self._csock = None

        def _close_self_pipe(self):
            pass

        def _write_to_self(self):
            pass

    class EventLoopPolicy(asyncio.DefaultEventLoopPolicy):
        _loop_factory = EventLoop

    asyncio.SelectorEventLoop = asyncio.EventLoop = EventLoop
    asyncio.DefaultEventLoopPolicy = EventLoopPolicy
    asyncio.set_event_loop_policy(EventLoopPolicy())
