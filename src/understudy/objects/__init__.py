"""What exists: ids, the object model, the canonical codec. Pure: no I/O."""
