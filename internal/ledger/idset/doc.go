// Package idset is the exactly-once index. It remembers every identity that
// was ever accepted: a 96-bit hash, a 64-bit check of the content, and the
// block and row of the event.
//
//	Insert ─► recent table ─Freeze─► frozen ─Write, Install─► run ─┐
//	            (memory)            (memory)                  run ─┤ Run,
//	                                                          run ─┤ InstallMerge
//	                                                          run ─┴─► larger run
//
// The fold looks an identity up in the recent table, the frozen ones and the
// runs that are newer than what the request has probed. Requests probe the
// sealed runs, many hashes at a time, before their block is appended. Nothing
// is ever answered "new" on the word of a damaged file: a filter's "maybe" is
// confirmed on a page, a damaged page is an error that names it, and a damaged
// filter is made anew from the pages.
//
// # Tables
//
// A table is a fixed array of 32-byte slots outside the Go heap, two to a
// cache line. The slot where the search for a hash starts grows with the hash,
// so a table is almost sorted and is sealed in one walk.
//
//	slot:  hi 8 | check 8 | sequence+1 8 (0 = empty) | lo 4 | ordinal 4
//
// # Run files
//
// A run is one file; docs/format.md has every byte of it.
//
//	pages     4096 bytes each, about 200 entries in order of hash
//	index     8 bytes a page: the high half of its first hash
//	filter    64-byte blocks, 15 bits an entry
//	footer    128 bytes: counts, checksums
//
//	page:  checksum 8 | n 2 | l 1 | s 1 | o 1 | 0 1 | words 2 | base 8 | least sequence 8
//	       upper column: entry i sets bit ((hi-base)>>l)+i      8 bytes a word
//	       content checks                                       8 bytes an entry
//	       lo                                                   4 bytes an entry
//	       low l bits of hi-base                                l bits an entry
//	       sequence - least sequence                            s bits an entry
//	       ordinal                                              o bits an entry
//
// Index and filter are kept in memory, 1.92 bytes an entry; while a merge
// runs, also those of the run it writes.
//
// # Files and checkpoints
//
// A file is written under a temporary name, synced, renamed, and its directory
// synced; only then may a checkpoint name it. Install and InstallMerge follow
// that checkpoint, RemoveObsolete follows them. Open deletes what the last
// checkpoint does not name, so a crash at any step loses nothing and leaves
// nothing behind.
package idset
