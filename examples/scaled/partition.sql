-- Messages in partitions by their session, so that each turn meets one small table with small indexes.
--
--   psql -v ON_ERROR_STOP=1 -v parts=32 -f examples/scaled/partition.sql "$DATABASE_URL"
--
-- With the service stopped: it copies every message, in one transaction, and puts nothing in the old
-- table's place before all is there. What changes: a unique key of a partitioned table holds the
-- column it is partitioned by, so ids are unique within their session, and a reply is in the session
-- of its question. Foreign keys, checks and the other indexes stay what they were.
\if :{?parts} \else \set parts 32 \endif
BEGIN;
SELECT set_config('chat.parts', :'parts', true);

DO $$
DECLARE
    each record;
    again text[];
BEGIN
    -- What the new table gets back at the end, when its rows are there.
    SELECT array_agg(indexdef) INTO again FROM pg_indexes
    WHERE schemaname = current_schema AND tablename = 'chat_message'
        AND indexdef !~ '\(id\)$' AND indexdef !~ 'UNIQUE.*\(reply_to_id\)$';
    SELECT again || array_agg(
        format('ALTER TABLE chat_message ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid))
    ) INTO again
    FROM pg_constraint
    WHERE conrelid = 'chat_message'::regclass AND contype = 'f' AND confrelid <> conrelid;
    SELECT again || array_agg(pg_get_triggerdef(oid, true)) INTO again
    FROM pg_trigger WHERE tgrelid = 'chat_message'::regclass AND NOT tgisinternal;

    ALTER TABLE chat_message RENAME TO chat_message_whole;
    CREATE TABLE chat_message (
        LIKE chat_message_whole INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS
    ) PARTITION BY HASH (session_id);
    FOR part IN 0 .. current_setting('chat.parts')::int - 1 LOOP
        EXECUTE format(
            'CREATE TABLE chat_message_p%s PARTITION OF chat_message '
            'FOR VALUES WITH (MODULUS %s, REMAINDER %s)',
            part, current_setting('chat.parts'), part
        );
    END LOOP;

    -- All columns but generated ones, which make themselves.
    SELECT string_agg(quote_ident(attname), ', ') AS names INTO each
    FROM pg_attribute
    WHERE attrelid = 'chat_message'::regclass AND attnum > 0 AND attgenerated = ''
        AND NOT attisdropped;
    EXECUTE format(
        'INSERT INTO chat_message (%s) SELECT %s FROM chat_message_whole', each.names, each.names
    );
    DROP TABLE chat_message_whole;

    ALTER TABLE chat_message ADD PRIMARY KEY (session_id, id);
    ALTER TABLE chat_message ADD UNIQUE (session_id, reply_to_id);
    ALTER TABLE chat_message ADD FOREIGN KEY (session_id, reply_to_id)
        REFERENCES chat_message ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;
    CREATE INDEX chat_message_by_id ON chat_message (id);  -- for staff: lists, exports, reports
    FOR each IN SELECT unnest(again) AS statement LOOP
        EXECUTE each.statement;
    END LOOP;
END
$$;
COMMIT;
