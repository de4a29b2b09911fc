"""picograd: a teaching compiler for tensor programs.

Use it as `import picograd as torch`: names, defaults and semantics are PyTorch's. Backends are
imported when a tensor is first put on their device.
"""

from importlib import import_module as _import_module
from math import e, inf, nan, pi
from typing import TYPE_CHECKING as _TYPE_CHECKING

from picograd import (
    autograd,
    backends,
    cuda,
    data,
    errors,
    func,
    io,
    linalg,
    nn,
    optim,
    utils,
)
from picograd.backends.thread_count import (
    get_num_threads,
    set_num_threads,
)
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
from picograd.frontend.autodiff.grad_mode import (
    enable_grad,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from picograd.frontend.autodiff.grad_mode import (
    no_grad as inference_mode,
)
from picograd.frontend.functions import from_methods as _functions
from picograd.frontend.functions.arrays import (
    as_tensor,
)
from picograd.frontend.functions.arrays import (
    from_array as from_numpy,
)
from picograd.frontend.functions.combining import (
    atleast_1d,
    atleast_2d,
    broadcast_tensors,
    hstack,
    meshgrid,
    vstack,
)
from picograd.frontend.functions.creation import (
    arange,
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
from picograd.frontend.functions.einsum import (
    einsum,
)
from picograd.frontend.functions.from_methods import *
from picograd.frontend.functions.global_settings import (
    empty_cache,
    get_default_dtype,
    initial_seed,
    set_default_dtype,
    set_float32_matmul_precision,
    use_deterministic_algorithms,
)
from picograd.frontend.functions.joining import (
    cat,
    embedding,
    is_tensor,
    stack,
    where,
)
from picograd.frontend.functions.other_names import (
    absolute,
    clip,
    concat,
    concatenate,
    diff,
    divide,
    multiply,
    negative,
    select,
    subtract,
)
from picograd.frontend.functions.random import (
    Generator,
    bernoulli,
    manual_seed,
    multinomial,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
)
from picograd.frontend.missing import (
    missing_names as _missing_names,
)
from picograd.frontend.modes.device_names import (
    Device as device,
)
from picograd.frontend.modes.devices import (
    default_device,
    set_default_device,
)
from picograd.frontend.modes.ladder import (
    get_mode,
    set_mode,
)
from picograd.frontend.promotion import (
    promote_types,
    result_type,
)
from picograd.frontend.tensor import (
    Tensor,
)
from picograd.frontend.tracing.compiled import (
    CompiledFunction,
    compile,
)
from picograd.frontend.tracing.labels import (
    name,
)
from picograd.func import (
    vmap,
)
from picograd.io import (
    load_pickle as load,
)
from picograd.io import (
    save_pickle as save,
)
from picograd.nn.functional import (
    adaptive_avg_pool1d,
    alpha_dropout,
    avg_pool1d,
    batch_norm,
    binary_cross_entropy_with_logits,
    celu,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    cosine_embedding_loss,
    cosine_similarity,
    dropout,
    group_norm,
    hardshrink,
    hinge_embedding_loss,
    instance_norm,
    kl_div,
    layer_norm,
    margin_ranking_loss,
    max_pool1d,
    max_pool2d,
    pairwise_distance,
    poisson_nll_loss,
    prelu,
    rms_norm,
    selu,
    threshold,
    triplet_margin_loss,
)

__all__ = [
    "CompiledFunction",
    "Explanation",
    "Generator",
    "Pipeline",
    "Size",
    "Tensor",
    "absolute",
    "adaptive_avg_pool1d",
    "alpha_dropout",
    "arange",
    "as_tensor",
    "atleast_1d",
    "atleast_2d",
    "autograd",
    "avg_pool1d",
    "backends",
    "batch_norm",
    "bernoulli",
    "bfloat16",
    "binary_cross_entropy_with_logits",
    "bool",
    "broadcast_tensors",
    "cat",
    "celu",
    "clip",
    "compile",
    "concat",
    "concatenate",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cuda",
    "data",
    "default_device",
    "device",
    "diff",
    "divide",
    "double",
    "dropout",
    "dtype",
    "e",
    "einsum",
    "embedding",
    "empty",
    "empty_cache",
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
    "get_default_dtype",
    "get_mode",
    "get_num_threads",
    "group_norm",
    "half",
    "hardshrink",
    "hinge_embedding_loss",
    "hstack",
    "iinfo",
    "inf",
    "inference_mode",
    "initial_seed",
    "instance_norm",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "io",
    "is_grad_enabled",
    "is_tensor",
    "kl_div",
    "layer_norm",
    "linalg",
    "linspace",
    "load",
    "logspace",
    "long",
    "manual_seed",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "meshgrid",
    "multinomial",
    "multiply",
    "name",
    "nan",
    "negative",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "optim",
    "pairwise_distance",
    "pi",
    "pipeline",
    "poisson_nll_loss",
    "prelu",
    "promote_types",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "result_type",
    "rms_norm",
    "save",
    "select",
    "selu",
    "set_default_device",
    "set_default_dtype",
    "set_float32_matmul_precision",
    "set_grad_enabled",
    "set_mode",
    "set_num_threads",
    "short",
    "stack",
    "subtract",
    "tensor",
    "threshold",
    "triplet_margin_loss",
    "uint8",
    "use_deterministic_algorithms",
    "utils",
    "vmap",
    "vstack",
    "where",
    "zeros",
    "zeros_like",
]
__all__ += _functions.__all__

Size = tuple
"""A shape is a tuple."""

_LATE = {
    "Pipeline": "picograd.compiler.pass_list",
    "pipeline": "picograd.compiler.pipelines",
    "Explanation": "picograd.frontend.tracing.explain",
    "explain": "picograd.frontend.tracing.explain",
}
"""Names whose modules load when they are first used: they need the passes."""

if _TYPE_CHECKING:
    from picograd.compiler.pass_list import Pipeline
    from picograd.compiler.pipelines import pipeline
    from picograd.frontend.tracing.explain import Explanation, explain

    __version__: str
else:
    _missing = _missing_names("torch", globals())

    def __getattr__(name: str) -> object:
        """A name that loads late; or the error for one that does not exist."""
        if name in _LATE:
            globals()[name] = getattr(_import_module(_LATE[name]), name)
            return globals()[name]
        if name == "__version__":
            return _import_module("importlib.metadata").version("picograd")
        return _missing(name)
