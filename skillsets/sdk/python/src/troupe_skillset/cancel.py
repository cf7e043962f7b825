"""How work learns that nobody wants it any more."""

import threading
import traceback
from collections.abc import Callable

from .errors import Code, SkillsetError


class Cancelled(SkillsetError):
    """Raised by work that was told to stop."""

    def __init__(self, cause: str = "the node takes the work back") -> None:
        super().__init__(Code.CANCELLED, cause)


class CancelToken:
    """Cancelled once, and then for ever. Thread-safe."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """For work that looks now and then: raises Cancelled when it is time to stop."""
        if self.cancelled:
            raise Cancelled

    def wait(self, seconds: float | None = None) -> bool:
        """Sleeps; true as soon as it is cancelled, false when the time has passed."""
        return self._event.wait(seconds)

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Has `callback` called once when it is cancelled, at once if it is; from another thread, and quick."""
        with self._lock:
            if not self.cancelled:
                self._callbacks.append(callback)
                return
        callback()

    def _cancel(self) -> bool:
        """True for the first time."""
        with self._lock:
            if self.cancelled:
                return False
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback()
            except BaseException:  # it is the skillset's, and the thread that reads goes on
                traceback.print_exc()
        return True
