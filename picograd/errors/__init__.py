"""The errors that picograd raises, and where in the user's code they came from.

Every error says what went wrong, what was expected, what was found, and what to do about it; each
of these is a field, so that a front end or a command line may lay them out as it likes. `base` has
the class of them all, `kinds` what can be caught, `location` the user's expression, and
`catalogue` the codes: what each means, with an example.
"""

from picograd.errors.base import PicogradError
from picograd.errors.kinds import (
    AxisError,
    CompileError,
    DeviceError,
    DTypeError,
    GradientError,
    IndexOutOfRange,
    LimitError,
    MissingName,
    OperandError,
    OptionError,
    ParseFailure,
    PassError,
    PipelineError,
    RuleError,
    SanitizerError,
    ShapeError,
    StateError,
    TraceError,
    VerificationError,
)
from picograd.errors.location import (
    Location,
    Place,
    locations_of,
    origin_of,
    source_of,
    user_location,
)

__all__ = [
    "AxisError",
    "CompileError",
    "DTypeError",
    "DeviceError",
    "GradientError",
    "IndexOutOfRange",
    "LimitError",
    "Location",
    "MissingName",
    "OperandError",
    "OptionError",
    "ParseFailure",
    "PassError",
    "PicogradError",
    "PipelineError",
    "Place",
    "RuleError",
    "SanitizerError",
    "ShapeError",
    "StateError",
    "TraceError",
    "VerificationError",
    "locations_of",
    "origin_of",
    "source_of",
    "user_location",
]
