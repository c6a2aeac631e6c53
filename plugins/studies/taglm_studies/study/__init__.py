"""Studies: several runs of one task, in one folder, resumable, with a table and a page."""
