"""Any source of annotations to second-level records: the loop, the records, the audit."""
