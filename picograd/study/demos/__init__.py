"""The workloads of `picograd demo`: what they train (`workload.py`), and the three of them."""
