"""The operator's files, read strictly: what is wrong is told with its line, all of it at once."""
