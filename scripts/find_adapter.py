"""Print the GPU adapter that picograd would use; exit with 3, saying why, when there is none."""

import sys

import picograd.backends  # noqa: F401  (registers the devices)
from picograd.backends.runtime import device
from picograd.errors import DeviceError

# Not 1, which Python itself exits with when something breaks.
NO_ADAPTER = 3


def main() -> int:
    try:
        print(device("gpu").adapter)
    except DeviceError as error:
        print(error, file=sys.stderr)
        return NO_ADAPTER
    return 0


if __name__ == "__main__":
    sys.exit(main())
