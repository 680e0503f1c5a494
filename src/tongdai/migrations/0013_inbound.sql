-- Calls that come in: what a hotline does with them, and what became of each.

-- ---------------------------------------------------------------- hotlines

ALTER TABLE hotlines
    ADD COLUMN inbound_script_id      bigint,                    -- NULL: nobody answers
    ADD COLUMN inbound_script_version integer,
    ADD COLUMN unanswered             text NOT NULL DEFAULT 'busy' CHECK (unanswered IN ('busy', 'ring')),
    ADD CONSTRAINT hotlines_inbound_whole CHECK ((inbound_script_id IS NULL) = (inbound_script_version IS NULL)),
    ADD FOREIGN KEY (inbound_script_id, inbound_script_version) REFERENCES script_versions;

-- ---------------------------------------------------------------- calls that came in

CREATE SEQUENCE inbound_call_ids;

-- Who drives the legs of a node's calls: a number that nobody had before, for each time that a process becomes
-- the keeper of a node. Such a leg's `dialer_id` is one of these.
CREATE SEQUENCE keeper_ids;

-- One row per call, written before it is accepted; one that is refused at once is ended from the beginning and
-- has no leg.
CREATE TABLE inbound_calls (
    id                bigint NOT NULL DEFAULT nextval('inbound_call_ids'),
    account_id        bigint NOT NULL,
    hotline_id        bigint NOT NULL,
    trunk_id          bigint NOT NULL,
    leg_id            bigint,
    caller            text NOT NULL,                             -- 84…, or '' when it is withheld or no number
    caller_given      text NOT NULL,                             -- as the carrier wrote it
    called_given      text NOT NULL,
    script_id         bigint,
    script_version    integer,
    state             text NOT NULL CHECK (state IN ('ringing', 'talking', 'ended')),
    came_at           timestamptz NOT NULL,
    answered_at       timestamptz,
    ended_at          timestamptz,
    kind              text CHECK (kind IN ('CALLIN', 'MISSCALL')),
    disposition       text,                                      -- VBot's word for how it ended
    ring_s            real,
    duration_s        integer,                                   -- seconds from the answer
    billable_s        integer,
    key_press         text,
    timeline          jsonb,                                     -- [[second, event, detail], …]
    answers           jsonb,                                     -- what was entered last at each gather
    end_code          text,
    transfers         jsonb,                                     -- who was rung, and how each ended
    campaign_call_id  bigint,                                    -- the campaign's call that it answers
    campaign_id       bigint,
    PRIMARY KEY (id),
    CHECK ((state = 'ended') = (ended_at IS NOT NULL)),
    CHECK ((state = 'ended') = (kind IS NOT NULL))
) PARTITION BY RANGE (id);
-- Listing: an account's calls, and those of one hotline.
CREATE INDEX inbound_calls_by_account ON inbound_calls (account_id, id);
CREATE INDEX inbound_calls_by_hotline ON inbound_calls (hotline_id, id);
-- Everything that came from one number.
CREATE INDEX inbound_calls_by_caller ON inbound_calls (account_id, caller, id);
-- Call history: in time order, beside an account's attempts.
CREATE INDEX inbound_calls_by_time ON inbound_calls (account_id, came_at, id);
-- The call-backs to a campaign's call.
CREATE INDEX inbound_calls_by_campaign_call ON inbound_calls (campaign_call_id) WHERE campaign_call_id IS NOT NULL;
-- A leg's call, when it ends.
CREATE INDEX inbound_calls_by_leg ON inbound_calls (leg_id) WHERE leg_id IS NOT NULL AND state <> 'ended';

-- What is up on a node, for its keeper.
CREATE INDEX legs_came_in ON legs (engine) WHERE kind = 'inbound' AND state <> 'ended';

-- As before, and of calls that came in too.
CREATE OR REPLACE FUNCTION ensure_partitions(ahead integer DEFAULT 1) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    width constant bigint := 10000000;
    big_table text; sequence_name text; fill integer; current_id bigint; part bigint; made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7340, 1);
    FOR big_table, sequence_name, fill IN VALUES
        ('calls', 'call_ids', 80), ('attempts', 'attempt_ids', 80), ('legs', 'leg_ids', 80),
        ('ledger', 'ledger_ids', 100), ('recordings', 'recording_ids', 80),
        ('inbound_calls', 'inbound_call_ids', 80)
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
