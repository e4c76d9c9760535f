-- needs: note_unanswered

-- The condition is looked at before the function is called: other verdicts, which are nearly all, cost nothing.
create or replace trigger attempts_unanswered after insert on attempts for each row
when (new.verdict = 'unknown') execute function note_unanswered();
