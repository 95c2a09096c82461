package loadgen

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what both processes have used so far.
type usage struct {
	serverCPU, ownCPU time.Duration
	resident          int64
}

// sample reads the server's figures; what it may not read stays zero.
func (r *Run) sample(ctx context.Context) usage {
	var s usage
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err == nil {
		s.ownCPU = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	}
	metrics := r.Metrics(ctx)
	s.resident = int64(metrics["process_resident_memory_bytes"])
	s.serverCPU = time.Duration(metrics["process_cpu_seconds_total"] * float64(time.Second))
	return s
}

// Metrics reads the server's /metrics by series; nil if it may not.
func (r *Run) Metrics(ctx context.Context) map[string]float64 {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(r.URL, "/")+"/metrics", nil)
	if err != nil {
		return nil
	}
	request.Header.Set("Authorization", "Bearer "+r.Target.Key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	values := map[string]float64{}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		space := strings.LastIndexByte(line, ' ')
		if value, err := strconv.ParseFloat(line[space+1:], 64); err == nil && !strings.HasPrefix(line, "#") {
			values[line[:max(space, 0)]] = value
		}
	}
	return values
}

// diskBytes sums the files of a directory; "" has none.
func diskBytes(dir string) (total int64, err error) {
	if dir == "" {
		return 0, nil
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return ignoreGone(err)
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		}
		return ignoreGone(err)
	})
	return total, err
}

func ignoreGone(err error) error {
	if err != nil && errors.Is(err, fs.ErrNotExist) { // a store deletes files while it is measured
		return nil
	}
	return err
}
