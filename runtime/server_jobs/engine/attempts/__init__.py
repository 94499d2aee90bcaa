"""One attempt of a claimed job, from the claim to the stored outcome.

The modules in the order in which a job passes them. `Runner` in `engine/execution` follows each attempt to its end:

=============  ==============================================
`factory`      find the handler of a claim and make its attempt
`leases`       renew the leases of running attempts
`attempt`      read the params, and turn the end into an outcome
`places`       call the handler in the loop, a thread or a process, within its timeout
`error_text`   write an exception as text
`settler`      store outcomes in batches and count them; release claims
`failure_log`  log an attempt that failed
=============  ==============================================

`direct_runs` of the folder above is the way without a worker.
"""
