-- The lock of the gate, and of every function that must not overlap it.
--
-- All of them take it first: the gate shared, the others (pause, cancel, stop, opt-out, suspend, rebuild) exclusively. So
-- once one of those has returned, no attempt that it forbids can still begin. Each is VOLATILE, so that every statement
-- inside takes a snapshot younger than the lock; a lock inside one plain statement is too late, its snapshot is older.
--
-- Where several locks are taken, it is in this order: lid_key, gate_key, held_key, contact_key, then rows.
create or replace function gate_key() returns bigint language sql immutable parallel safe as $$ select 7205759403792793 $$;
