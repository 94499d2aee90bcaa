"""`server-jobs mcp`: tools for agents, by the Model Context Protocol.

Only `mcp_server` imports the SDK, which is an extra.
"""
