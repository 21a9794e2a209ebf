"""Tables: CSV, TSV, JSON lines, Parquet and spreadsheets, as a stream of text cells."""
