"""Run a model and read what it computes on the way. Plain numbers come out; nothing here prints."""
