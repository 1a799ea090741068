"""Starts and stops what serves: TorchServe and the gateway. Knows both only as processes and HTTP."""
