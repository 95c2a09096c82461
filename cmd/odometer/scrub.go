package main

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Texts in the log are clipped: most of what is logged was sent by somebody.
const (
	logTextBytes  = 1 << 10
	logStackBytes = 16 << 10
)

var keyInText = regexp.MustCompile(`odo_[A-Za-z0-9_-]+`)

// scrub is slog's ReplaceAttr: it takes the secrets of keys out of every text,
// wherever they were pasted, and clips it.
func scrub(_ []string, a slog.Attr) slog.Attr {
	var text string
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindString:
		text = v.String()
	case slog.KindAny:
		switch x := v.Any().(type) {
		case *slog.Source, slog.Level:
			return a
		case error:
			text = x.Error()
		case fmt.Stringer:
			text = x.String()
		default:
			text = fmt.Sprintf("%+v", x)
		}
	default:
		return a
	}
	limit := logTextBytes
	if a.Key == "stack" {
		limit = logStackBytes
	}
	return slog.String(a.Key, clipText(redactKeys(text), limit))
}

// redactKeys leaves of a key what tells that one was there.
func redactKeys(text string) string {
	if !strings.Contains(text, "odo_") {
		return text
	}
	return keyInText.ReplaceAllString(text, "odo_…")
}

// clipText cuts a text to at most limit bytes, between characters.
func clipText(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return fmt.Sprintf("%s… (%d bytes)", text[:limit], len(text))
}
