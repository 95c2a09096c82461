// Package cell keeps the folded state of meters: one state per (meter version, group, time slot).
//
//	fold ──Add*──► Table ──freeze──► Flush ──► chunks ──Merge──► Pebble (Merger)
//	                 │                 │ derives projections         │
//	                 └──── Collect ◄───┴──────────── Collect ◄───────┘   per-slot States
//
// A Table holds the deltas since the last flush in memory. Flush writes them
// as day chunks, one for each projection, group and day, to be merged into what is stored. Readers
// add up both.
//
// A key is
//
//	prefix of the caller's | uvarint length of org | org | meter version u32 | projection u8 | group ids, u64 each | day u32
//
// with big endian integers; the day is counted from 1970-01-01 and has its top
// bit flipped, so that keys sort by group, then time. A value is
//
//	version u8 = 1
//	flags   u8   bits 0-2 kind (1 numeric, 2 min, 3 max, 4 last, 5 distinct), bit 3 bitmap, bit 4 values, bit 5 dirty
//	scale   u8   0-12: numbers are in units of 10^-scale
//	uvarint slots per day (1-1440)
//	uvarint n, slots present
//	slots   bitmap set: ceil(slots per day / 8) bytes, slot i is bit i%8 of byte i/8 (used iff n > 0 and a list would
//	        be no shorter, n >= that number); else uvarint length, n uvarints: gap to the slot after the one before
//	dirty   only with the dirty flag: uvarint length, uvarint marks, for each: uvarint slots skipped, uvarint sequence
//	counts  uvarint length, n varints (zigzag if numeric, else unsigned)
//	values  to the end, one for each slot:
//	        numeric:  number (only with the values flag; without it all sums are zero)
//	        others, only where the count is not zero:
//	        min, max: number
//	        last:     unix nanoseconds i64 little endian, uvarint length + source, uvarint length + id, number
//	        distinct: set
//
// A number is a 192-bit zigzag base-128 varint. A set is described at Set.
package cell
