"""Print the GPU adapter that picograd would use; exit with 1, saying why, when there is none."""

import sys

import picograd.backends  # noqa: F401  (registers the devices)
from picograd.backends.runtime import device
from picograd.errors import DeviceError


def main() -> int:
    try:
        print(device("gpu").adapter)
    except DeviceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
