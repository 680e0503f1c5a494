-- Recordings: from the node that made them to a store of ours, to whoever may hear them, until a rule deletes them.

CREATE SEQUENCE recording_ids;

-- One file that an engine made. Written in the transaction that ends its leg. No foreign keys: they would be
-- checked for every row.
CREATE TABLE recordings (
    id                bigint NOT NULL DEFAULT nextval('recording_ids'),
    account_id        bigint NOT NULL,
    leg_id            bigint NOT NULL,
    call_id           bigint,                                    -- NULL: of a call that came in
    attempt_id        bigint,
    campaign_id       bigint,
    incoming_call_id  bigint,
    kind              text NOT NULL CHECK (kind IN ('call', 'step', 'inbound')),
    step_id           text,                                      -- the script's step that recorded it
    engine            text NOT NULL,                             -- as legs call it
    name              text NOT NULL,                             -- what the engine calls it
    state             text NOT NULL CHECK (state IN ('pending', 'stored', 'lost', 'deleted')),
    reason            text,                                      -- why it is lost, or was deleted
    storage_key       text NOT NULL,                             -- of the wav; the mp3's ends otherwise
    seconds           real NOT NULL,                             -- as the engine says; of the file, once it is stored
    size_bytes        bigint,
    sha256            bytea,
    mp3               text NOT NULL CHECK (mp3 IN ('no', 'wanted', 'made', 'failed')),
    mp3_bytes         bigint,
    at_node           boolean NOT NULL DEFAULT true,             -- the engine was not told yet to forget it
    has_files         boolean NOT NULL DEFAULT false,            -- something of it may be in the store
    tries             integer NOT NULL DEFAULT 0,                -- to fetch, forget or delete it
    doubts            integer NOT NULL DEFAULT 0,                -- how often its node had none, or a broken one
    next_try_at       timestamptz,                               -- NULL: nothing is left to do
    mp3_tries         integer NOT NULL DEFAULT 0,
    mp3_due_at        timestamptz,
    keep_until        timestamptz,                               -- NULL: until somebody deletes it
    created_at        timestamptz NOT NULL,                      -- when its leg ended
    stored_at         timestamptz,
    deleted_at        timestamptz,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
-- The recordings of one call, and of one call that came in.
CREATE INDEX recordings_call ON recordings (call_id, id) WHERE call_id IS NOT NULL;
CREATE INDEX recordings_incoming ON recordings (incoming_call_id, id) WHERE incoming_call_id IS NOT NULL;
-- Whether a file that a node holds is known.
CREATE INDEX recordings_leg ON recordings (leg_id);
-- Listing an account's and a campaign's, and giving them another time to be kept until.
CREATE INDEX recordings_account ON recordings (account_id, id);
CREATE INDEX recordings_campaign ON recordings (campaign_id, id) WHERE campaign_id IS NOT NULL;
-- What there is to do. Both are small: what is done leaves them.
CREATE INDEX recordings_due ON recordings (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX recordings_mp3_due ON recordings (mp3_due_at) WHERE mp3_due_at IS NOT NULL;
-- How many wait for their node, and since when.
CREATE INDEX recordings_waiting ON recordings (created_at) WHERE state = 'pending';
-- Which have been kept for long enough.
CREATE INDEX recordings_kept ON recordings (keep_until) WHERE state <> 'deleted' AND keep_until IS NOT NULL;

-- How long recordings are kept, and whether there is an mp3 of each: of an account, and of a campaign instead.
CREATE TABLE recording_rules (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   bigint NOT NULL REFERENCES accounts,
    campaign_id  bigint REFERENCES campaigns,                    -- NULL: the account's own rule
    active       boolean NOT NULL DEFAULT true,                  -- false: as if there were none
    keep_days    integer CHECK (keep_days BETWEEN 1 AND 36500),  -- NULL: until somebody deletes them
    mp3          boolean NOT NULL,
    changed_at   timestamptz NOT NULL,
    walked_to    bigint                                          -- recordings up to it follow the change; NULL: all do
);
CREATE UNIQUE INDEX recording_rules_of ON recording_rules (account_id, campaign_id) NULLS NOT DISTINCT;
CREATE INDEX recording_rules_changed ON recording_rules (id) WHERE walked_to IS NOT NULL;

-- As before, and of recordings too.
CREATE OR REPLACE FUNCTION ensure_partitions(ahead integer DEFAULT 1) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    width constant bigint := 10000000;
    big_table text; sequence_name text; fill integer; current_id bigint; part bigint; made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7340, 1);
    FOR big_table, sequence_name, fill IN VALUES
        ('calls', 'call_ids', 80), ('attempts', 'attempt_ids', 80), ('legs', 'leg_ids', 80),
        ('ledger', 'ledger_ids', 100), ('recordings', 'recording_ids', 80)
    LOOP
        EXECUTE format('SELECT last_value FROM %I', sequence_name) INTO current_id;
        FOR part IN current_id / width .. current_id / width + ahead LOOP
            IF to_regclass(format('%I', big_table || '_p' || part)) IS NULL THEN
                EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH (fillfactor = %s)',
                               big_table || '_p' || part, big_table, fill);
                EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                               big_table, big_table || '_p' || part, part * width, (part + 1) * width);
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
SELECT ensure_partitions();
