"""Workers on other machines: the process of a local model behind a Ray actor. Ray places it; queues and retries stay ours."""
