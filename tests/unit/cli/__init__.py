"""The command line, on fakeredis and the real VM."""
