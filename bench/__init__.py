"""Measures the speed of what serves against its peers, as a user sees it: HTTP, the command line, `Predictor`."""
