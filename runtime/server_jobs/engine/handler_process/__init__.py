"""The program of a handler process: run the calls that the worker sends over a socket, one after the other.

Handlers run in the main thread, where signals can end them: a plain handler directly, an async one in the event loop. A
second thread reads from the worker. It can stop a handler that never awaits, and it ends the process when the worker is
gone. The other side, in the worker, is `server_jobs.isolation`.

==========================================  ================
to change                                   open
==========================================  ================
the start, and the order of the calls       `program`
the thread that reads from the worker       `listener`
what both threads know about the call       `current_call`
middleware, params and result of a call     `call_runner`
answers for outcomes and errors             `answers`
the jobs, databases and resources of calls  `environment`, `opening_reader`
messages and log records to the worker      `worker_link`
==========================================  ================
"""
