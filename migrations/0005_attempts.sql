-- Attempts: those under way, the history, and the evidence about outcomes that nobody knows.

create table open_attempts (
    endpoint text not null,
    slot integer not null,
    message uuid not null,
    number integer not null,
    token uuid not null unique,
    dispatcher text not null,
    campaign uuid,
    started_at timestamptz not null,
    deadline timestamptz not null,
    phone_key text,
    primary key (endpoint, slot)
) with (fillfactor = 50);
comment on table open_attempts is
    'Attempts that passed the gate and have no verdict. The primary key is the promise that a slot of an account never '
    'has two messages in flight, whatever Redis or a sleeping dispatcher believes.';
comment on column open_attempts.deadline is 'After it nobody can still be waiting for the answer: the outcome is unknown.';
comment on column open_attempts.phone_key is 'Of the recipient, for the gap between two messages to one person.';
create index open_attempts_by_deadline on open_attempts (deadline);
create index open_attempts_by_campaign on open_attempts (campaign) where campaign is not null;

create table attempts (
    message uuid not null,
    number integer not null,
    endpoint text not null,
    dispatcher text not null,
    verdict text not null check (verdict in (
        'sent', 'not_sent', 'refused', 'elsewhere', 'unfetched', 'transient', 'logged_out', 'misconfigured',
        'cold_contact_locked', 'unknown')),
    http_status integer,
    reason text,
    whatsapp_id text,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    primary key (message, number)
) partition by range (message);
comment on table attempts is 'The history: attempts that ended. Those under way are in open_attempts.';
-- What an account did lately: its caps and next times after Redis was lost, and its feedback.
create index attempts_by_endpoint on attempts (endpoint, finished_at desc);
create table attempts_other partition of attempts default;

create table whatsapp_ids (
    whatsapp_id text not null,
    endpoint text not null,
    message uuid not null,
    number integer not null,
    primary key (whatsapp_id, endpoint)
);
comment on table whatsapp_ids is 'Which attempt a WhatsApp message id belongs to; an id proves one attempt only.';

-- "Not in the account's chat storage" is a proof only of the account that sent, and only once its sender has answered long
-- enough without a gap (account_answers): what waited in a frozen or cut off sender goes out after it is back. A send that
-- the sender gave up (504) is never in the storage; its receipts prove it. And a file stands there under the name that it
-- was sent with (sent_names), which the caller's URL does not tell.
create table unanswered_attempts (
    message uuid not null,
    number integer not null,
    endpoint text not null,
    phone_key text not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    primary key (message, number)
);
comment on table unanswered_attempts is
    'Attempts of the last day whose outcome nobody knows, for receipts to be compared with. A trigger keeps it, so that no '
    'statement that writes a verdict can forget to.';
create index unanswered_attempts_by_person on unanswered_attempts (endpoint, phone_key);
