package ledger

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/background"
	"odometer/internal/ledger/block"
	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/disk"
	"odometer/internal/ledger/idset"
	"odometer/internal/ledger/log"
	"odometer/internal/meter"
)

// Options opens a ledger. Dir is required.
type Options struct {
	Dir    string
	FS     vfs.FS           // nil = the disk
	Clock  func() time.Time // nil = time.Now; acceptance times come from it
	Logger *slog.Logger     // nil = discard
	Limits Limits
	// Fatal ends the process: a sync failed or the state can no longer follow
	// the log, so nothing may be answered any more. It is called once. If it
	// returns, the ledger has failed: whoever waits is answered with an error,
	// nothing is folded, stored or read, and only Close is left. nil = panic.
	Fatal func(message string)
	// damage is called in place of Fatal where stored data that is damaged is
	// the reason. nil = Fatal.
	Damage func(message string)
	// Rest is called some time after the last entry, when what the load took is
	// garbage. It must not take long. nil = nothing.
	Rest func()
}

// Ledger is one shard: its log and the fold of it.
//
// Locks are taken in this order, each at most once and only those that are
// needed:
//
//	reading        by who answers, for as long as the answer takes
//	ckpt.copying   by a commit and by a backup of the state
//	ckpt.mu        never together with mu
//	mu             by the fold for a block, by readers to take what they need
//	orgsMu
//
// All others (of the queue, jobs, texts, staging, damaged, blocks, kept, timing, mark
// and of the identities) guard their own part only: nothing is taken under them.
type Ledger struct {
	dir      string
	fs       vfs.FS
	clock    func() time.Time
	logger   *slog.Logger
	limits   Limits
	onFail   func(string)
	onDamage func(string)
	onRest   func()

	lock         io.Closer // of the data directory
	mark         log.Mark
	cache        *pebble.Cache
	log          log.Log
	state        *pebble.DB
	merges       disk.Merges // of tables: none until the log's tail is folded
	stateOptions *pebble.Options
	freshState   bool  // made by this start
	incomingSize int64 // incomingTableBytes, but where a test wants more tables
	key          block.Key
	ids          *idset.Set
	builders     *block.Pool
	texts        *texts

	staging staging
	reads   *readBudget
	queue   *queue
	tail    logTail // appender only
	folds   chan *foldItem
	fold    folder // fold goroutine only

	replaying bool // the log's tail is being folded, before there is a fold goroutine

	// mu orders the fold's changes against readers: a reader takes base,
	// frozen and what it needs of active under one read lock.
	mu          sync.RWMutex
	active      *delta
	frozen      *delta
	base        *base
	nextVersion uint32

	orgsMu sync.RWMutex
	orgs   map[string]*orgState

	ckpt      checkpointer
	backfill  backfiller
	foldJobs  chan func()
	compacted chan struct{} // capacity 1: the state's or the log's tables were merged
	folded    chan struct{} // closed when the fold goroutine has ended

	quiet        int                        // seconds without an entry; fold goroutine
	spareTable   atomic.Pointer[cell.Table] // empty, for the next freeze
	applied      atomic.Uint64
	checkpointed atomic.Uint64
	failed       atomic.Pointer[meter.Error]
	diskLow      atomic.Bool
	damaged      damageList
	blocks       blockCache
	kept         keptAnswers
	leads        storedLeads
	timing       timing

	closing atomic.Bool
	jobs    background.Jobs
	once    sync.Once

	// reading is held by answers under way; Close takes it before the stores go.
	reading sync.RWMutex
	closed  bool
}

var errClosed = meter.Errorf(meter.KindUnavailable, "the ledger is closed")

// Folders and names inside Options.Dir.
const (
	logFolder   = "log"
	stateFolder = "state"
	runFolder   = "ids"
	lockName    = "LOCK"
	markName    = "TAIL"
	metaHashKey = "hash-key"
	metaFormat  = "format"
)

// storedFormat is the version of everything the ledger stores. A directory of a
// newer one is refused, an older one is raised when opened.
//
// Since format 2 blocks hold events without a time, numbers beyond the limits
// of a quantity and extension attributes.
// Since format 3 the state lists no groups.
// Since format 4 meters of one family may have their cells in one value.
const storedFormat = 4

// Open opens or creates the ledger in o.Dir, replays the tail of the log and
// starts the appender and the fold. It is ready when it returns. A directory
// that another process holds is KindUnavailable; damage is KindCorrupt.
func Open(ctx context.Context, o Options) (*Ledger, error) {
	l := &Ledger{dir: o.Dir, fs: o.FS, clock: o.Clock, logger: o.Logger, limits: o.Limits.withDefaults(), onFail: o.Fatal, onDamage: o.Damage, onRest: o.Rest,
		orgs: map[string]*orgState{}, incomingSize: incomingTableBytes, foldJobs: make(chan func()), compacted: make(chan struct{}, 1), folded: make(chan struct{}),
		backfill: backfiller{ready: make(chan *backfillBatch), woken: make(chan struct{}, 1), held: map[string]bool{}}}
	l.kept.most = l.limits.AnswerBytes
	l.reads = newReadBudget(l.limits.ReadBytes)
	l.staging.most = l.limits.StagedBytes
	l.queue = newQueue(l.limits.BytesInFlight, l.limits.BlocksInFlight*64)
	if l.fs == nil {
		l.fs = disk.Private(vfs.Default)
	}
	if l.clock == nil {
		l.clock = time.Now
	}
	if l.logger == nil {
		l.logger = slog.New(slog.DiscardHandler)
	}
	err := l.open(ctx)
	if err == nil {
		err = l.stopped() // by a checkpoint of the replay
	}
	if err != nil {
		l.closing.Store(true)
		l.awaitFlush() // that the replay started
		l.jobs.Stop()
		return nil, errors.Join(err, l.closeStores())
	}
	l.start(ctx)
	return l, nil
}

func (l *Ledger) open(ctx context.Context) error {
	if err := disk.MakeDir(l.fs, l.dir); err != nil {
		return err
	}
	var err error
	if l.lock, err = disk.Lock(l.fs, filepath.Join(l.dir, lockName)); err != nil {
		return err
	}
	if err := checkRoom(l.fs, l.dir); err != nil {
		return err
	}
	l.cache = disk.NewCache(l.limits.CacheBytes, disk.MemTableBytes, stateMemTable)
	kept, err := log.Open(l.fs, filepath.Join(l.dir, logFolder), storeWatch{l}, &l.merges, l.cache)
	if err != nil {
		return corruptIfDamaged(err)
	}
	l.log = kept
	if err := l.openMeta(); err != nil {
		return err
	}
	_, noState := l.fs.Stat(filepath.Join(l.dir, stateFolder))
	l.freshState = noState != nil
	l.stateOptions = stateOptions(l.cache, l.limits.SetValues)
	if l.state, err = disk.Open(l.fs, filepath.Join(l.dir, stateFolder), "state", storeWatch{l}, &l.merges, l.stateOptions); err != nil {
		return corruptIfDamaged(err)
	}
	if err := removeIncoming(l.fs, filepath.Join(l.dir, stateFolder)); err != nil {
		return err
	}
	return l.recover(ctx)
}

// corruptIfDamaged gives errors of the engine that mean damage their kind.
func corruptIfDamaged(err error) error {
	if meter.KindOf(err) == meter.KindInternal && disk.Damaged(err) {
		return meter.WrapError(meter.KindCorrupt, err, "the data directory is damaged; restore a backup")
	}
	return err
}

// openMeta reads or makes the hash key and checks the format.
func (l *Ledger) openMeta() error {
	v, err := l.log.Meta(metaFormat)
	if err != nil {
		return err
	}
	if v == nil {
		var key [16]byte
		if _, err := rand.Read(key[:]); err != nil {
			return fmt.Errorf("make the hash key: %w", err)
		}
		if err := l.log.SetMeta(metaHashKey, key[:]); err != nil {
			return err
		}
		if err := l.log.SetMeta(metaFormat, []byte{storedFormat}); err != nil {
			return err
		}
		v = []byte{storedFormat}
	}
	if len(v) != 1 || v[0] == 0 || v[0] > storedFormat {
		return meter.Errorf(meter.KindUnsupported, "the data directory has format %v; this program reads formats 1 to %d", v, storedFormat)
	}
	if v[0] < storedFormat {
		// Before anything of the new format is stored, so that an older program
		// refuses the directory instead of taking such a block for damage.
		if err := l.log.SetMeta(metaFormat, []byte{storedFormat}); err != nil {
			return err
		}
	}
	key, err := l.log.Meta(metaHashKey)
	if err != nil {
		return err
	}
	if len(key) != 16 {
		return meter.Errorf(meter.KindCorrupt, "the hash key of the log is damaged")
	}
	l.key = block.Key{K0: binary.LittleEndian.Uint64(key), K1: binary.LittleEndian.Uint64(key[8:])}
	l.builders = block.NewPool(l.key)
	return nil
}

// Secret derives a key for one purpose from the data directory's own, so that
// it lasts as long as the directory and goes with its backups.
func (l *Ledger) Secret(purpose string) [sha256.Size]byte {
	key := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, l.key.K0), l.key.K1)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(purpose)) // never fails
	return [sha256.Size]byte(mac.Sum(nil))
}

// stateMemTable is small: what a checkpoint adds is below limits.TableBytes or goes around it.
const stateMemTable = 8 << 20

// stateLayers is how many checkpoints are merged together: each merge writes much
// of the state anew, and each layer is one more to look into when reading. With
// a million customers 8 take 9 % less CPU an event than 4, and 12 make a first page ten times as slow.
const stateLayers = 8

// stateOptions returns the options of the folded state's store.
func stateOptions(cache *pebble.Cache, setValues int) *pebble.Options {
	opts := &pebble.Options{Cache: cache, MemTableSize: stateMemTable, Merger: cell.NewMerger(setValues), L0CompactionThreshold: stateLayers}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	opts.EnsureDefaults() // for the tables that a checkpoint writes
	return opts
}

// start runs the goroutines. The appender and the fold are no jobs: they answer
// what was accepted, and end when Close has closed their queue.
func (l *Ledger) start(ctx context.Context) {
	l.folds = make(chan *foldItem, l.limits.BlocksInFlight)
	go l.appender()
	go l.foldLoop()
	for _, job := range []func(context.Context){l.backfillLoop, l.compactLoop, l.housekeeping, l.warmTexts} {
		l.jobs.Start(ctx, job)
	}
	l.merges.Start()
}

// housekeeping makes the table for the first freeze, checks the disk and starts
// checkpoints of quiet ledgers.
func (l *Ledger) housekeeping(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for first := true; ctx.Err() == nil; first = false {
		l.checkDisk()
		if first {
			l.ids.Prepare()
		} else {
			l.checkpointIfOld()
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (l *Ledger) checkDisk() {
	u, err := l.fs.GetDiskUsage(l.dir)
	if err != nil {
		return // an in-memory file system has no size
	}
	low := u.AvailBytes < l.limits.MinFreeDisk
	if low != l.diskLow.Swap(low) {
		l.logger.Warn("free disk space", "bytes", u.AvailBytes, "floor", l.limits.MinFreeDisk, "ingest_refused", low)
	}
}

func (l *Ledger) checkpointIfOld() {
	_ = l.onFold(func() error {
		d := l.active
		if d.started == 0 {
			l.rest()
			return nil
		}
		l.quiet = 0
		if l.now().UnixNano()-d.started < int64(l.limits.CheckpointEvery) {
			return nil
		}
		if l.ckpt.busy {
			select {
			case <-l.ckpt.done:
				l.ckpt.busy = false
			default:
				return nil
			}
		}
		if l.ckpt.failed == nil {
			l.freeze(nil)
		}
		return nil
	})
}

// restAfter is after how many seconds without an entry the memory of the
// tables is given back: it is what a checkpoint's worth of cells took.
const restAfter = 10

// rest gives back the memory of empty tables. Fold goroutine, once a second while
// there is nothing to write.
func (l *Ledger) rest() {
	if l.quiet++; l.quiet < restAfter {
		return
	}
	spare := l.spareTable.Swap(nil)
	if l.quiet > restAfter && spare == nil {
		return
	}
	l.mu.Lock()
	l.active.table = cell.NewTable(0)
	clear(l.active.families)
	l.mu.Unlock()
	if l.onRest != nil {
		l.onRest()
	}
}

// accepting says why nothing can be appended now, or nil.
func (l *Ledger) accepting(org string) error {
	if err := l.stopped(); err != nil {
		return err
	}
	if l.closing.Load() {
		return errClosed
	}
	if l.diskLow.Load() {
		return meter.Errorf(meter.KindStorageFull, "less than %d bytes of disk are free: usage is not accepted, reading goes on", l.limits.MinFreeDisk)
	}
	if o := l.peekOrg(org); o != nil {
		return o.stoppedError()
	}
	return nil
}

func (l *Ledger) now() time.Time { return l.clock() }

// Close answers what has been accepted and asked, writes a last checkpoint and releases the directory.
func (l *Ledger) Close() error {
	var err error
	l.once.Do(func() {
		err = l.close()
	})
	return err
}

func (l *Ledger) close() error {
	l.closing.Store(true)
	l.jobs.Stop()
	var err error
	if l.failed.Load() == nil {
		err = l.Checkpoint()
	}
	l.queue.close()
	<-l.folded
	l.awaitFlush()
	l.reading.Lock()
	defer l.reading.Unlock()
	l.closed = true
	return errors.Join(corruptIfDamaged(err), l.stopped(), corruptIfDamaged(l.ckpt.failed), l.closeStores())
}

// read keeps the stores open until done is called; errClosed when they are not.
// An answer takes it once: not again inside.
func (l *Ledger) read() (done func(), err error) {
	l.reading.RLock()
	if l.closed {
		l.reading.RUnlock()
		return nil, errClosed
	}
	if err := l.stopped(); err != nil {
		l.reading.RUnlock()
		return nil, err
	}
	return l.reading.RUnlock, nil
}

// awaitFlush waits for what may still write when nothing is folded any more.
func (l *Ledger) awaitFlush() {
	if l.ckpt.busy {
		<-l.ckpt.done
	}
}

func (l *Ledger) closeStores() error {
	var errs []error
	if l.base != nil {
		errs = append(errs, corruptIfDamaged(l.base.release()))
	}
	if l.ids != nil {
		errs = append(errs, corruptIfDamaged(l.ids.Close()))
	}
	if l.state != nil {
		errs = append(errs, corruptIfDamaged(l.state.Close()))
	}
	if l.log != nil {
		errs = append(errs, corruptIfDamaged(l.log.Close()))
	}
	if l.cache != nil {
		l.cache.Unref()
	}
	errs = append(errs, corruptIfDamaged(l.mark.Close()))
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
	}
	return errors.Join(errs...)
}
