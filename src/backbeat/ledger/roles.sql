-- Least-privilege roles for a backbeat ledger on PostgreSQL. Run once, as the database's owner,
-- after `backbeat ledger migrate`; run it again after each migration. Passwords are yours to set:
--   ALTER ROLE backbeat_worker LOGIN PASSWORD '…';
--
-- backbeat_worker   performs steps: it writes the record, and can never change or remove an entry
--                   of the audit log, erase a person, issue a token or alter the schema
-- backbeat_reader   looks: runs, sign-offs and the audit log, but no personal values
-- backbeat_auditor  looks at everything, personal values included
-- backbeat_keeper   keeps: prunes finished work, erases personal values, issues tokens
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY[
        'backbeat_worker', 'backbeat_reader', 'backbeat_auditor', 'backbeat_keeper'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), role);
    END LOOP;
END
$$;

GRANT SELECT ON backbeat_meta
    TO backbeat_worker, backbeat_reader, backbeat_auditor, backbeat_keeper;

GRANT SELECT, INSERT, UPDATE
    ON backbeat_runs, backbeat_attempts, backbeat_streams, backbeat_budgets TO backbeat_worker;
GRANT SELECT, INSERT ON backbeat_events TO backbeat_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON backbeat_locks, backbeat_outbox TO backbeat_worker;
GRANT SELECT, INSERT ON backbeat_audit_log TO backbeat_worker;
GRANT INSERT ON backbeat_audit_private TO backbeat_worker;
GRANT SELECT ON backbeat_tokens TO backbeat_worker;
GRANT USAGE
    ON SEQUENCE backbeat_outbox_position_seq, backbeat_audit_log_position_seq TO backbeat_worker;

GRANT SELECT
    ON backbeat_runs, backbeat_attempts, backbeat_streams, backbeat_events, backbeat_locks,
    backbeat_budgets, backbeat_outbox, backbeat_audit_log
    TO backbeat_reader, backbeat_auditor, backbeat_keeper;
GRANT SELECT ON backbeat_audit_private TO backbeat_auditor;

GRANT INSERT ON backbeat_audit_log, backbeat_audit_private TO backbeat_keeper;
GRANT USAGE ON SEQUENCE backbeat_audit_log_position_seq TO backbeat_keeper;
GRANT DELETE
    ON backbeat_runs, backbeat_attempts, backbeat_streams, backbeat_events, backbeat_outbox,
    backbeat_budgets TO backbeat_keeper;
GRANT SELECT (entry_id, field), DELETE ON backbeat_audit_private TO backbeat_keeper;
GRANT SELECT, INSERT, UPDATE ON backbeat_tokens TO backbeat_keeper;
