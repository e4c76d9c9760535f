"""Python imports this at its start when the folder is on PYTHONPATH: the wall clock of the process is then moved by as many
seconds as stand in the file that MOVED_CLOCK names (eight bytes, see ``tests/chaos/wall_clock.py``). Changing the file moves
the clock of a process that runs. Monotonic clocks stay, as they do when an operator sets the time.
"""

import ctypes
import datetime
import gc
import mmap
import os
import struct
import time

with open(os.environ["MOVED_CLOCK"], "rb") as _file:
    _seconds = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)

_time, _gmtime, _localtime = time.time, time.gmtime, time.localtime
_Datetime = datetime.datetime


def offset() -> float:
    return float(struct.unpack("<d", _seconds[:8])[0])


def _now(cls: type[_Datetime], tz: datetime.tzinfo | None = None) -> _Datetime:
    return cls.fromtimestamp(time.time(), tz)


def _utcnow(cls: type[_Datetime]) -> _Datetime:
    return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)


time.time = lambda: _time() + offset()
time.time_ns = lambda: round(time.time() * 1_000_000_000)
time.gmtime = lambda seconds=None: _gmtime(time.time() if seconds is None else seconds)
time.localtime = lambda seconds=None: _localtime(time.time() if seconds is None else seconds)
# In the class itself: libraries written in C know no other one, and take no subclass for it.
_methods = gc.get_referents(_Datetime.__dict__)[0]
_methods |= {"now": classmethod(_now), "utcnow": classmethod(_utcnow), "today": classmethod(_now)}
ctypes.pythonapi.PyType_Modified(ctypes.py_object(_Datetime))
