"""The status word: how kernels report an index out of range without stopping.

Four 32-bit words in a buffer of the device: a flag that the first failing thread takes, the index,
the number of elements it had to be below, and a number for the kernel's name. Checked execution
gives each call a buffer of its own, with four words more: a flag, the number of the load or store
that would have left its memory, the axis (-1: the offset in the buffer), and the index.
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
fn pg_inside(index: i32, size: i32, site: i32, axis: i32) -> bool {
  if (index >= 0i && index < size) { return true; }
  if (atomicExchange(&pg_status[4], 1i) == 0i) {
    atomicStore(&pg_status[5], site);
    atomicStore(&pg_status[6], axis);
    atomicStore(&pg_status[7], index);
  }
  return false;
}"""
"""The WGSL function that tests one index of an access, and reports it."""
