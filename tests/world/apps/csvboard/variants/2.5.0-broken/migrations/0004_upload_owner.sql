CREATE TABLE owners (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
-- SQLite refuses this: the column has no value for the rows that are there.
ALTER TABLE uploads ADD COLUMN owner INTEGER NOT NULL;
