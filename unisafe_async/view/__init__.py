"""`unisafe view`: every run of a cache as a local web page that refreshes itself; it starts no run and sends nothing to models."""
