"""picograd: a teaching compiler for tensor programs.

Use it as `import picograd as torch`: names, defaults and semantics are PyTorch's. Backends are
imported when a tensor is first put on their device.
"""

from picograd import (
    autograd,
    data,
    errors,
    func,
    io,
    linalg,
    nn,
    optim,
    utils,
)
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.pipelines import pipeline
from picograd.dialects.dtypes import (
    DType as dtype,
)
from picograd.dialects.dtypes import (
    bfloat16,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from picograd.dialects.dtypes import (
    bool_ as bool,
)
from picograd.dialects.dtypes import (
    float16 as half,
)
from picograd.dialects.dtypes import (
    float32 as float,
)
from picograd.dialects.dtypes import (
    float64 as double,
)
from picograd.dialects.dtypes import (
    int16 as short,
)
from picograd.dialects.dtypes import (
    int32 as int,
)
from picograd.dialects.dtypes import (
    int64 as long,
)
from picograd.dialects.limits import (
    finfo,
    iinfo,
)
from picograd.frontend import functions as _functions
from picograd.frontend.combining import (
    atleast_1d,
    atleast_2d,
    broadcast_tensors,
    hstack,
    meshgrid,
    vstack,
)
from picograd.frontend.compiled import (
    CompiledFunction,
    compile,
)
from picograd.frontend.creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    logspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from picograd.frontend.creation import (
    from_array as from_numpy,
)
from picograd.frontend.devices import (
    default_device,
    set_default_device,
)
from picograd.frontend.einsum import (
    einsum,
)
from picograd.frontend.explain import (
    Explanation,
    explain,
)
from picograd.frontend.functions import *
from picograd.frontend.grad_mode import (
    enable_grad,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from picograd.frontend.joining import (
    cat,
    embedding,
    is_tensor,
    stack,
    where,
)
from picograd.frontend.labels import (
    name,
)
from picograd.frontend.ladder import (
    get_mode,
    set_mode,
)
from picograd.frontend.promotion import (
    promote_types,
    result_type,
)
from picograd.frontend.random import (
    Generator,
    manual_seed,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
)
from picograd.frontend.tensor import (
    Tensor,
)
from picograd.io import (
    load_pickle as load,
)
from picograd.io import (
    save_pickle as save,
)
from picograd.nn.functional import (
    celu,
    prelu,
    selu,
    threshold,
)

__all__ = [
    "CompiledFunction",
    "Explanation",
    "Generator",
    "Pipeline",
    "Tensor",
    "arange",
    "as_tensor",
    "atleast_1d",
    "atleast_2d",
    "autograd",
    "bfloat16",
    "bool",
    "broadcast_tensors",
    "cat",
    "celu",
    "compile",
    "data",
    "default_device",
    "double",
    "dtype",
    "einsum",
    "embedding",
    "empty",
    "empty_like",
    "enable_grad",
    "errors",
    "explain",
    "eye",
    "finfo",
    "float",
    "float16",
    "float32",
    "float64",
    "from_numpy",
    "full",
    "full_like",
    "func",
    "get_mode",
    "half",
    "hstack",
    "iinfo",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "io",
    "is_grad_enabled",
    "is_tensor",
    "linalg",
    "linspace",
    "load",
    "logspace",
    "long",
    "manual_seed",
    "meshgrid",
    "name",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "optim",
    "pipeline",
    "prelu",
    "promote_types",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "result_type",
    "save",
    "selu",
    "set_default_device",
    "set_grad_enabled",
    "set_mode",
    "short",
    "stack",
    "tensor",
    "threshold",
    "uint8",
    "utils",
    "vstack",
    "where",
    "zeros",
    "zeros_like",
]
__all__ += _functions.__all__
