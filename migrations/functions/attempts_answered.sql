-- needs: note_unanswered

-- As attempts_unanswered: only the end of an unknown outcome costs anything.
create or replace trigger attempts_answered after update of verdict on attempts for each row
when (old.verdict = 'unknown' and new.verdict <> 'unknown') execute function note_unanswered();
