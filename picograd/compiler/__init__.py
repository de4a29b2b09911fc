"""From a module to something that runs: pipelines, the driver that runs them, executables."""
