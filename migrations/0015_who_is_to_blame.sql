-- Two more verdicts: 'elsewhere', the account works and cannot send this message, another may; 'unfetched', the sender could
-- not fetch the message's URL just now. An older dispatcher writes neither; whoever reads the history takes any text.

alter table attempts drop constraint attempts_verdict_check;
-- It allows all that the old one did, so nothing has to be read to know that it holds.
alter table attempts add constraint attempts_verdict_check check (verdict in (
    'sent', 'not_sent', 'refused', 'elsewhere', 'unfetched', 'transient', 'logged_out', 'misconfigured',
    'cold_contact_locked', 'unknown')) not valid;
