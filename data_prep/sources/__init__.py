"""One module a source: each turns a data set's own annotations into second-level records."""
