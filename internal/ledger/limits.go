package ledger

import "time"

// Limits bounds everything the ledger holds or answers. The zero value of a
// field means its default.
type Limits struct {
	BytesInFlight     int64         // encoded bytes appended and not yet answered; beyond it Append says KindOverloaded
	StagedBytes       int64         // memory of events being decoded and waiting to be folded, about; further requests wait
	BlocksInFlight    int           // blocks appended and not yet folded
	GroupBytes        int           // bytes under one sync
	GroupBlocks       int           // requests under one sync
	MergeRows         int           // requests of fewer rows are merged into one block per organization and group
	MinFreeDisk       uint64        // bytes free below which Append says KindStorageFull
	NoDiskFloor       bool          // MinFreeDisk is 0, not its default
	CheckpointEvents  int           // events between checkpoints
	CheckpointBytes   int64         // log bytes between checkpoints
	CheckpointEvery   time.Duration // time between checkpoints while there is something to write
	CellBytes         int64         // memory of what no checkpoint holds: totals, groups and texts being folded and being written
	TableBytes        int64         // of what a checkpoint adds, from which it is written as tables
	TextBytes         int64         // memory in which the fold knows texts by their hashes, some 20 bytes each
	StringCache       int           // texts held in memory for readers
	StringBytes       int64         // and their bytes
	ErrorsPerAnswer   int           // errors listed in one Result
	WarningsPerAnswer int           // warnings listed in one Result
	UsageRows         int           // rows in one page of usage
	UsageLargest      int           // rows of an answer sorted by value
	UsageWindows      int           // windows one query may span
	UsageGroups       int           // groups one query may hold in memory
	EventsPage        int           // events in one page
	PageBytes         int64         // of the texts and data of one page of events or usage; a page has one entry at least
	ReadBytes         int64         // memory of all queries at work: groups, texts, samples, decoded blocks
	KeptRejections    int           // rejected events kept per organization, then only counted; negative = none
	MetersPerOrg      int
	MeterBytes        int   // of the definitions of an organization's meters, as JSON
	VoidCounts        int   // meters of an organization times the identities of one void
	SetValues         int   // distinct values a UNIQUE_COUNT slot may hold
	DirtyPerFlush     int   // dirty slots recomputed at one checkpoint
	DirtyBytes        int64 // bytes of blocks read for that at one checkpoint
	CompactRows       int   // events that make a merged block of cold small ones; negative = small ones stay
	CacheBytes        int64 // of the stores' block cache, and as much again of decoded blocks
	AnswerBytes       int64 // of answers kept until something reaches their range; negative = none
	AnswerCells       int   // an answer that took fewer cells is not kept
	BlockCacheEntries int   // decoded blocks kept for lookups
}

// DefaultLimits returns the defaults named in docs/operations.md.
func DefaultLimits() Limits {
	return Limits{
		BytesInFlight: 64 << 20, StagedBytes: 256 << 20, BlocksInFlight: 64, GroupBytes: 4 << 20, GroupBlocks: 256, MergeRows: 500,
		MinFreeDisk: 1 << 30, CheckpointEvents: 1_000_000, CheckpointBytes: 64 << 20, CheckpointEvery: 30 * time.Second,
		CellBytes: 256 << 20, TableBytes: 1 << 20, TextBytes: 512 << 20, StringCache: 1 << 20, StringBytes: 32 << 20, ErrorsPerAnswer: 1000, WarningsPerAnswer: 100,
		UsageRows: 10_000, UsageLargest: 1000, UsageWindows: 1_000_000, UsageGroups: 1_000_000, EventsPage: 1000, PageBytes: 4 << 20, ReadBytes: 256 << 20, KeptRejections: 100_000,
		MetersPerOrg: 1000, MeterBytes: 8 << 20, VoidCounts: 1_000_000, SetValues: 10_000_000, DirtyPerFlush: 1000, DirtyBytes: 64 << 20, CompactRows: 4000, CacheBytes: 64 << 20, BlockCacheEntries: 64,
		AnswerBytes: 32 << 20, AnswerCells: 256,
	}
}

// withDefaults fills the zero fields.
func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	fill(&l.BytesInFlight, d.BytesInFlight)
	fill(&l.StagedBytes, d.StagedBytes)
	fill(&l.BlocksInFlight, d.BlocksInFlight)
	fill(&l.GroupBytes, d.GroupBytes)
	fill(&l.GroupBlocks, d.GroupBlocks)
	fill(&l.MergeRows, d.MergeRows)
	if l.NoDiskFloor {
		l.MinFreeDisk = 0
	} else {
		fill(&l.MinFreeDisk, d.MinFreeDisk)
	}
	fill(&l.CheckpointEvents, d.CheckpointEvents)
	fill(&l.CheckpointBytes, d.CheckpointBytes)
	fill(&l.CheckpointEvery, d.CheckpointEvery)
	fill(&l.CellBytes, d.CellBytes)
	fill(&l.StringCache, d.StringCache)
	fill(&l.StringBytes, d.StringBytes)
	fill(&l.TableBytes, d.TableBytes)
	fill(&l.TextBytes, d.TextBytes)
	fill(&l.ErrorsPerAnswer, d.ErrorsPerAnswer)
	fill(&l.WarningsPerAnswer, d.WarningsPerAnswer)
	fill(&l.UsageRows, d.UsageRows)
	fill(&l.UsageLargest, d.UsageLargest)
	fill(&l.UsageWindows, d.UsageWindows)
	fill(&l.UsageGroups, d.UsageGroups)
	fill(&l.EventsPage, d.EventsPage)
	fill(&l.PageBytes, d.PageBytes)
	fill(&l.ReadBytes, d.ReadBytes)
	fill(&l.KeptRejections, d.KeptRejections)
	fill(&l.MetersPerOrg, d.MetersPerOrg)
	fill(&l.MeterBytes, d.MeterBytes)
	fill(&l.VoidCounts, d.VoidCounts)
	fill(&l.SetValues, d.SetValues)
	fill(&l.DirtyPerFlush, d.DirtyPerFlush)
	fill(&l.DirtyBytes, d.DirtyBytes)
	fill(&l.CompactRows, d.CompactRows)
	fill(&l.CacheBytes, d.CacheBytes)
	fill(&l.AnswerBytes, d.AnswerBytes)
	fill(&l.AnswerCells, d.AnswerCells)
	fill(&l.BlockCacheEntries, d.BlockCacheEntries)
	return l
}

func fill[T comparable](field *T, def T) {
	var zero T
	if *field == zero {
		*field = def
	}
}
