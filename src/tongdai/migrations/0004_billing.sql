-- Money: what a call costs (tariffs, rates, VAT), who may call (plans, subscriptions), and what is paid for it
-- (wallets, ledger). Amounts are đồng. What is charged is whole đồng; a price per minute may have a fraction.

-- ---------------------------------------------------------------- prices

-- `revision` changes with every new rate, in the same transaction, so whoever keeps the rates knows by it whether
-- they still have all. A random id and no counter: kept rates of one database never pass for another's.
CREATE TABLE tariffs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    revision    uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- What calls to one network cost from a moment on. Rows never change: a new price is a new row, and what was
-- charged by the old one stays explained. The most specific row wins, of those the one that began last.
CREATE TABLE tariff_rates (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tariff_id    bigint NOT NULL REFERENCES tariffs,
    network      text NOT NULL,                                  -- a routing group, or * for all the others
    on_net       boolean,                                        -- the hotline is of that network too; NULL: whether or not
    per_minute   numeric(18, 2) NOT NULL CHECK (per_minute >= 0),   -- to the carrier, without VAT
    initial_s    integer NOT NULL CHECK (initial_s BETWEEN 1 AND 3600),     -- first block
    increment_s  integer NOT NULL CHECK (increment_s BETWEEN 1 AND 3600),   -- each block after it
    free_s       integer NOT NULL DEFAULT 0 CHECK (free_s BETWEEN 0 AND 3600),
    per_answer   numeric(18, 2) NOT NULL DEFAULT 0 CHECK (per_answer >= 0),   -- to the platform, without VAT
    per_attempt  numeric(18, 2) NOT NULL DEFAULT 0 CHECK (per_attempt >= 0),  -- whether or not it is answered
    valid_from   timestamptz NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tariff_rates_tariff ON tariff_rates (tariff_id, id);

-- VAT per line, dated. Of the rows that hold on a day of Vietnam, the one that began last: an entry with an end
-- gives way to the one under it by itself.
CREATE TABLE vat_rates (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    line         text NOT NULL CHECK (line IN ('postage', 'service')),
    percent      numeric(5, 2) NOT NULL CHECK (percent BETWEEN 0 AND 100),
    valid_from   date NOT NULL,
    valid_until  date CHECK (valid_until >= valid_from),         -- its last day; NULL: until another begins
    source       text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);
INSERT INTO vat_rates (line, percent, valid_from, source) VALUES
    ('postage', 10, '2000-01-01',
     'Standard rate. Telecom services are excluded from the cut to 8 % (Decree 174/2025/NĐ-CP).'),
    ('service', 10, '2000-01-01',
     'Standard rate. Whether a platform fee may take 8 % until 2026-12-31 depends on its classification.');

-- ---------------------------------------------------------------- plans

CREATE TABLE plans (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    tariff_id   bigint NOT NULL REFERENCES tariffs,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Which plan an account has, from when until when. Where two hold, the one that began last.
CREATE TABLE subscriptions (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   bigint NOT NULL REFERENCES accounts,
    plan_id      bigint NOT NULL REFERENCES plans,
    valid_from   timestamptz NOT NULL,
    valid_until  timestamptz CHECK (valid_until >= valid_from),  -- the first moment without it; NULL: open
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX subscriptions_account ON subscriptions (account_id, id);

-- ---------------------------------------------------------------- wallets and ledger

-- The checks are the promise: what is promised to calls that are up is never spent on anything else, and nothing
-- goes below zero, whatever the code does.
CREATE TABLE wallets (
    account_id  bigint PRIMARY KEY REFERENCES accounts,
    balance     numeric(18, 2) NOT NULL DEFAULT 0,
    reserved    numeric(18, 2) NOT NULL DEFAULT 0,               -- by the open legs of the account
    last_at     timestamptz NOT NULL DEFAULT 'epoch',            -- of its latest ledger line
    CHECK (0 <= reserved AND reserved <= balance)
) WITH (fillfactor = 50);

-- Every change of a balance, one line each, and never a change of a line. Ids and times are given while the
-- wallet is locked, so within an account both grow in the order of the lines.
CREATE SEQUENCE ledger_ids;
CREATE TABLE ledger (
    id             bigint NOT NULL DEFAULT nextval('ledger_ids'),
    account_id     bigint NOT NULL,
    at             timestamptz NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('top_up', 'adjustment', 'postage', 'service_charge')),
    amount         numeric(18, 2) NOT NULL CHECK (amount <> 0),  -- what the balance changed by; charges are negative
    net            numeric(18, 2) NOT NULL,
    vat            numeric(18, 2) NOT NULL,
    vat_percent    numeric(5, 2),
    balance_after  numeric(18, 2) NOT NULL CHECK (balance_after >= 0),
    campaign_id    bigint,
    call_id        bigint,
    attempt_id     bigint,
    leg_id         bigint,
    rate_id        bigint,                                       -- the price that it was charged by
    billable_s     integer,
    made_by        text,                                         -- who did it by hand
    reason         text,
    PRIMARY KEY (account_id, id),
    CHECK (amount = net + vat),
    CHECK ((kind IN ('top_up', 'adjustment')) = (made_by IS NOT NULL AND reason IS NOT NULL)),
    CHECK ((kind IN ('postage', 'service_charge')) = (leg_id IS NOT NULL))
) PARTITION BY RANGE (id);
-- What was done by hand, among the millions of lines of calls.
CREATE INDEX ledger_by_hand ON ledger (account_id, id) WHERE kind IN ('top_up', 'adjustment');

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the rows of % are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE ON ledger FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_not_emptied BEFORE TRUNCATE ON ledger FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER tariff_rates_append_only BEFORE UPDATE OR DELETE ON tariff_rates
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- As before, and of the ledger too. Its rows never change, so its pages are filled.
CREATE OR REPLACE FUNCTION ensure_partitions(ahead integer DEFAULT 1) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    width constant bigint := 10000000;
    big_table text; sequence_name text; fill integer; current_id bigint; part bigint; made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7340, 1);
    FOR big_table, sequence_name, fill IN VALUES
        ('calls', 'call_ids', 80), ('attempts', 'attempt_ids', 80), ('legs', 'leg_ids', 80),
        ('ledger', 'ledger_ids', 100)
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
