"""One file a step, oldest first; `service/schema.py` names the newest."""
