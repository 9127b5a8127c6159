"""What the lab costs on this machine, beside named references and the machine's own limit."""
