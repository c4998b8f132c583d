-- Which model made the embeddings of which column. `stockade embed` writes here; the host's login reads,
-- and serves no collection whose embeddings are another model's than its configuration says.
SET LOCAL ROLE stockade_owner;

CREATE TABLE IF NOT EXISTS stockade.collections (
    table_name  text NOT NULL,
    column_name text NOT NULL,
    model       text NOT NULL,
    dimension   int NOT NULL CHECK (dimension > 0),
    complete    boolean NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (table_name, column_name)
);
REVOKE ALL ON stockade.collections FROM PUBLIC;

COMMENT ON TABLE stockade.collections IS 'Which model made the embeddings of which column. Written by `stockade embed`.';
COMMENT ON COLUMN stockade.collections.table_name IS 'The table or view, schema.name, as the host''s configuration names it.';
COMMENT ON COLUMN stockade.collections.column_name IS 'The column of the embeddings.';
COMMENT ON COLUMN stockade.collections.complete IS 'False while a new model makes them anew: the column then holds vectors of two models.';

DO $collections$
BEGIN
    EXECUTE format('GRANT SELECT ON stockade.collections TO %I', current_setting('stockade.setup_login'));
END
$collections$;

RESET ROLE;
