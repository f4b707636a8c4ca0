"""Pure decisions: names, manifests, plan, status.  No I/O, no clock, no logging."""
