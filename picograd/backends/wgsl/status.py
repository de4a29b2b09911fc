"""The status word: how kernels report an index out of range without stopping.

Four 32-bit words in a buffer of the device: a flag that the first failing thread takes, the index,
the number of elements it had to be below, and a number for the kernel's name. Checked execution
gives each call a buffer of its own, with words more: a flag, which index of which load or store
would have left its memory, and the index.
"""

import zlib

STATUS_BYTES = 16
CHECKED_STATUS_BYTES = 32


def kernel_number(kernel_name: str) -> int:
    """How a kernel signs the status word: the CRC-32 of its name."""
    return zlib.crc32(kernel_name.encode())


def checked_index_function(kernel_name: str) -> str:
    """The WGSL function that checks one index; an index out of range counts as 0 meanwhile."""
    return f"""\
fn pg_checked_index(index: i32, size: i32) -> i32 {{
  if (index >= 0i && index < size) {{ return index; }}
  if (atomicExchange(&pg_status[0], 1i) == 0i) {{
    atomicStore(&pg_status[1], index);
    atomicStore(&pg_status[2], size);
    atomicStore(&pg_status[3], bitcast<i32>({kernel_number(kernel_name)}u));
  }}
  return 0i;
}}"""


INSIDE_FUNCTION = """\
var<private> pg_fault: i32 = 0i;
var<private> pg_wrong: i32 = 0i;
fn pg_inside(index: i32, size: u32, place: i32) -> bool {
  let inside = bitcast<u32>(index) < size;
  let first = !inside && pg_fault == 0i;
  pg_fault = select(pg_fault, place, first);
  pg_wrong = select(pg_wrong, index, first);
  return inside;
}"""
"""The WGSL function that tests one index of an access.

Nothing branches in it, because kernels call it hundreds of times: a thread keeps its first fault,
as a number that `place_number` makes of the access and the axis, until the shader's end.
"""

REPORT = """\
  if (pg_fault != 0i) {
    if (atomicExchange(&pg_status[4], 1i) == 0i) {
      atomicStore(&pg_status[5], pg_fault);
      atomicStore(&pg_status[6], pg_wrong);
    }
  }"""
"""What stands at the end of a shader that calls it."""

_AXES = 64
"""More than a buffer has."""


def place_number(site: int, axis: int) -> int:
    """One number, never 0, for an axis of an access; -1 stands for the offset in the buffer."""
    return 1 + site * _AXES + (axis + 1)


def place_of(number: int) -> tuple[int, int]:
    """The access and the axis of such a number."""
    site, axis = divmod(number - 1, _AXES)
    return site, axis - 1
