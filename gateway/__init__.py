"""The truthful face of TorchServe: the page, the API, health, drain and metrics. `gateway.client` talks to it."""
