-- Contact files: a spreadsheet that somebody uploads, and how far it has become calls.

CREATE TABLE contact_files (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   bigint NOT NULL REFERENCES accounts,
    campaign_id  bigint NOT NULL REFERENCES campaigns,
    user_id      bigint NOT NULL REFERENCES users,               -- who uploaded it
    name         text NOT NULL,                                  -- as its owner calls it
    format       text NOT NULL CHECK (format IN ('csv', 'xlsx')),
    size_bytes   bigint NOT NULL,
    storage_key  text,                                           -- NULL once it was read: it holds personal data
    options      jsonb NOT NULL,                                 -- which sheet and columns its owner chose
    state        text NOT NULL DEFAULT 'received' CHECK (state IN ('received', 'reading', 'done', 'failed')),
    layout       jsonb,                                          -- which sheet and columns were found
    rows_total   integer,                                        -- rows below the header that hold anything
    rows_read    integer NOT NULL DEFAULT 0,
    last_row     integer NOT NULL DEFAULT 0,                     -- number in the file of the last row that was read
    accepted     integer NOT NULL DEFAULT 0,
    repaired     integer NOT NULL DEFAULT 0,                     -- of those accepted
    converted    integer NOT NULL DEFAULT 0,                     -- of those accepted
    duplicate    integer NOT NULL DEFAULT 0,
    rejected     integer NOT NULL DEFAULT 0,
    tries        smallint NOT NULL DEFAULT 0,                    -- begun since a batch was last committed
    report_key   text,
    error_code   text,
    error_facts  jsonb,
    created_at   timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz,
    done_at      timestamptz,
    CHECK (rows_read = accepted + duplicate + rejected)
) WITH (fillfactor = 70);
CREATE INDEX contact_files_campaign ON contact_files (campaign_id, id);
-- What waits to be read. A worker looks every second.
CREATE INDEX contact_files_open ON contact_files (account_id, id) WHERE state IN ('received', 'reading');
-- A campaign does not run dry while one of its files is being read.
CREATE INDEX contact_files_feeding ON contact_files (campaign_id) WHERE state IN ('received', 'reading');
-- Ended ones that still have a file in storage: a report whose time may be over, or an upload left by a crash.
CREATE INDEX contact_files_kept ON contact_files (done_at)
    WHERE done_at IS NOT NULL AND (report_key IS NOT NULL OR storage_key IS NOT NULL);

-- What each committed batch of a file leaves behind until the file is read: the numbers that a later row of the
-- file may repeat, with the rows they came from, and its part of the report. One row per batch and not one per
-- number: a key on every number made a file of 200,000 rows take half as long again, and leaves its dead rows.
CREATE TABLE contact_file_batches (
    file_id     bigint NOT NULL REFERENCES contact_files,
    first_row   integer NOT NULL,
    account_id  bigint NOT NULL,
    numbers     bigint[] NOT NULL,
    rows        integer[] NOT NULL,
    report      bytea NOT NULL,
    PRIMARY KEY (file_id, first_row)
);
