"""Training and judging models: data with fixed hold-outs, trainers, the registry, the gate."""
