-- Which tables are split by id is written down in a table, so that a migration that brings one more adds a row to it.

-- The tables that grow without end, each PARTITION BY RANGE (id). A migration that makes one inserts its row here and
-- then calls ensure_partitions().
CREATE TABLE big_tables (
    name        text PRIMARY KEY,                                -- its partitions are name_p0, name_p1, …
    sequence    text NOT NULL UNIQUE,                            -- where its ids come from
    fillfactor  integer NOT NULL CHECK (fillfactor BETWEEN 10 AND 100) -- of its partitions: 100 where rows never change
);
INSERT INTO big_tables (name, sequence, fillfactor) VALUES
    ('calls', 'call_ids', 80), ('attempts', 'attempt_ids', 80), ('legs', 'leg_ids', 80),
    ('ledger', 'ledger_ids', 100), ('recordings', 'recording_ids', 80),
    ('inbound_calls', 'inbound_call_ids', 80);

-- As before, for every table in big_tables: makes sure that the partition under the next id exists, and `ahead` more.
-- By name, so that they are always locked in the same order.
CREATE OR REPLACE FUNCTION ensure_partitions(ahead integer DEFAULT 1) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    width constant bigint := 10000000;
    big record; current_id bigint; part bigint; partition_name text; made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7340, 1);
    FOR big IN SELECT name, sequence, fillfactor FROM big_tables ORDER BY name LOOP
        EXECUTE format('SELECT last_value FROM %I', big.sequence) INTO current_id;
        FOR part IN current_id / width .. current_id / width + ahead LOOP
            partition_name := big.name || '_p' || part;
            IF to_regclass(format('%I', partition_name)) IS NULL THEN
                EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH (fillfactor = %s)',
                               partition_name, big.name, big.fillfactor);
                EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                               big.name, partition_name, part * width, (part + 1) * width);
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
SELECT ensure_partitions();
