"""The GPU backend: loop-level IR to WGSL text, run through wgpu on Vulkan, Metal or Direct3D 12."""
