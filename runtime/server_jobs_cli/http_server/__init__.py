"""The server of `server-jobs serve`: uvicorn with limits for connections, and a shutdown that releases jobs.

`server` starts and stops it, `accepting` accepts connections, `limits` counts them, and `protocol` serves one of them.
"""
