"""Records, their index, statistics and tables; nothing here needs torch."""

from mixpro_bench.leaderboard.record import RECORD_NAME, SCHEMA_VERSION, Record, read_record, write_record

__all__ = ["RECORD_NAME", "SCHEMA_VERSION", "Record", "read_record", "write_record"]
