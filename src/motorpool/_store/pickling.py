"""Which data leave a pickle out of band, beside those that do so by themselves.

numpy hands over contiguous arrays as they are, and with them go pandas, scipy and scikit-learn;
pyarrow does so with its buffers. What follows is for the rest: for dates, for strided and masked
arrays, for slices of Arrow data, which would take all of their parents along, for polars, and for
bytes. Nothing here imports a library: who has an array has imported numpy.
"""

from __future__ import annotations

import marshal
import pickle
import sys
from enum import Enum
from functools import cache, lru_cache
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from motorpool._store.classes import reduce_class, reduce_member
from motorpool._store.exceptions import reduce_exception
from motorpool._store.script_module import NAMES_OF_MAIN
from motorpool._store.script_pickling import by_name, reduce_script
from motorpool._store.tables import LEAST, of_arrow, of_arrow_column, of_polars

if TYPE_CHECKING:
    from collections.abc import Callable


def reduce_out_of_band(obj: Any) -> Any:
    """What `reducer_override` of a pickler returns for an object.

    Returns:
        A reduced value whose data are a `PickleBuffer`, or NotImplemented.
    """
    if type(obj) is CodeType:  # for cloudpickle its file is "<dynamic-code>"
        return load_code, (marshal.dumps(obj),)
    reducer = _REDUCERS.get(type(obj).__module__)
    if reducer is not None:
        return reducer(obj)
    if isinstance(obj, Enum):
        return reduce_member(obj)
    return reduce_exception(obj) if isinstance(obj, BaseException) else NotImplemented


def load_code(data: bytes) -> CodeType:
    """Make code of its bytes, for this version of Python."""
    code: CodeType = marshal.loads(data)  # noqa: S302, as all pickles
    return code


def _by_value() -> bool:
    """Whether the user has registered modules whose contents go by value."""
    import cloudpickle  # noqa: PLC0415, takes 10 ms that `import motorpool` must not

    return bool(cloudpickle.list_registry_pickle_by_value())


@cache
def _pickler() -> type[Any]:
    import cloudpickle  # noqa: PLC0415, takes 10 ms that `import motorpool` must not

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """cloudpickle's, with more out of band."""

        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, (type, FunctionType)) and _has_its_name(obj):
                return NotImplemented  # by name; cloudpickle needs five times as long to know
            reduced = reduce_script(obj)
            if reduced is NotImplemented:
                reduced = reduce_out_of_band(obj)
            if reduced is not NotImplemented:
                return reduced
            return reduce_class(obj) if isinstance(obj, type) else super().reducer_override(obj)

    return Pickler


def _has_its_name(obj: Any) -> bool:
    """Whether a function or a class is found in its module, which workers import."""
    module = obj.__module__
    found = getattr(sys.modules.get(module), obj.__qualname__, None) is obj
    return found and module not in NAMES_OF_MAIN and not _by_value()


def dumps(obj: Any, buffer_callback: Callable[[pickle.PickleBuffer], Any] | None) -> bytes:
    """Pickle with cloudpickle, with as much out of band as can be."""
    import io  # noqa: PLC0415, as above

    stream = io.BytesIO()
    _pickler()(stream, 5, buffer_callback).dump(obj)
    return stream.getvalue()


def _of_numpy(array: Any) -> Any:
    if type(array).__name__ != "ndarray" or array.dtype.hasobject:
        return NotImplemented
    locked = not array.flags.writeable  # as of pandas' `to_numpy`; its readers may change theirs
    small = array.nbytes < LEAST
    if small and array.dtype.isnative:
        return array.copy("K").__reduce_ex__(5) if locked else NotImplemented
    if array.flags.forc and not (small or locked or _hides(array.dtype)):
        return NotImplemented  # numpy does it
    numpy = sys.modules["numpy"]
    array = array if array.flags.forc else numpy.ascontiguousarray(array)
    order = "C" if array.flags.c_contiguous else "F"
    if small:  # of the other byte order, which numpy would change
        return restore_array, (bytearray(array.tobytes(order)), array.dtype, array.shape, order)
    flat = array.ravel(order).view("u1")
    data = pickle.PickleBuffer(flat if flat.flags.writeable else _unlocked(flat))
    return restore_array, (data, array.dtype, array.shape, order)


def _unlocked(flat: Any) -> Any:
    """A buffer on an array's memory that may be written to, and is not; it keeps the array.

    The pickle of one that may not says so, and then a reader of a copy could not write to that.
    """
    import ctypes  # noqa: PLC0415, only where it is needed

    buffer = (ctypes.c_char * flat.nbytes).from_address(flat.ctypes.data)
    buffer.array = flat
    return buffer


def _hides(dtype: Any) -> bool:
    """Whether numpy does not show arrays of this type as buffers: there are dates in them."""
    if dtype.subdtype is not None:
        return _hides(dtype.subdtype[0])
    if dtype.fields is not None:
        return any(_hides(field[0]) for field in dtype.fields.values())
    return dtype.kind in "mM"


def restore_array(data: Any, dtype: Any, shape: tuple[int, ...], order: Any) -> Any:
    """Make an array of its bytes."""
    import numpy  # noqa: ICN001, PLC0415, there is numpy where arrays are

    return numpy.frombuffer(data, "u1").view(dtype).reshape(shape, order=order)


def _of_masked(array: Any) -> Any:
    if type(array).__name__ != "MaskedArray" or array.nbytes < LEAST or array.dtype.hasobject:
        return NotImplemented
    numpy = sys.modules["numpy"]
    bare = array.mask is numpy.ma.nomask
    state = (array._fill_value, array.hardmask, dict(array._optinfo))  # noqa: SLF001, as its pickle
    return restore_masked, (array.data, None if bare else array.mask, *state)


def restore_masked(data: Any, mask: Any, fill: Any, hard: Any, info: dict[str, Any]) -> Any:
    """Make a masked array of its parts."""
    import numpy  # noqa: ICN001, PLC0415, as above

    mask = numpy.ma.nomask if mask is None else mask
    array: Any = numpy.ma.MaskedArray(data, mask=mask, hard_mask=hard)
    array._fill_value = fill  # noqa: SLF001, as above
    array._optinfo.update(info)  # noqa: SLF001, as above
    return array


def _of_cache(obj: Any) -> Any:
    """A function below `functools.cache`, which pickles by name, and so not out of a script."""
    if not hasattr(obj, "cache_parameters"):
        return NotImplemented
    name = by_name(obj)
    if name is not None:
        return name
    found: Any = sys.modules.get(obj.__module__) if obj.__module__ != "__main__" else None
    for name in obj.__qualname__.split("."):
        found = getattr(found, name, None)
    return (
        NotImplemented
        if found is obj
        else (restore_cache, (obj.__wrapped__, obj.cache_parameters()))
    )


def restore_cache(function: Any, parameters: dict[str, Any]) -> Any:
    """The function with a cache of its own, which is empty."""
    return lru_cache(**parameters)(function)


# By the module of a class, so that none has to be imported; classes of other names pass through.
_REDUCERS: dict[str, Callable[[Any], Any]] = {
    "functools": _of_cache,
    "numpy": _of_numpy,
    "numpy.ma": _of_masked,
    "numpy.ma.core": _of_masked,
    "pandas.arrays": of_arrow_column,
    "pandas.core.arrays.arrow.array": of_arrow_column,
    "pandas.core.arrays.string_arrow": of_arrow_column,
    "polars.dataframe.frame": of_polars,
    "polars.series.series": of_polars,
    "pyarrow.lib": of_arrow,
}
