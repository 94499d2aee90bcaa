"""What a project may ask for beside its code: documents, types for other languages, a catalogue, strategies, fakes."""
