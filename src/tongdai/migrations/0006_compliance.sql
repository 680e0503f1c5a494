-- Whom nobody may call, who has agreed to be called, and how often a person was rung.
--
-- Consents, attestations and opt-outs are evidence: rows are added, and never changed or taken away.

CREATE FUNCTION refuse_evidence_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are evidence and are only ever added', TG_TABLE_NAME;
END $$;

-- ---------------------------------------------------------------- do-not-call

-- Numbers that an account, or the platform for everybody (account 0), does not call for any purpose but otp.
CREATE TABLE do_not_call (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  bigint NOT NULL,
    number      text NOT NULL,
    voice       boolean NOT NULL,
    sms         boolean NOT NULL,
    source      text NOT NULL,                                   -- manual, complaint, operator, import, …
    reason      text,
    until       timestamptz,                                     -- NULL: for good
    user_id     bigint,                                          -- who entered it; NULL: an administrator
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (number, account_id)
);
CREATE INDEX do_not_call_account ON do_not_call (account_id, id);

-- The national register of those who want no advertising. Each import is a list of its own; while one is under
-- way the numbers of both are in force, and an import that breaks off takes no number away.
CREATE TABLE national_lists (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    as_of        timestamptz NOT NULL,                           -- when the register looked like this
    source       text NOT NULL,
    connected    boolean NOT NULL DEFAULT false,                 -- true: from a connection; false: from a file
    numbers      bigint NOT NULL DEFAULT 0,
    started_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz                                     -- NULL: under way, or broken off
);
CREATE TABLE national_do_not_call (
    number   text PRIMARY KEY,
    voice    boolean NOT NULL,
    sms      boolean NOT NULL,
    list_id  bigint NOT NULL
);

-- ---------------------------------------------------------------- opt-outs

-- Every word of a person about being called at all. What is in force is persons.opted_out_at.
CREATE TABLE opt_outs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  bigint NOT NULL,
    advertiser  text NOT NULL,                                   -- '': the whole account
    number      text NOT NULL,
    action      text NOT NULL CHECK (action IN ('opted_out', 'lifted')),
    source      text NOT NULL,                                   -- script, api, complaint, …
    reason      text,
    user_id     bigint,                                          -- NULL: the person, by a key
    at          timestamptz NOT NULL
);
CREATE INDEX opt_outs_account ON opt_outs (account_id, id);
CREATE INDEX opt_outs_number ON opt_outs (account_id, number, id);
CREATE TRIGGER opt_outs_are_evidence BEFORE UPDATE OR DELETE ON opt_outs
    FOR EACH ROW EXECUTE FUNCTION refuse_evidence_change();

-- ---------------------------------------------------------------- consent

-- What a person agreed to, or took back. Of one person, advertiser and purpose the latest word counts.
CREATE TABLE consents (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   bigint NOT NULL,
    advertiser   text NOT NULL,                                  -- ''; the account's own name
    number       text NOT NULL,
    purpose      text NOT NULL,
    given        boolean NOT NULL,                               -- false: withdrawn
    at           timestamptz NOT NULL,                           -- when the person said so
    method       text NOT NULL,                                  -- paper, web, app, sms, recorded_call, …
    wording      text,                                           -- what they were shown
    evidence     text,                                           -- where the proof is
    max_per_24h  integer CHECK (max_per_24h BETWEEN 0 AND 100),  -- agreed more (or fewer) than the law's
    until        timestamptz,                                    -- agreed until then; NULL: until withdrawn
    user_id      bigint,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX consents_account ON consents (account_id, id);
CREATE INDEX consents_number ON consents (account_id, number, purpose, at, id);
CREATE TRIGGER consents_are_evidence BEFORE UPDATE OR DELETE ON consents
    FOR EACH ROW EXECUTE FUNCTION refuse_evidence_change();

-- A customer's word that everybody on a list has agreed, where an API carries no consent of each.
CREATE TABLE attestations (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   bigint NOT NULL,
    advertiser   text NOT NULL,
    purpose      text NOT NULL,
    user_id      bigint NOT NULL,                                -- who answers for it
    obtained_at  timestamptz NOT NULL,                           -- when the list's last consent was obtained
    method       text NOT NULL,                                  -- how
    wording      text,
    evidence     text NOT NULL,                                  -- where the proof is
    window_start text CHECK (window_start ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'),
    window_end   text CHECK (window_end ~ '^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$'),
    max_per_24h  integer CHECK (max_per_24h BETWEEN 0 AND 100),
    created_at   timestamptz NOT NULL DEFAULT now(),
    CHECK ((window_start IS NULL) = (window_end IS NULL) AND window_start < window_end)
);
CREATE INDEX attestations_account ON attestations (account_id, id);
CREATE TRIGGER attestations_are_evidence BEFORE UPDATE OR DELETE ON attestations
    FOR EACH ROW EXECUTE FUNCTION refuse_evidence_change();

-- An attestation that does not hold any more.
CREATE TABLE attestation_ends (
    attestation_id  bigint PRIMARY KEY REFERENCES attestations,
    account_id      bigint NOT NULL,
    user_id         bigint NOT NULL,
    reason          text NOT NULL,
    at              timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER attestation_ends_are_evidence BEFORE UPDATE OR DELETE ON attestation_ends
    FOR EACH ROW EXECUTE FUNCTION refuse_evidence_change();

-- ---------------------------------------------------------------- frequency

-- Legs that rang a person, or that may: one is added when a leg is committed, and taken away when it ended
-- without ringing. Kept for some days, and for purposes with a rule on frequency alone. Served by the key.
CREATE TABLE person_rings (
    account_id  bigint NOT NULL,
    person_key  text NOT NULL,                                   -- 84…, or ref:… of a borrower
    leg_id      bigint NOT NULL,
    advertiser  text NOT NULL,
    purpose     text NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (account_id, person_key, leg_id)
);
CREATE INDEX person_rings_old ON person_rings (at);
