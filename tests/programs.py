"""Programs of tensor level that more than one test runs."""


def softmax_of(value: str, rows: int, columns: int) -> str:
    """Ops that compute %y, the softmax of each row of a value."""
    full, column, row = f"{rows}x{columns}xf32", f"{rows}x1xf32", f"{rows}xf32"
    return f"""\
  %m = pico.reduce max {value} axes [1] : tensor<{full}> -> tensor<{row}>
  %m1 = pico.reshape %m to [{rows}, 1] : tensor<{row}> -> tensor<{column}>
  %mb = pico.broadcast %m1 to [{rows}, {columns}] : tensor<{column}> -> tensor<{full}>
  %d = pico.binary sub {value}, %mb : tensor<{full}>
  %e = pico.unary exp %d : tensor<{full}>
  %s = pico.reduce add %e axes [1] : tensor<{full}> -> tensor<{row}>
  %s1 = pico.reshape %s to [{rows}, 1] : tensor<{row}> -> tensor<{column}>
  %sb = pico.broadcast %s1 to [{rows}, {columns}] : tensor<{column}> -> tensor<{full}>
  %y = pico.binary div %e, %sb : tensor<{full}>"""


def softmax(rows: int, columns: int) -> str:
    """The softmax of each row of a matrix."""
    type = f"tensor<{rows}x{columns}xf32>"
    return f"""func.func @main(%x: {type}) -> {type} {{
{softmax_of("%x", rows, columns)}
  func.return %y : {type}
}}"""
