-- needs: count_changes

-- For a statement, not for each row. Not of a column alone: with transition tables Postgres has no such triggers.
create or replace trigger messages_counted after update on messages
referencing old table as before_it new table as after_it
for each statement execute function count_changes();
