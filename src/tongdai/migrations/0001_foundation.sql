-- The foundation: who (accounts), over what (trunks, hotlines), what is said (scripts), to whom (campaigns,
-- calls) and what came of it (attempts, legs, counters).
--
-- Rules that hold for every table: each row names its account; a state is changed by a conditional UPDATE
-- whose row count is checked; numbers are stored as 84…; times are timestamptz.

-- ---------------------------------------------------------------- accounts

-- One row per thing that has a cap. Claiming locks these rows in id order, so two dialers never count the
-- same free channel twice. `live` is changed only in the transaction that creates or ends a leg.
CREATE TABLE limits (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id    bigint NOT NULL,
    kind          text   NOT NULL CHECK (kind IN ('trunk', 'hotline', 'campaign', 'account')),
    max_channels  integer CHECK (max_channels >= 0),            -- NULL: no cap of its own
    max_cps       double precision CHECK (max_cps BETWEEN 0.01 AND 10000),  -- NULL: no cap of its own
    live          integer NOT NULL DEFAULT 0 CHECK (live >= 0),
    next_slot_at  timestamptz NOT NULL DEFAULT 'epoch'      -- earliest moment of the next dial
) WITH (fillfactor = 50);

CREATE TABLE accounts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL,
    limit_id    bigint NOT NULL REFERENCES limits,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE users (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id     bigint NOT NULL REFERENCES accounts,
    email          text NOT NULL,
    name           text NOT NULL,
    role           text NOT NULL CHECK (role IN ('owner', 'operator', 'viewer')),
    password_hash  text NOT NULL,                                -- argon2id
    created_at     timestamptz NOT NULL DEFAULT now(),
    disabled_at    timestamptz
);
CREATE UNIQUE INDEX users_email ON users (lower(email));
CREATE INDEX users_account ON users (account_id, id);

CREATE TABLE projects (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  bigint NOT NULL REFERENCES accounts,
    code        text NOT NULL,
    name        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, code)
);
CREATE INDEX projects_account ON projects (account_id, id);

-- A key is shown once; only its SHA-256 is kept (the key itself is 256 random bits, so no salt is needed).
CREATE TABLE api_keys (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope       text NOT NULL CHECK (scope IN ('account', 'platform')),
    account_id  bigint REFERENCES accounts,
    user_id     bigint REFERENCES users,
    name        text NOT NULL,
    hint        text NOT NULL,                                   -- first characters, to recognise it by
    key_hash    bytea NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz,
    CHECK ((scope = 'account') = (account_id IS NOT NULL AND user_id IS NOT NULL))
);

-- Long-lived secrets that a client exchanges for tokens. A token names the version; a new version voids them.
CREATE TABLE client_secrets (
    user_id      bigint NOT NULL REFERENCES users,
    kind         text   NOT NULL,                                -- which API it belongs to
    account_id   bigint NOT NULL REFERENCES accounts,
    version      integer NOT NULL,
    sealed       bytea  NOT NULL,                                -- encrypted, because its owner may look it up
    lookup_hash  bytea  NOT NULL UNIQUE,                         -- keyed hash, to find it by
    changed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, kind)
);

-- ---------------------------------------------------------------- routing

CREATE TABLE trunks (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id        bigint NOT NULL REFERENCES accounts,
    name              text NOT NULL,
    engine            text NOT NULL,
    dial_format       text NOT NULL DEFAULT 'national' CHECK (dial_format IN ('national', 'e164', 'plus')),
    presented_format  text NOT NULL DEFAULT 'national' CHECK (presented_format IN ('national', 'e164', 'plus')),
    enabled           boolean NOT NULL DEFAULT true,
    limit_id          bigint NOT NULL REFERENCES limits,
    created_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, name)
);

CREATE TABLE hotlines (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  bigint NOT NULL REFERENCES accounts,
    trunk_id    bigint NOT NULL REFERENCES trunks,
    number      text NOT NULL,
    network     text,                                            -- routing group it is cheapest for; NULL: any
    enabled     boolean NOT NULL DEFAULT true,
    limit_id    bigint NOT NULL REFERENCES limits,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, number)
);
CREATE INDEX hotlines_trunk ON hotlines (trunk_id);

-- Which network a number belongs to: longest prefix of the national number wins, overrides before all.
CREATE TABLE number_prefixes (
    prefix         text NOT NULL,                                -- national, without the leading 0
    valid_from     date NOT NULL DEFAULT '2000-01-01',
    operator       text NOT NULL,
    routing_group  text NOT NULL,
    source         text NOT NULL,
    PRIMARY KEY (prefix, valid_from)
);
CREATE TABLE number_overrides (
    account_id     bigint NOT NULL REFERENCES accounts,
    number         text NOT NULL,
    operator       text NOT NULL,
    routing_group  text NOT NULL,
    source         text NOT NULL,
    checked_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, number)
);

-- ---------------------------------------------------------------- what is said

CREATE TABLE scripts (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   bigint NOT NULL REFERENCES accounts,
    name         text NOT NULL,
    version      integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    archived_at  timestamptz
);
CREATE INDEX scripts_account ON scripts (account_id, id);

-- Versions never change: a campaign keeps the one it was given.
CREATE TABLE script_versions (
    script_id   bigint NOT NULL REFERENCES scripts,
    version     integer NOT NULL,
    account_id  bigint NOT NULL REFERENCES accounts,
    body        jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (script_id, version)
);

CREATE TABLE audio_files (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   bigint NOT NULL REFERENCES accounts,
    name         text NOT NULL,
    sha256       bytea NOT NULL,
    size_bytes   bigint NOT NULL,
    sample_rate  integer NOT NULL,
    duration_ms  integer NOT NULL,
    storage_key  text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audio_files_account ON audio_files (account_id, id);

-- ---------------------------------------------------------------- campaigns

CREATE TABLE templates (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  bigint NOT NULL REFERENCES accounts,
    project_id  bigint REFERENCES projects,
    name        text NOT NULL,
    config      jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    archived_at timestamptz
);
CREATE INDEX templates_account ON templates (account_id, id);

CREATE TABLE campaigns (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id      bigint NOT NULL REFERENCES accounts,
    user_id         bigint NOT NULL REFERENCES users,            -- whose call-log shows its calls
    project_id      bigint REFERENCES projects,
    template_id     bigint REFERENCES templates,
    name            text NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('voice', 'otp')),
    purpose         text NOT NULL CHECK (purpose IN ('advertising', 'customer_care', 'transactional', 'otp',
                                                     'debt_reminder', 'survey')),
    state           text NOT NULL CHECK (state IN ('draft', 'running', 'paused', 'stopped', 'finished')),
    takes_imports   boolean NOT NULL DEFAULT true,               -- true: running dry does not finish it
    script_id       bigint NOT NULL,
    script_version  integer NOT NULL,
    hotline_ids     bigint[] NOT NULL,
    config          jsonb NOT NULL,                              -- schedule, retries, call limits
    limit_id        bigint NOT NULL REFERENCES limits,
    -- Nothing queued lies below the floor, so claiming starts there and not among the dead index entries
    -- of what was claimed before. It never comes nearer to now than an import may take to commit.
    floor_at        timestamptz NOT NULL DEFAULT 'epoch',
    floor_id        bigint NOT NULL DEFAULT 0,
    waiting_reason  text,                                        -- why nothing is dialled, NULL when it is
    waiting_since   timestamptz,
    waiting_until   timestamptz,                                 -- when that ends by itself, if it does
    created_at      timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    ended_at        timestamptz,
    FOREIGN KEY (script_id, script_version) REFERENCES script_versions
) WITH (fillfactor = 70);
CREATE INDEX campaigns_account ON campaigns (account_id, id);
CREATE INDEX campaigns_running ON campaigns (id) WHERE state = 'running';

-- How many calls a campaign was given, in shards so that parallel imports do not wait for one row.
CREATE TABLE campaign_intake (
    campaign_id  bigint NOT NULL REFERENCES campaigns,
    shard        smallint NOT NULL,
    account_id   bigint NOT NULL,
    calls        bigint NOT NULL,
    PRIMARY KEY (campaign_id, shard)
) WITH (fillfactor = 50);

-- The numbers that a campaign without duplicates was given; only such campaigns have rows here. A key and not
-- a look-up, so that two imports at once cannot both bring the same number.
CREATE TABLE campaign_numbers (
    campaign_id  bigint NOT NULL REFERENCES campaigns,
    number       text NOT NULL,
    account_id   bigint NOT NULL,
    PRIMARY KEY (campaign_id, number)
);

-- ---------------------------------------------------------------- calls

CREATE SEQUENCE call_ids;
CREATE SEQUENCE attempt_ids;
CREATE SEQUENCE leg_ids;

-- One number to be reached in one campaign. The last five columns are its latest result, kept here so that
-- export and call-log read one row per call.
CREATE TABLE calls (
    id               bigint NOT NULL DEFAULT nextval('call_ids'),
    account_id       bigint NOT NULL,
    campaign_id      bigint NOT NULL,
    user_id          bigint NOT NULL,
    state            text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'dialing', 'done')),
    number           text NOT NULL,                              -- 84…, or '' when it is no number
    number_given     text NOT NULL,                              -- as it was imported
    fields           jsonb NOT NULL DEFAULT '{}',
    secret           bytea,                                      -- sealed OTP, wiped when the call is done
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at       timestamptz,                                -- an OTP is not dialled after it
    attempts         smallint NOT NULL DEFAULT 0,                -- counted when dialled
    max_attempts     smallint,                                   -- of this contact alone; NULL: the campaign's rules
    outcome_counts   jsonb NOT NULL DEFAULT '{}',                -- outcome -> attempts that ended so
    deferred_reason  text,
    outcome          text,                                       -- latest ended attempt's, or the refusal
    called_at        timestamptz,                                -- start of that attempt, or time of the refusal
    duration_s       integer,
    key_press        text,
    caller           text,                                       -- hotline it showed, 84…
    note             text,                                       -- the rule, where a rule refused it
    done_at          timestamptz,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
-- Claiming: the next due calls of one campaign, from its floor on.
CREATE INDEX calls_due ON calls (campaign_id, due_at, id) WHERE state = 'queued';
-- Export: results of one campaign in time order. Index-only for the counting of a part of a minute.
CREATE INDEX calls_by_campaign_time ON calls (campaign_id, called_at, id) WHERE called_at IS NOT NULL;
-- Call-log: results of one user in time order.
CREATE INDEX calls_by_user_time ON calls (user_id, called_at, id) WHERE called_at IS NOT NULL;
-- Everything that was ever queued for a number: its history, and what an opt-out or a cancel finds.
CREATE INDEX calls_by_number ON calls (account_id, number, id);
-- Listing a campaign's calls in id order.
CREATE INDEX calls_by_campaign ON calls (campaign_id, id);
-- OTPs that nobody dialled in time.
CREATE INDEX calls_expiring ON calls (expires_at) WHERE state = 'queued' AND expires_at IS NOT NULL;

CREATE TABLE attempts (
    id           bigint NOT NULL DEFAULT nextval('attempt_ids'),
    account_id   bigint NOT NULL,
    call_id      bigint NOT NULL,
    campaign_id  bigint NOT NULL,
    ordinal      smallint NOT NULL,                              -- 1, 2, … within the call
    hotline_id   bigint NOT NULL,
    dialled_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    outcome      text,
    ring_s       real,
    duration_s   integer,
    key_press    text,
    timeline     jsonb,                                          -- [[second, event, detail], …] on the call's clock
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX attempts_call ON attempts (call_id, ordinal);

-- One originate on one trunk and node. Committed before the engine is told; its id is the channel's id.
CREATE TABLE legs (
    id           bigint NOT NULL DEFAULT nextval('leg_ids'),
    account_id   bigint NOT NULL,
    attempt_id   bigint NOT NULL,
    call_id      bigint NOT NULL,
    campaign_id  bigint NOT NULL,
    kind         text NOT NULL DEFAULT 'outbound' CHECK (kind IN ('outbound', 'inbound', 'transfer')),
    state        text NOT NULL DEFAULT 'committed' CHECK (state IN ('committed', 'unknown', 'ended')),
    trunk_id     bigint NOT NULL,
    hotline_id   bigint NOT NULL,
    engine       text NOT NULL,
    node         text NOT NULL DEFAULT '',
    dialer_id    bigint NOT NULL,                                -- who drives it now
    number       text NOT NULL,
    limit_ids    bigint[] NOT NULL,                              -- whose `live` it holds
    dial_at      timestamptz NOT NULL,                           -- its slot, on the database's clock
    dial_before  timestamptz NOT NULL,                           -- nobody sends after this
    gives_up_at  timestamptz NOT NULL,                           -- absolute limit; after it an unknown end is lost
    ended_at     timestamptz,
    outcome      text,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX legs_attempt ON legs (attempt_id);
-- Recovery: what a dialer was driving when it died.
CREATE INDEX legs_open ON legs (dialer_id) WHERE state <> 'ended';

-- Makes sure that the partitions under the next ids exist. Runs at migration and from a periodic job. A table is
-- made by itself and then attached: that locks the big table against other changes of its shape alone, where
-- CREATE TABLE … PARTITION OF would wait for every import and make everybody else wait behind it. Attaching
-- brings the indexes.
CREATE FUNCTION ensure_partitions(ahead integer DEFAULT 1) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    width constant bigint := 10000000;
    big_table text; sequence_name text; current_id bigint; part bigint; made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7340, 1);
    FOR big_table, sequence_name IN VALUES ('calls', 'call_ids'), ('attempts', 'attempt_ids'), ('legs', 'leg_ids') LOOP
        EXECUTE format('SELECT last_value FROM %I', sequence_name) INTO current_id;
        FOR part IN current_id / width .. current_id / width + ahead LOOP
            IF to_regclass(format('%I', big_table || '_p' || part)) IS NULL THEN
                EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH (fillfactor = 80)',
                               big_table || '_p' || part, big_table);
                EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                               big_table, big_table || '_p' || part, part * width, (part + 1) * width);
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
SELECT ensure_partitions();

-- A person as an advertiser knows them. Locked in key order while a claim decides about them.
CREATE TABLE persons (
    account_id    bigint NOT NULL,
    advertiser    text NOT NULL DEFAULT '',
    number        text NOT NULL,
    live_call_id  bigint,                                        -- the one call they may have at a time
    last_rang_at  timestamptz,
    opted_out_at  timestamptz,
    PRIMARY KEY (account_id, advertiser, number)
) WITH (fillfactor = 70);

-- ---------------------------------------------------------------- counters

-- Results per ten seconds, ten minutes and day of `called_at`: totals and offsets are found without counting
-- rows. A page skips, and each edge of an interval counts, the rows of at most one span of the finest kind:
-- with minutes that would be 17,000 rows where 280 calls a second end, with ten seconds it is 2,800.
CREATE TABLE result_counts (
    scope       text NOT NULL CHECK (scope IN ('campaign', 'user')),
    scope_id    bigint NOT NULL,
    span_s      integer NOT NULL CHECK (span_s IN (10, 600, 86400)),
    bucket      timestamptz NOT NULL,                            -- start of the span, UTC
    account_id  bigint NOT NULL,
    calls       bigint NOT NULL,
    PRIMARY KEY (scope, scope_id, span_s, bucket)
) WITH (fillfactor = 70);

-- Finished calls per outcome, for a campaign's progress.
CREATE TABLE outcome_counts (
    campaign_id  bigint NOT NULL,
    outcome      text NOT NULL,
    account_id   bigint NOT NULL,
    calls        bigint NOT NULL,
    PRIMARY KEY (campaign_id, outcome)
) WITH (fillfactor = 50);

-- ---------------------------------------------------------------- dialers

-- A dialer holds the advisory lock (7341, id) for as long as it lives; whoever finds it free adopts its legs.
CREATE TABLE dialers (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host        text NOT NULL,
    pid         integer NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now()
);
