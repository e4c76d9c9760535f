-- needs: note_unknown

-- The condition is looked at before the function is called: other changes of a status, which are nearly all, cost nothing.
create or replace trigger messages_unknown after update of status on messages for each row
when (old.status is distinct from new.status and (old.status = 'unknown' or new.status = 'unknown'))
execute function note_unknown();
