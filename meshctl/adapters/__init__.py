"""The world behind the ports: one thin, typed module for each library or protocol."""
