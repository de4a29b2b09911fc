"""What `picograd new pass` writes: for each level a small pass that works, its test, its page.

The templates are real passes, all called `my_pass`; `write_pass` gives them another name.
"""

from picograd.study.scaffold.write_pass import check_name, write_pass

__all__ = ["check_name", "write_pass"]
