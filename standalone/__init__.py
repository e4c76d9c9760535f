"""All of Paceline on one machine, without containers: `python -m standalone up` and `python -m standalone demo`.

Reading order: `binaries` (where the servers' programs are), `child_process` (a program that dies with us), `unprivileged`
(Postgres when we are root), `embedded_valkey`, `embedded_postgres`; then `ports`, `credentials`, `process_plan` (which
processes, with which environment), `supervisor` (order, readiness, the end), `stack` (one installation in one directory),
`up`, `demo`; `schema` and `settings_pages` print what others read.
"""
