"""What a RocksDB store is opened with."""

from __future__ import annotations

from typing import Final

try:
    import resource
except ImportError:  # Windows has no such limit.
    resource = None  # type: ignore[assignment]

from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    DBRecoveryMode,
    Options,
)

_MIB: Final = 1024 * 1024
_MEMTABLE: Final = 16 * _MIB  # measured: 1.24 times the throughput of 64 MiB
_MEMTABLES: Final = 3  # so a crash leaves at most 48 MiB of log to read again: well under a second
# Files that are written before they are merged into all that is below; the default is 4. Ids are random, so a merge writes all
# of it anew. Measured: 18 µs less processor time for each small step; a look that no cache answers takes 16 µs instead of 12.
_MERGED_FILES: Final = 8
_BLOCK_CACHE: Final = 16 * _MIB  # full after some 300,000 steps; what is read often is in the cache of the door
_INDEX_BLOCK: Final = 4096
_OPEN_FILES: Final = 512  # half of the usual limit of 1,024; the rest is for connections. Half of any smaller one too


def _open_files() -> int:
    limit = -1 if resource is None else resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _OPEN_FILES if limit < 0 else min(_OPEN_FILES, limit // 2)


def options() -> Options:
    """What a store is opened with; also for a measurement of RocksDB alone, with the same settings."""
    table = BlockBasedOptions()
    table.set_format_version(6)  # from 6 on, footers and the place of a block are under a checksum too
    table.set_bloom_filter(10, False)
    table.set_block_cache(Cache(_BLOCK_CACHE))
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    # In pieces: a whole index and filter of a file is a megabyte, and a look far back would push out all others.
    table.set_index_type(BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)
    table.set_metadata_block_size(_INDEX_BLOCK)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_paranoid_checks(True)
    # The default mode drops all that follows a flipped bit, silently; this one refuses it, and forgives a record
    # that was never finished. What it cannot tell apart, check_logs does.
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_write_buffer_size(_MEMTABLE)
    options.set_max_write_buffer_number(_MEMTABLES)
    options.set_level_zero_file_num_compaction_trigger(_MERGED_FILES)
    options.set_max_total_wal_size(_MEMTABLES * _MEMTABLE)
    options.set_max_manifest_file_size(4 * _MIB)
    options.set_max_open_files(_open_files())
    options.set_keep_log_file_num(4)
    options.set_max_log_file_size(_MIB)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    return options
