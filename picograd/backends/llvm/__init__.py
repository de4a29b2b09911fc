"""The CPU: loop level to LLVM IR text (`emit`), machine code (`codegen`), threads and buffers."""
