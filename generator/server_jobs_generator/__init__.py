"""The generator: from the specs of a project to its code, its migrations and its Worker. Development time only."""
