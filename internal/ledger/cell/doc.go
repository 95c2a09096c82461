// Package cell keeps the folded state of meters: one state per (meter version, group, time slot).
//
//	fold ──Add*──► Table ──freeze──► Flush ──► chunks ──Merge──► Pebble (Merger)
//	                 │                 │ derives projections         │
//	                 └──── Collect ◄───┴──────────── Collect ◄───────┘   per-slot States
//
// A Table holds the deltas since the last flush in memory. Flush writes them
// as day chunks, one for each projection, group and day, to be merged into what is stored. Readers
// add up both. A slot is unix seconds divided by its width and rounded down; widths divide a day.
//
// A key is
//
//	prefix of the caller's | uvarint length of org | org | meter version u32 | projection u8 | group ids, u64 each | day u32
//
// with big endian integers; the day is counted from 1970-01-01 and has its top
// bit flipped, so that keys sort by group, then time. A value is
//
//	version u8 = 1
//	flags   u8   bits 0-2 kind (1 numeric, 2 min, 3 max, 4 last, 5 distinct), bit 3 bitmap, bit 4 dirty
//	scale   u8   0-12: numbers are in units of 10^-scale
//	uvarint slots per day (1-1440)
//	uvarint n, slots present
//	slots   with the bitmap flag: ceil(slots per day / 8) bytes, slot i is bit i%8 of byte i/8;
//	        else n uvarints, each the slots skipped since the one before
//	dirty   only with the dirty flag: uvarint length, then up to there for each dirty slot:
//	        uvarint present slots skipped since the dirty one before, uvarint sequence
//	codes   n bytes: length of the count in the upper, code of the number in the lower four bits
//	rows    n times, to the end:
//	        count, 0 to 8 bytes | number, as many bytes as its code says
//	        last, if the count is not 0:     unix nanoseconds i64 little endian | uvarint length, source | uvarint length, id
//	        distinct, if the count is not 0: set
//
// Counts and numbers are little endian two's complement with the sign extended. Codes 0
// to 8 are the number's length; 9 to 15 stand for 10, 12, 14, 16, 18, 20 and 24 bytes. The number is the sum (numeric),
// the value (min, max, last) or 0 (distinct, and min, max, last without a count). A set is described at Set.
//
// The same states always have the same bytes, but for the scale: that of a
// merged chunk is the largest of its parts'. The bitmap is used if n > 0 and a list
// would be no shorter: n >= ceil(slots per day / 8).
package cell
