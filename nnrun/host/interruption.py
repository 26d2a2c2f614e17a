"""Ctrl-C and SIGTERM: a flag that the loop reads, and an end within about a second where nothing reads it."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

GRACE_SECONDS = 1.0
TRAINING_GRACE_SECONDS = 10.0
ends_process = False
"""Whether the process is a command's, which ends once a signal was answered; further ones are not listened to then."""


class Interrupted(Exception):
    """A signal asked to stop; `exit_code` is 130 for Ctrl-C and 143 for SIGTERM."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


class Watch:
    """Listens for signals while a run works.

    The training loop calls `check()` between stretches, where the state is whole. Elsewhere (compiling, loading) Python
    cannot act while compiled code runs: a thread, woken by the signal itself, waits GRACE_SECONDS for the loop, then
    calls `emergency` and ends the process. Once `training` it is patient, because the next stretch ends soon.
    """

    def __init__(self, emergency: Callable[[Interrupted], None]) -> None:
        self._emergency = emergency
        self._received: Interrupted | None = None
        self._handled = threading.Event()
        self.training = False

    def __enter__(self) -> "Watch":
        # Python lets the main thread alone set signal handlers.
        if threading.current_thread() is not threading.main_thread():
            return self
        # The handlers themselves run only between bytecodes, so not while XLA compiles; the byte that Python's C code
        # writes to this pipe comes at once. It must not block: nobody may be reading.
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._guard, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._handled.set()
        if hasattr(self, "_before"):
            signal.set_wakeup_fd(self._wakeup)
            for number, handler in self._before.items():
                signal.signal(number, signal.SIG_IGN if ends_process and self._received else handler)
            # An end of file wakes the thread where no signal did.
            os.close(self._write)
            self._thread.join()
            os.close(self._read)

    def heard(self) -> bool:
        """Whether a signal came; if so the caller saves and ends, however long that takes."""
        if self._received:
            self._handled.set()
        return self._received is not None

    def check(self) -> None:
        """Raises Interrupted when a signal came."""
        if self.heard() and self._received:
            raise self._received

    def _note(self, number: int, _: FrameType | None) -> None:
        self._received = self._received or Interrupted(number)

    def _guard(self) -> None:
        received = os.read(self._read, 1)
        if received and not self._handled.wait(TRAINING_GRACE_SECONDS if self.training else GRACE_SECONDS):
            interrupted = Interrupted(received[0])
            try:
                self._emergency(interrupted)
            finally:
                # sys.exit would end this thread alone, and the main one is in compiled code.
                os._exit(interrupted.exit_code)
