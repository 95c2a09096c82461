package httpserver

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"odometer/internal/meter"
)

// linesPerSecond bounds the records of failed requests, so that a client in a
// loop cannot fill the disk; what is left out is counted in the next record.
const linesPerSecond = 50

// requestLog writes one record per request: at debug level when it succeeded,
// info when the caller erred, error when the server did.
type requestLog struct {
	*slog.Logger

	mu      sync.Mutex
	second  int64
	lines   int
	skipped int
}

func newRequestLog(l *slog.Logger) *requestLog { return &requestLog{Logger: l} }

// admit tells whether one more record fits into this second, and how many were left out before it.
func (l *requestLog) admit(now time.Time) (skipped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := now.Unix(); s != l.second {
		l.second, l.lines = s, 0
	}
	if l.lines >= linesPerSecond {
		l.skipped++
		return 0, false
	}
	l.lines++
	skipped, l.skipped = l.skipped, 0
	return skipped, true
}

func levelOf(status int) slog.Level {
	switch {
	case status >= 500:
		return slog.LevelError
	case status >= 400:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func (l *requestLog) request(x *Exchange, err error, now time.Time) {
	level := levelOf(x.status)
	if err != nil && errors.Is(x.Request.Context().Err(), context.Canceled) {
		level = slog.LevelDebug // the client left; nobody's fault here
	}
	if !l.Enabled(context.Background(), level) {
		return
	}
	var skipped int
	if level > slog.LevelDebug {
		var ok bool
		if skipped, ok = l.admit(now); !ok {
			return
		}
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs, slog.String("request_id", x.id), slog.String("method", clip(x.Request.Method, 16)),
		slog.String("path", clip(x.Request.URL.Path, 200)), slog.Int("status", x.status), slog.Int64("bytes", x.written),
		slog.Duration("took", now.Sub(x.start)), slog.String("remote", x.Request.RemoteAddr))
	if x.Principal.Organization != "" {
		attrs = append(attrs, slog.String("organization", x.Principal.Organization), slog.String("key", x.Principal.KeyID))
	}
	if err != nil {
		attrs = append(attrs, slog.String("kind", meter.KindOf(err).String()), slog.String("error", err.Error()))
	}
	if skipped > 0 {
		attrs = append(attrs, slog.Int("records_left_out", skipped))
	}
	l.LogAttrs(context.Background(), level, "request", attrs...)
}

func (l *requestLog) panicked(x *Exchange, v any, stack []byte) {
	l.LogAttrs(context.Background(), slog.LevelError, "panic in a request", slog.String("request_id", x.id),
		slog.String("path", clip(x.Request.URL.Path, 200)), slog.Any("panic", v), slog.String("stack", string(stack)))
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}

// lineLog carries net/http's own complaints (TLS handshakes, bad requests) into the log.
type lineLog struct {
	log *requestLog
	now func() time.Time
}

// Write logs one line.
func (l *lineLog) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(http.ErrAbortHandler.Error())) {
		return len(p), nil
	}
	if _, ok := l.log.admit(l.now()); ok {
		l.log.Warn("http", slog.String("message", string(bytes.TrimSpace(p))))
	}
	return len(p), nil
}
