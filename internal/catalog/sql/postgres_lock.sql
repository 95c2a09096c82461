SELECT pg_advisory_xact_lock(1330598991, hashtext(current_schema()))
