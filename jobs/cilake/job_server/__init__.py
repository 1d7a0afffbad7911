"""A server that runs ``cilake`` commands in forks of a process that has imported everything.

Most of a small step is Python's imports. With ``CILAKE_JOB_SERVER``, the path of the server's socket, the
command hands its arguments, environment and open files over and waits; it prints, ends and is killed as if it
ran by itself. Without a server it does.
"""
