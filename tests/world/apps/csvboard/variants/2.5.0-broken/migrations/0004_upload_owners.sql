CREATE TABLE owners (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
ALTER TABLE uploads ADD COLUMN owner INTEGER REFERENCES owners (id);
-- The column has another name, so that SQLite refuses this, and the two above with it.
CREATE INDEX uploads_owner ON uploads (owner_id);
